using System.Globalization;
using System.Net.Sockets;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Lifecycle;

/// <summary>
/// An upgrade without a refused connection: a successor asks the running proxy, over a Unix socket that only its user can open, for
/// its listening sockets, serves by them, and then tells it to drain. The sockets' queues are never without an owner, and until the
/// successor says that it serves them all, its predecessor does.
/// </summary>
public static class Handover
{
    /// <summary>How long each step of passing the sockets may take. A successor may take as long as it likes to become ready.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    /// <summary>Serves one successor; then <paramref name="onReplaced"/> is called.</summary>
    /// <param name="sockets">The descriptors of every listening socket, with its address.</param>
    public static async Task OfferAsync(
        string path, Func<List<(SocketAddressV4 Address, int Descriptor)>> sockets, Action onReplaced, ProxyLog log, CancellationToken cancel)
    {
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            Listen(listener, path);
        }
        catch (Exception e) when (e is SocketException or IOException or UnauthorizedAccessException or ArgumentException)
        {
            log.Warning($"handover: {path} cannot be offered, so nobody can take over: {Failure.Describe(e)}");
            return;
        }

        while (!cancel.IsCancellationRequested)
        {
            try
            {
                using var successor = await listener.AcceptAsync(cancel).ConfigureAwait(false);
                successor.SendTimeout = (int)Patience.TotalMilliseconds;
                DescriptorPassing.Send(successor, [.. sockets().Select(s => (s.Address.ToString(), s.Descriptor))]);
                if (await successor.ReceiveAsync(new byte[1], cancel).ConfigureAwait(false) == 1)
                {
                    log.Info("a successor has taken over");
                    onReplaced();
                    return;
                }

                log.Warning("handover: a successor has gone before it took over");
            }
            catch (Exception e) when (e is SocketException or IOException)
            {
                log.Warning($"handover: {Failure.Describe(e)}");
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    /// <summary>
    /// Takes the name in one step, from a predecessor too, and never removes it: at the end of this process the name may be a successor's.
    /// What a socket leaves behind when its process ends refuses connections, which means that nobody is there.
    /// </summary>
    static void Listen(Socket listener, string path)
    {
        var own = $"{path}.{Entropy.NextSeed():x8}";
        listener.Bind(new UnixDomainSocketEndPoint(own));
        File.SetUnixFileMode(own, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        listener.Listen(4);
        File.Move(own, path, overwrite: true);
    }

    /// <summary>Takes the sockets of the proxy that offers them there; null when there is none.</summary>
    /// <returns>The sockets, and what to call once all of them are served.</returns>
    public static (Dictionary<SocketAddressV4, List<int>> Sockets, Action Confirm)? Take(string path, ProxyLog log)
    {
        var deadline = Environment.TickCount64 + (long)Patience.TotalMilliseconds;
        while (true)
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = (int)Patience.TotalMilliseconds };
            try
            {
                socket.Connect(new UnixDomainSocketEndPoint(path));
            }
            catch (SocketException)
            {
                // Nobody is there: an ordinary start.
                socket.Dispose();
                return null;
            }

            try
            {
                return (Group(DescriptorPassing.Receive(socket)), () => Confirm(socket, log));
            }
            catch (Exception e) when (e is SocketException or IOException)
            {
                socket.Dispose();

                // Who was there may have been replaced by another at this moment: that one is asked next.
                log.Warning($"handover: {Failure.Describe(e)}");
                if (Environment.TickCount64 >= deadline)
                {
                    return null;
                }
            }
        }
    }

    static void Confirm(Socket socket, ProxyLog log)
    {
        try
        {
            _ = socket.Send("1"u8);
        }
        catch (SocketException)
        {
            log.Info("handover: the predecessor has ended already");
        }
        finally
        {
            socket.Dispose();
        }
    }

    static Dictionary<SocketAddressV4, List<int>> Group(List<(string Text, int Descriptor)> received)
    {
        var result = new Dictionary<SocketAddressV4, List<int>>();
        foreach (var (text, descriptor) in received)
        {
            if (AddressOf(text) is not { } address)
            {
                received.ForEach(r => _ = Native.Close(r.Descriptor));
                throw new IOException($"\"{text}\" is no address");
            }

            if (!result.TryGetValue(address, out var list))
            {
                result[address] = list = [];
            }

            list.Add(descriptor);
        }

        return result;
    }

    static SocketAddressV4? AddressOf(string text)
    {
        try
        {
            var colon = text.LastIndexOf(':');
            return SocketAddressV4.Parse(text[..Math.Max(colon, 0)], uint.TryParse(text.AsSpan(colon + 1), CultureInfo.InvariantCulture, out var port) ? port : 0);
        }
        catch (FormatException)
        {
            return null;
        }
    }
}
