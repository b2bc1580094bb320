using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Lifecycle;

/// <summary>
/// An upgrade without a refused connection: a successor asks the running proxy, over a Unix socket that only its user can open, for
/// its listening sockets, serves by them, and then tells it to drain. The sockets' queues are never without an owner.
/// </summary>
public static partial class Handover
{
    const int MaximumSockets = 128;
    const int Rights = 1;
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    /// <summary>Serves one successor; then <paramref name="onReplaced"/> is called.</summary>
    /// <param name="sockets">The descriptors of every listening socket, with its address.</param>
    public static async Task OfferAsync(
        string path, Func<List<(SocketAddressV4 Address, int Descriptor)>> sockets, Action onReplaced, ProxyLog log, CancellationToken cancel)
    {
        File.Delete(path);
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        listener.Listen(1);
        while (!cancel.IsCancellationRequested)
        {
            try
            {
                using var successor = await listener.AcceptAsync(cancel).ConfigureAwait(false);
                using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
                limit.CancelAfter(Patience);
                Send(successor, sockets());
                var answer = new byte[1];
                if (await successor.ReceiveAsync(answer, limit.Token).ConfigureAwait(false) == 1)
                {
                    log.Info("a successor has taken over");
                    onReplaced();
                    return;
                }

                log.Warning("a successor has gone before it took over");
            }
            catch (Exception e) when (e is SocketException or IOException || (e is OperationCanceledException && !cancel.IsCancellationRequested))
            {
                log.Warning($"handover: {e.Message}");
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    /// <summary>Takes the sockets of the proxy that offers them there; null when there is none.</summary>
    /// <returns>The sockets, and what to call once they are served.</returns>
    public static (Dictionary<SocketAddressV4, List<int>> Sockets, Action Confirm)? Take(string path)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = (int)Patience.TotalMilliseconds };
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(path));
            var received = Receive(socket);
            return (received, () =>
            {
                _ = socket.Send("1"u8);
                socket.Dispose();
            }
            );
        }
        catch (SocketException)
        {
            // Nobody is there: an ordinary start.
            socket.Dispose();
            return null;
        }
    }

    static unsafe void Send(Socket socket, List<(SocketAddressV4 Address, int Descriptor)> sockets)
    {
        sockets = [.. sockets.Take(MaximumSockets)];
        var text = Encoding.ASCII.GetBytes(string.Join('\n', sockets.Select(s => s.Address.ToString())) + "\n");
        var control = stackalloc byte[16 + (sizeof(int) * MaximumSockets)];
        var header = (ControlHeader*)control;
        header->Length = 16 + (nuint)(sizeof(int) * sockets.Count);
        header->Level = Native.SolSocket;
        header->Type = Rights;
        for (var i = 0; i < sockets.Count; i++)
        {
            ((int*)(control + 16))[i] = sockets[i].Descriptor;
        }

        fixed (byte* bytes = text)
        {
            var part = new IoVector { Base = bytes, Length = (nuint)text.Length };
            var message = new MessageHeader { Parts = &part, PartCount = 1, Control = control, ControlLength = sockets.Count == 0 ? 0 : (header->Length + 7) & ~(nuint)7 };
            if (SendMessage((int)socket.Handle, &message, Native.MsgNoSignal) < 0)
            {
                throw new IOException($"sendmsg: errno {Marshal.GetLastPInvokeError()}");
            }
        }
    }

    static unsafe Dictionary<SocketAddressV4, List<int>> Receive(Socket socket)
    {
        var text = new byte[MaximumSockets * 32];
        var control = stackalloc byte[16 + (sizeof(int) * MaximumSockets)];
        nint received;
        int count;
        fixed (byte* bytes = text)
        {
            var part = new IoVector { Base = bytes, Length = (nuint)text.Length };
            var message = new MessageHeader { Parts = &part, PartCount = 1, Control = control, ControlLength = 16 + (nuint)(sizeof(int) * MaximumSockets) };
            received = ReceiveMessage((int)socket.Handle, &message, Native.SockCloseOnExecMessage);
            count = message.ControlLength < 16 ? 0 : ((int)((ControlHeader*)control)->Length - 16) / sizeof(int);
        }

        var result = new Dictionary<SocketAddressV4, List<int>>();
        var lines = Encoding.ASCII.GetString(text, 0, (int)Math.Max(received, 0)).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        for (var i = 0; i < count && i < lines.Length; i++)
        {
            var colon = lines[i].LastIndexOf(':');
            var address = SocketAddressV4.Parse(lines[i][..colon], uint.Parse(lines[i].AsSpan(colon + 1), System.Globalization.CultureInfo.InvariantCulture));
            if (!result.TryGetValue(address, out var list))
            {
                result[address] = list = [];
            }

            list.Add(((int*)(control + 16))[i]);
        }

        return result;
    }

    [StructLayout(LayoutKind.Sequential)]
    unsafe struct IoVector
    {
        public byte* Base;
        public nuint Length;
    }

    [StructLayout(LayoutKind.Sequential)]
    unsafe struct MessageHeader
    {
        public void* Name;
        public uint NameLength;
        public IoVector* Parts;
        public nuint PartCount;
        public byte* Control;
        public nuint ControlLength;
        public int Flags;
    }

    [StructLayout(LayoutKind.Sequential)]
    struct ControlHeader
    {
        public nuint Length;
        public int Level;
        public int Type;
    }

    [LibraryImport("libc", EntryPoint = "sendmsg", SetLastError = true)]
    private static unsafe partial nint SendMessage(int fd, MessageHeader* message, int flags);

    [LibraryImport("libc", EntryPoint = "recvmsg", SetLastError = true)]
    private static unsafe partial nint ReceiveMessage(int fd, MessageHeader* message, int flags);
}
