using Weir.Proxy.Reactor;

namespace Weir.Proxy.Bench;

/// <summary>How an HTTP/2 upstream answers.</summary>
enum Http2Answers
{
    /// <summary>1 KiB, at once.</summary>
    AtOnce,

    /// <summary>1 KiB, after <see cref="Http2Backend.Delay"/>.</summary>
    Late,

    /// <summary>Messages of gRPC come back as they are; trailers say that all is well.</summary>
    GrpcEcho,
}

/// <summary>An upstream that speaks HTTP/2 with prior knowledge.</summary>
sealed class Http2Backend : IAcceptor
{
    public static readonly TimeSpan Delay = TimeSpan.FromSeconds(5);

    readonly EventLoop loop;
    readonly Http2Answers answers;

    Http2Backend(EventLoop loop, Http2Answers answers) => (this.loop, this.answers) = (loop, answers);

    public static void Listen(EventLoop loop, SocketAddressV4 address, Http2Answers answers)
    {
        var fd = ListeningSocket.Bind(address, isShared: false);
        if (fd < 0)
        {
            throw new IOException($"backend {address}: errno {-fd}");
        }

        loop.Post(() => _ = ListeningSocket.Start(loop, fd, new Http2Backend(loop, answers)) ?? throw new IOException("a backend cannot be watched"));
    }

    public bool MayAccept => true;

    public void OnAccepted(int fd, SocketAddressV4 peer)
    {
        if (TcpSocket.Accepted(loop, fd) is { } socket)
        {
            Http2Peer connection = answers == Http2Answers.GrpcEcho ? new EchoConnection(loop, socket) : new AnswerConnection(loop, socket, answers);
            socket.Handler = connection;
            loop.Defer(connection);
        }
    }

    public void OnExhausted()
    {
        // It waits with the others in the backlog.
    }

    /// <summary>Answers GETs.</summary>
    sealed class AnswerConnection : Http2Peer
    {
        static readonly byte[] Content = [.. Enumerable.Repeat((byte)'x', 1024)];

        readonly Http2Answers answers;

        /// <summary>Streams whose answers are not due, or wait for the window.</summary>
        readonly Queue<(int Stream, long Due)> waiting = new();

        public AnswerConnection(EventLoop loop, TcpSocket socket, Http2Answers answers)
            : base(loop)
        {
            this.answers = answers;
            Socket = socket;
            Begin(isServer: true);
        }

        protected override void OnHeaders(int stream, bool isEnd)
        {
            waiting.Enqueue((stream, answers == Http2Answers.Late ? Loop.Now + (long)Delay.TotalMilliseconds : 0));
            Answer();
        }

        void Answer()
        {
            while (waiting.TryPeek(out var next))
            {
                if (next.Due > Loop.Now)
                {
                    Loop.Timers.Set(this, next.Due);
                    return;
                }

                if (ConnectionWindow < Content.Length)
                {
                    return;
                }

                waiting.Dequeue();
                WriteHeaders(next.Stream, FieldBlocks.Answer, isEnd: false);
                WriteData(next.Stream, Content, isEnd: true);
            }
        }

        protected override void OnData(int stream, ReadOnlySpan<byte> content, bool isEnd)
        {
        }

        protected override void OnReset(int stream)
        {
        }

        protected override void OnWindow(int stream, int increment) => Answer();

        public override void OnDue()
        {
            Answer();
            Flush();
        }
    }

    /// <summary>Sends back what comes.</summary>
    sealed class EchoConnection : Http2Peer
    {
        /// <summary>What may be sent on an open stream, and what was received since its peer was last told that there is more.</summary>
        readonly record struct StreamWindow(int Available, int Received);

        readonly Dictionary<int, StreamWindow> windows = [];
        readonly Queue<(int Stream, byte[] Content, bool IsEnd)> waiting = new();

        public EchoConnection(EventLoop loop, TcpSocket socket)
            : base(loop)
        {
            Socket = socket;
            Begin(isServer: true);
        }

        protected override void OnHeaders(int stream, bool isEnd)
        {
            windows[stream] = new StreamWindow(InitialWindow, 0);
            WriteHeaders(stream, FieldBlocks.GrpcAnswer, isEnd: false);
            if (isEnd)
            {
                End(stream);
            }
        }

        protected override void OnData(int stream, ReadOnlySpan<byte> content, bool isEnd)
        {
            CountReceived(stream, content.Length);
            if (waiting.Count > 0 || !TryEcho(stream, content, isEnd))
            {
                waiting.Enqueue((stream, content.ToArray(), isEnd));
            }
        }

        void CountReceived(int stream, int length)
        {
            if (windows.TryGetValue(stream, out var window))
            {
                var received = window.Received + length;
                if (received >= UpdateAfter)
                {
                    WriteWindowUpdate(stream, received);
                    received = 0;
                }

                windows[stream] = window with { Received = received };
            }
        }

        bool TryEcho(int stream, ReadOnlySpan<byte> content, bool isEnd)
        {
            if (!windows.TryGetValue(stream, out var window))
            {
                // Reset meanwhile.
                return true;
            }

            if (content.Length > Math.Min(window.Available, ConnectionWindow))
            {
                return false;
            }

            if (content.Length > 0)
            {
                windows[stream] = window with { Available = window.Available - content.Length };
                WriteData(stream, content, isEnd: false);
            }

            if (isEnd)
            {
                End(stream);
            }

            return true;
        }

        void End(int stream)
        {
            WriteHeaders(stream, FieldBlocks.GrpcTrailers, isEnd: true);
            windows.Remove(stream);
        }

        protected override void OnReset(int stream) => windows.Remove(stream);

        protected override void OnWindow(int stream, int increment)
        {
            if (windows.TryGetValue(stream, out var window))
            {
                windows[stream] = window with { Available = window.Available + increment };
            }

            while (waiting.TryPeek(out var next) && TryEcho(next.Stream, next.Content, next.IsEnd))
            {
                waiting.Dequeue();
            }
        }
    }
}
