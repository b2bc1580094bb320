using System.Text;
using Weir.Proxy.Reactor;
using Weir.Proxy.Tls;

namespace Weir.Proxy.Bench;

/// <summary>Servers that do as little as a server can: canned answers to requests, and an echo of bytes.</summary>
sealed class Backends(EventLoop loop)
{
    readonly HandshakeQueue handshakes = new(loop);
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

        loop.Post(() =>
        {
            var open = new HashSet<AsyncSocket>();
            listening[address.Port] = (ListeningSocket.Start(loop, fd, (accepted, peer) =>
            {
                var socket = AsyncSocket.Accepted(loop, accepted);
                open.Add(socket);
                _ = ServeAsync(socket, tls, isEcho, open);
            }), open);
        });
    }

    readonly Dictionary<int, (ListeningSocket Listening, HashSet<AsyncSocket> Open)> listening = [];
    readonly List<int> dead = [];

    /// <summary>Ends a server and all its connections at once, as a crash would.</summary>
    public void Kill(int port) => loop.Post(() =>
    {
        if (listening.Remove(port, out var server))
        {
            server.Listening.Close();
            foreach (var socket in server.Open.ToList())
            {
                socket.Abort();
            }

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
            Listen(SocketAddressV4.Parse("127.0.0.1", (uint)port), null, false);
        }
    }

    async Task ServeAsync(AsyncSocket socket, TlsContext? tls, bool isEcho, HashSet<AsyncSocket> open)
    {
        if (tls is not null)
        {
            var layer = TlsLayer.Accept(tls, socket);
            socket.Attach(layer);
            if (await handshakes.RunAsync(socket, layer, 10_000) < 0)
            {
                socket.Close();
                return;
            }
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
