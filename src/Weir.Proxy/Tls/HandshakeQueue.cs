using System.Threading.Tasks.Sources;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Tls;

/// <summary>
/// Handshakes of one loop. Their public-key work takes hundreds of microseconds each, so only a few steps are done in one turn, and
/// established connections are served in between. At most <see cref="MaximumPending"/> are under way: a flood pushes out the
/// handshake that has made no progress for longest, which an honest client's seldom is.
/// </summary>
sealed class HandshakeQueue(EventLoop loop)
{
    public const int MaximumPending = 512;

    readonly LinkedList<Handshake> pending = new();

    public int Pending => pending.Count;

    /// <returns>0, or a negative errno; the layer says more.</returns>
    public async ValueTask<int> RunAsync(AsyncSocket socket, TlsLayer layer, int timeoutMilliseconds)
    {
        if (pending.Count >= MaximumPending)
        {
            pending.First!.Value.Socket.Close();
        }

        var handshake = new Handshake(socket);
        var node = pending.AddLast(handshake);
        var deadline = loop.Now + timeoutMilliseconds;
        try
        {
            while (true)
            {
                await loop.TurnAsync(handshake);
                var left = (int)Math.Max(deadline - loop.Now, 1);
                var waited = layer.Handshake() switch
                {
                    TlsLayer.Step.Done => 0,
                    TlsLayer.Step.WantsRead => await socket.WaitForMoreAsync(left),
                    TlsLayer.Step.WantsWrite => await socket.WaitWritableAsync(left),
                    _ => -Native.Eproto,
                };
                if (waited <= 0)
                {
                    return waited;
                }

                if (loop.Now >= deadline)
                {
                    return -Native.EtimedOut;
                }

                if (node.List is not null)
                {
                    pending.Remove(node);
                    pending.AddLast(node);
                }
            }
        }
        finally
        {
            pending.Remove(node);
        }
    }

    sealed class Handshake(AsyncSocket socket) : Signal
    {
        public AsyncSocket Socket => socket;
    }
}
