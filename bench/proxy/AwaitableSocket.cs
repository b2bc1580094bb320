using System.Threading.Tasks.Sources;
using Weir.Proxy.Reactor;
using Weir.Proxy.Tls;

namespace Weir.Proxy.Bench;

/// <summary>
/// The proxy's socket for code that reads better when it awaits. One operation may be pending at a time; the code that awaits it
/// continues on the loop, in the call that completes it. Results are bytes, 0 at the end of the stream, or a negative errno; in steady
/// state awaiting allocates nothing.
/// </summary>
sealed class AwaitableSocket : LoopHandler, IValueTaskSource<int>
{
    enum Operation
    {
        None,
        Connecting,
        Handshaking,
        Reading,
        Writing,
    }

    readonly EventLoop loop;
    TcpSocket? socket;
    Handshake? handshake;
    Operation pending;
    Memory<byte> target;
    ReadOnlyMemory<byte> source;
    int written;
    ManualResetValueTaskSourceCore<int> core;

    public AwaitableSocket(EventLoop loop) => this.loop = loop;

    /// <summary>A connection that was accepted; null, and closed, when it cannot be watched.</summary>
    public static AwaitableSocket? Accepted(EventLoop loop, int fd)
    {
        var accepted = new AwaitableSocket(loop) { socket = TcpSocket.Accepted(loop, fd) };
        if (accepted.socket is null)
        {
            return null;
        }

        accepted.socket.Handler = accepted;
        return accepted;
    }

    /// <returns>0, or a negative errno.</returns>
    public ValueTask<int> ConnectAsync(SocketAddressV4 address, int timeoutMilliseconds)
    {
        socket = TcpSocket.Connect(loop, address, this);
        return socket is null ? new ValueTask<int>(-Native.Emfile) : Begin(Operation.Connecting, timeoutMilliseconds);
    }

    /// <summary>From here on bytes go through TLS.</summary>
    /// <returns>0, or a negative errno.</returns>
    public ValueTask<int> SecureAsync(HandshakeQueue queue, TlsContext context, bool isServer, int timeoutMilliseconds)
    {
        handshake = new Handshake(queue, socket!, this);
        if (!handshake.TryEnter(NextSource(), timeoutMilliseconds))
        {
            handshake = null;
            return new ValueTask<int>(-Native.Ecanceled);
        }

        handshake.Begin(isServer ? TlsLayer.Accept(context, socket!) : TlsLayer.Connect(context, socket!, "bench", 0), isFirst: !isServer);
        return Begin(Operation.Handshaking, 0);
    }

    /// <summary>The queue shares itself out by where peers come from; here all come from one place, and each counts as its own.</summary>
    static uint NextSource() => ++sources;

    static uint sources;

    /// <param name="into">Kept until the read is over.</param>
    /// <param name="timeoutMilliseconds">0 for none.</param>
    public ValueTask<int> ReadAsync(Memory<byte> into, int timeoutMilliseconds)
    {
        var read = socket!.Receive(into.Span);
        if (read != -Native.Eagain)
        {
            return new ValueTask<int>(read);
        }

        target = into;
        return Begin(Operation.Reading, timeoutMilliseconds);
    }

    /// <summary>Writes all of it.</summary>
    /// <returns>The length, or a negative errno.</returns>
    public ValueTask<int> WriteAsync(ReadOnlyMemory<byte> all, int timeoutMilliseconds)
    {
        var sent = socket!.Send(all.Span);
        if (sent < 0 || sent == all.Length)
        {
            return new ValueTask<int>(sent);
        }

        (source, written) = (all, sent);
        return Begin(Operation.Writing, timeoutMilliseconds);
    }

    ValueTask<int> Begin(Operation operation, int timeoutMilliseconds)
    {
        pending = operation;
        core.Reset();
        if (timeoutMilliseconds > 0)
        {
            loop.Timers.Set(this, loop.Now + timeoutMilliseconds);
        }

        return new ValueTask<int>(this, core.Version);
    }

    void End(int result)
    {
        pending = Operation.None;
        target = default;
        source = default;
        TimerWheel.Clear(this);
        core.SetResult(result);
    }

    public override void OnReady()
    {
        switch (pending)
        {
            case Operation.Connecting when socket!.ConnectResult != -Native.Einprogress:
                End(socket.ConnectResult);
                break;
            case Operation.Handshaking when handshake!.Result != -Native.Einprogress:
                var result = handshake.Result;
                handshake = null;
                socket!.Handler = this;
                End(result);
                break;
            case Operation.Reading:
                if (socket!.Receive(target.Span) is var read && read != -Native.Eagain)
                {
                    End(read);
                }

                break;
            case Operation.Writing:
                var sent = socket!.Send(source.Span[written..]);
                written += Math.Max(sent, 0);
                if (sent < 0 || written == source.Length)
                {
                    End(sent < 0 ? sent : written);
                }

                break;
        }
    }

    public override void OnDue()
    {
        if (pending != Operation.None)
        {
            End(-Native.EtimedOut);
        }
    }

    public override void Abandon() => Abort();

    public void Close() => Close(resets: false);

    /// <summary>Closes so that the peer is told of an abort: with a reset instead of an orderly end.</summary>
    public void Abort() => Close(resets: true);

    void Close(bool resets)
    {
        handshake?.Cancel();
        handshake = null;
        if (resets)
        {
            socket?.Abort();
        }
        else
        {
            socket?.Close();
        }

        loop.Timers.Remove(this);
        if (pending != Operation.None)
        {
            End(-Native.Ecanceled);
        }
    }

    int IValueTaskSource<int>.GetResult(short token) => core.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<int>.GetStatus(short token) => core.GetStatus(token);

    void IValueTaskSource<int>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        core.OnCompleted(continuation, state, token, flags & ~(ValueTaskSourceOnCompletedFlags.UseSchedulingContext | ValueTaskSourceOnCompletedFlags.FlowExecutionContext));
}
