using System.Text;
using Weir.Proxy.Reactor;
using Weir.Proxy.Tls;

namespace Weir.Proxy.Bench;

/// <summary>Servers that do as little as a server can: canned answers to requests, and an echo of bytes.</summary>
sealed class Backends(EventLoop loop)
{
    readonly EventLoop loop = loop;
    readonly HandshakeQueue handshakes = new(loop, HandshakeLimits.Default);
    static readonly byte[] Small = Answer(1024);
    static readonly byte[] Large = Answer(1024 * 1024);

    static byte[] Answer(int size) =>
        [.. Encoding.ASCII.GetBytes($"HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\r\n"), .. Enumerable.Repeat((byte)'x', size)];

    public void Listen(SocketAddressV4 address, TlsContext? tls, bool isEcho)
    {
        var fd = ListeningSocket.Bind(address, isShared: false);
        if (fd < 0)
        {
            throw new IOException($"backend {address}: errno {-fd}");
        }

        loop.Post(() => listening[address.Port] = new Server(this, fd, tls, isEcho));
    }

    /// <summary>A listening socket with its connections.</summary>
    sealed class Server : IAcceptor
    {
        readonly Backends backends;
        readonly TlsContext? tls;
        readonly bool isEcho;
        readonly ListeningSocket listening;
        readonly HashSet<AwaitableSocket> open = [];

        public Server(Backends backends, int fd, TlsContext? tls, bool isEcho)
        {
            (this.backends, this.tls, this.isEcho) = (backends, tls, isEcho);
            listening = ListeningSocket.Start(backends.loop, fd, this) ?? throw new IOException("a backend cannot be watched");
        }

        public bool MayAccept => true;

        public void OnAccepted(int fd, SocketAddressV4 peer)
        {
            if (AwaitableSocket.Accepted(backends.loop, fd) is { } socket)
            {
                open.Add(socket);
                _ = backends.ServeAsync(socket, tls, isEcho, open);
            }
        }

        public void OnExhausted()
        {
            // It waits with the others in the backlog.
        }

        public void Kill()
        {
            listening.Close();
            foreach (var socket in open.ToList())
            {
                socket.Abort();
            }
        }
    }

    readonly Dictionary<int, Server> listening = [];
    readonly List<int> dead = [];

    /// <summary>Ends a server and all its connections at once, as a crash would.</summary>
    public void Kill(int port) => loop.Post(() =>
    {
        if (listening.Remove(port, out var server))
        {
            server.Kill();
            lock (dead)
            {
                dead.Add(port);
            }
        }
    });

    public void Revive()
    {
        int[] ports;
        lock (dead)
        {
            ports = [.. dead];
            dead.Clear();
        }

        foreach (var port in ports)
        {
            Listen(Ports.At(port), null, false);
        }
    }

    async Task ServeAsync(AwaitableSocket socket, TlsContext? tls, bool isEcho, HashSet<AwaitableSocket> open)
    {
        if (tls is not null && await socket.SecureAsync(handshakes, tls, isServer: true, 10_000) < 0)
        {
            open.Remove(socket);
            socket.Close();
            return;
        }

        var buffer = new byte[64 * 1024];
        var have = 0;
        while (true)
        {
            var read = await socket.ReadAsync(buffer.AsMemory(have), 0);
            if (read <= 0)
            {
                break;
            }

            if (isEcho)
            {
                if (await socket.WriteAsync(buffer.AsMemory(0, read), 0) < 0)
                {
                    break;
                }

                continue;
            }

            have += read;
            if (buffer.AsSpan(0, have).EndsWith("\r\n\r\n"u8))
            {
                have = 0;
                if (await socket.WriteAsync(buffer.AsSpan(0, 8).SequenceEqual("GET /1m "u8) ? Large : Small, 0) < 0)
                {
                    break;
                }
            }
        }

        open.Remove(socket);
        socket.Close();
    }
}
