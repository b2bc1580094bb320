using Weir.Proxy.Reactor;

namespace Weir.Proxy.Tls;

/// <summary>
/// One handshake. Its place in the queue may be taken before it is known that the connection will be one of TLS; from
/// <see cref="Begin"/> on it takes the socket's events until it is over, and calls its owner then.
/// </summary>
sealed class Handshake(HandshakeQueue pending, TcpSocket connection, LoopHandler waiting) : PendingHandshake
{
    readonly HandshakeQueue queue = pending;
    readonly TcpSocket socket = connection;
    readonly LoopHandler owner = waiting;
    readonly SocketEventsOf events = new();
    TlsLayer? layer;

    /// <summary>0 when it is done, <c>-EINPROGRESS</c> while it goes on, or why it failed; the layer says more.</summary>
    public int Result { get; private set; } = -Native.Einprogress;

    public TlsLayer? Layer => layer;

    /// <summary>Takes a place, with a deadline for all that comes.</summary>
    /// <returns>False when there is no room.</returns>
    public bool TryEnter(uint source, int timeoutMilliseconds) => queue.TryEnter(this, source, timeoutMilliseconds);

    /// <param name="isFirst">We speak first. Otherwise a peer that has sent nothing yet counts as silent until it has.</param>
    public void Begin(TlsLayer through, bool isFirst)
    {
        var hasBegun = isFirst || socket.IsReadable;
        layer = through;
        socket.Attach(through, mayRead: hasBegun);
        events.Handshake = this;
        socket.Handler = events;
        if (hasBegun)
        {
            queue.Ready(this);
        }
    }

    public override bool Step()
    {
        switch (layer!.Handshake())
        {
            case TlsLayer.Step.Done:
                End(0);
                return false;
            case TlsLayer.Step.Failed:
                End(-Native.Eproto);
                return false;
            default:
                if (!socket.IsPeerDone)
                {
                    return true;
                }

                End(-Native.EconnReset);
                return false;
        }
    }

    public override void GiveUp()
    {
        if (Result == -Native.Einprogress)
        {
            Result = -Native.EtimedOut;
            owner.OnReady();
        }
    }

    void End(int result)
    {
        Cancel();
        Result = result;
        owner.OnReady();
    }

    /// <summary>Nobody waits for it any more; the owner is not called.</summary>
    public void Cancel()
    {
        Result = -Native.Ecanceled;
        queue.Leave(this);
        if (ReferenceEquals(socket.Handler, events))
        {
            socket.Handler = null;
        }
    }

    /// <summary>What the socket calls.</summary>
    sealed class SocketEventsOf : LoopHandler
    {
        public Handshake? Handshake { get; set; }

        public override void OnReady()
        {
            // That a new connection can be written to says nothing of its peer.
            if (Handshake is { Result: -Native.Einprogress } handshake && (handshake.At != Stage.Silent || handshake.socket.IsReadable))
            {
                handshake.queue.Ready(handshake);
            }
        }

        public override void OnDue()
        {
            // The queue has the deadlines.
        }

        public override void Abandon()
        {
            Handshake?.Cancel();
            Handshake?.owner.Abandon();
        }
    }
}
