using System.Diagnostics;
using System.Net.Sockets;

namespace Weir.Proxy.Bench;

/// <summary>Between a proxy and its control plane, on Unix sockets: can hold back what the control plane says.</summary>
sealed class GatedRelay : IDisposable
{
    readonly Socket listening = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    readonly ManualResetEventSlim gate = new(initialState: true);
    readonly List<Socket> open = [];
    readonly string target;
    long lastActivity;
    volatile bool isHolding;

    public GatedRelay(string path, string target)
    {
        this.target = target;
        listening.Bind(new UnixDomainSocketEndPoint(path));
        listening.Listen();
        new Thread(Accept) { IsBackground = true }.Start();
    }

    /// <summary>Bytes of the control plane are waiting to be let through.</summary>
    public bool IsHolding => isHolding;

    /// <summary>When the last bytes passed, by <see cref="Stopwatch"/>.</summary>
    public long LastActivity => Volatile.Read(ref lastActivity);

    public void Close() => gate.Reset();

    public void Open() => gate.Set();

    void Accept()
    {
        try
        {
            while (true)
            {
                var client = listening.Accept();
                var server = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                server.Connect(new UnixDomainSocketEndPoint(target));
                lock (open)
                {
                    open.Add(client);
                    open.Add(server);
                }

                new Thread(() => Copy(client, server, isHeld: false)) { IsBackground = true }.Start();
                new Thread(() => Copy(server, client, isHeld: true)) { IsBackground = true }.Start();
            }
        }
        catch (SocketException)
        {
            // The run is over.
        }
        catch (ObjectDisposedException)
        {
        }
    }

    void Copy(Socket from, Socket to, bool isHeld)
    {
        var buffer = new byte[64 * 1024];
        try
        {
            for (int read; (read = from.Receive(buffer)) > 0;)
            {
                if (isHeld && !gate.IsSet)
                {
                    isHolding = true;
                    gate.Wait();
                    isHolding = false;
                }

                to.Send(buffer.AsSpan(0, read));
                Volatile.Write(ref lastActivity, Stopwatch.GetTimestamp());
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // One of the two has gone; so does the other.
        }

        to.Dispose();
    }

    public void Dispose()
    {
        gate.Set();
        listening.Dispose();
        lock (open)
        {
            open.ForEach(s => s.Dispose());
        }

        gate.Dispose();
    }
}
