using System.Buffers.Binary;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Lifecycle;

/// <summary>
/// Open descriptors with a text for each, over a Unix socket between two processes (unix(7), SCM_RIGHTS). The kernel passes at most 253 in
/// one message, so they go in portions: a head of eight bytes, how many and how long their text, with the descriptors; then the text.
/// Any number goes through: the first head of all says how many there will be.
/// </summary>
static unsafe partial class DescriptorPassing
{
    const int Portion = 200;
    const int HeadLength = 8;
    const int Rights = 1;
    const int ControlHeaderLength = 16;

    /// <summary>No proxy listens on more; a peer that claims so is none of ours.</summary>
    const int Maximum = 100_000;
    const int MaximumText = Portion * 256;
    const int StreamEnded = 0;
    const int ControlTruncated = 0x8;

    /// <summary>Begins the first head, so that another protocol, or another version of this one, is noticed.</summary>
    const int Mark = 0x52494557;

    /// <exception cref="IOException">The other side has gone, or does not read.</exception>
    public static void Send(Socket socket, IReadOnlyList<(string Text, int Descriptor)> items)
    {
        SendHead(socket, Mark, items.Count, []);
        for (var at = 0; at < items.Count; at += Portion)
        {
            var portion = items.Skip(at).Take(Portion).ToList();
            var text = Encoding.UTF8.GetBytes(string.Join('\n', portion.Select(i => i.Text)));
            SendHead(socket, portion.Count, text.Length, [.. portion.Select(i => i.Descriptor)]);
            SendAll(socket, text);
        }
    }

    /// <summary>The descriptors are the caller's to close. After an exception there are none.</summary>
    /// <exception cref="IOException">The other side has gone, or says something else.</exception>
    public static List<(string Text, int Descriptor)> Receive(Socket socket)
    {
        var result = new List<(string, int)>();
        var descriptors = new List<int>();
        try
        {
            var (mark, total) = ReceiveHead(socket, descriptors);
            if (mark != Mark || total is < 0 or > Maximum)
            {
                throw new IOException("what runs there speaks another version of the handover");
            }

            while (result.Count < total)
            {
                var before = descriptors.Count;
                var (count, length) = ReceiveHead(socket, descriptors);
                if (count is <= 0 or > Portion || length is < 0 or > MaximumText || descriptors.Count - before != count)
                {
                    throw new IOException($"{descriptors.Count - before} descriptors came where {count} were announced; is their number limited?");
                }

                var text = new byte[length];
                ReceiveAll(socket, text);
                var texts = Encoding.UTF8.GetString(text).Split('\n');
                if (texts.Length != count)
                {
                    throw new IOException("a portion has another number of texts than of descriptors");
                }

                result.AddRange(texts.Select((t, i) => (t, descriptors[before + i])));
            }

            return result;
        }
        catch
        {
            descriptors.ForEach(d => _ = Native.Close(d));
            throw;
        }
    }

    static void SendHead(Socket socket, int first, int second, int[] descriptors)
    {
        var head = stackalloc byte[HeadLength];
        BinaryPrimitives.WriteInt32LittleEndian(new Span<byte>(head, 4), first);
        BinaryPrimitives.WriteInt32LittleEndian(new Span<byte>(head + 4, 4), second);
        var control = stackalloc byte[ControlHeaderLength + (sizeof(int) * Portion)];
        var header = (ControlHeader*)control;
        header->Length = ControlHeaderLength + (nuint)(sizeof(int) * descriptors.Length);
        header->Level = Native.SolSocket;
        header->Type = Rights;
        descriptors.CopyTo(new Span<int>(control + ControlHeaderLength, Portion));
        var part = new IoVector { Base = head, Length = HeadLength };
        var message = new MessageHeader
        {
            Parts = &part,
            PartCount = 1,
            Control = descriptors.Length == 0 ? null : control,
            ControlLength = descriptors.Length == 0 ? 0 : (header->Length + 7) & ~(nuint)7,
        };
        while (true)
        {
            var sent = SendMessage((int)socket.Handle, &message, Native.MsgNoSignal);
            if (sent == HeadLength)
            {
                return;
            }

            var errno = sent < 0 ? Native.Errno : Native.Eproto;
            if (errno == Native.Eagain ? !socket.Poll(TimeSpan.FromMilliseconds(socket.SendTimeout), SelectMode.SelectWrite) : errno != Native.Eintr)
            {
                throw new IOException(Telemetry.Failure.OfErrno(errno));
            }
        }
    }

    static void SendAll(Socket socket, ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            bytes = bytes[socket.Send(bytes)..];
        }
    }

    static (int First, int Second) ReceiveHead(Socket socket, List<int> descriptors)
    {
        var head = stackalloc byte[HeadLength];
        var control = stackalloc byte[ControlHeaderLength + (sizeof(int) * Portion)];
        var part = new IoVector { Base = head, Length = HeadLength };
        var message = new MessageHeader { Parts = &part, PartCount = 1, Control = control, ControlLength = ControlHeaderLength + (nuint)(sizeof(int) * Portion) };
        nint received;
        while ((received = ReceiveMessage((int)socket.Handle, &message, Native.SockCloseOnExecMessage)) < 0)
        {
            var errno = Native.Errno;
            if (errno == Native.Eagain ? !socket.Poll(TimeSpan.FromMilliseconds(socket.ReceiveTimeout), SelectMode.SelectRead) : errno != Native.Eintr)
            {
                throw new IOException(Telemetry.Failure.OfErrno(errno));
            }
        }

        if (message.ControlLength > ControlHeaderLength)
        {
            var count = ((int)((ControlHeader*)control)->Length - ControlHeaderLength) / sizeof(int);
            descriptors.AddRange(new ReadOnlySpan<int>(control + ControlHeaderLength, count));
        }

        if (received == StreamEnded || (message.Flags & ControlTruncated) != 0)
        {
            throw new IOException(received == StreamEnded ? "the other side has ended" : "not all descriptors came: their number is limited");
        }

        ReceiveAll(socket, new Span<byte>(head + received, HeadLength - (int)received));
        return (BinaryPrimitives.ReadInt32LittleEndian(new Span<byte>(head, 4)), BinaryPrimitives.ReadInt32LittleEndian(new Span<byte>(head + 4, 4)));
    }

    static void ReceiveAll(Socket socket, Span<byte> target)
    {
        while (!target.IsEmpty)
        {
            var received = socket.Receive(target);
            target = received > 0 ? target[received..] : throw new IOException("the other side has ended");
        }
    }

    [StructLayout(LayoutKind.Sequential)]
    struct IoVector
    {
        public byte* Base;
        public nuint Length;
    }

    [StructLayout(LayoutKind.Sequential)]
    struct MessageHeader
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
    private static partial nint SendMessage(int fd, MessageHeader* message, int flags);

    [LibraryImport("libc", EntryPoint = "recvmsg", SetLastError = true)]
    private static partial nint ReceiveMessage(int fd, MessageHeader* message, int flags);
}
