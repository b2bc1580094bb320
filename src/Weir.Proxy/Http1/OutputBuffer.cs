using System.Buffers.Text;
using Weir.Proxy.Http;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http1;

/// <summary>
/// What is held back of what is to be sent on a connection, so that small pieces leave in one write; long ones go out from where they
/// lie. Once a write has failed, nothing is written any more.
/// </summary>
struct OutputBuffer(BufferPool buffers, TcpSocket socket)
{
    /// <summary>Content up to this length is copied behind what is held back.</summary>
    public const int Small = 2 * 1024;

    WriteBuffer held = new(buffers);

    /// <summary>A write failed, or nothing more may be written.</summary>
    public bool IsBroken { get; private set; }

    public readonly bool IsEmpty => held.IsEmpty;

    /// <summary>Bytes that are held back.</summary>
    public readonly int Length => held.Length;

    /// <summary>Bytes that can be written without growing; after <see cref="Rent"/>.</summary>
    public readonly int Room => held.Room.Length;

    /// <summary>Before something is written, if nothing is held.</summary>
    public void Rent() => held.Rent();

    public void Write(ReadOnlySpan<byte> bytes) => held.Add(bytes);

    /// <summary>As HTTP/1.1 writes the size of a chunk.</summary>
    public void WriteHex(long number)
    {
        Utf8Formatter.TryFormat(number, held.Room, out var digits, new System.Buffers.StandardFormat('x'));
        held.Add(digits);
    }

    public void WriteField(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        var length = name.Length + value.Length + 4;
        var target = held.Room[..length];
        name.CopyTo(target);
        target[name.Length] = (byte)':';
        target[name.Length + 1] = (byte)' ';
        value.CopyTo(target[(name.Length + 2)..]);
        target[^2] = (byte)'\r';
        target[^1] = (byte)'\n';
        held.Add(length);
    }

    /// <summary>Sees to it that there is room.</summary>
    /// <returns>False where more than the limit would be held.</returns>
    public bool MakeRoom(int needed, int limit)
    {
        if (Room >= needed)
        {
            return true;
        }

        if (Length + needed > limit)
        {
            return false;
        }

        held.Grow(needed);
        return true;
    }

    /// <summary>Forgets what was written behind so many bytes.</summary>
    public void Truncate(int length) => held.Truncate(length);

    /// <summary>What was written before can no more be taken for a whole: nothing may follow it.</summary>
    public void Break() => IsBroken = true;

    /// <summary>Sends behind what is held, or holds it as well.</summary>
    /// <returns>How much was taken, or -1 when nothing more can be sent.</returns>
    public int Send(ReadOnlySpan<byte> content)
    {
        if (content.Length > Small && IsEmpty)
        {
            return SendDirectly(content);
        }

        Rent();

        // Room is kept for what ends a chunk.
        var copied = Math.Min(content.Length, Math.Max(0, Room - 2));
        Write(content[..copied]);
        if (copied == content.Length)
        {
            return copied;
        }

        if (Flush() == FlushStatus.Broken)
        {
            return -1;
        }

        return !IsEmpty ? copied : SendDirectly(content[copied..]) is >= 0 and var more ? copied + more : -1;
    }

    int SendDirectly(ReadOnlySpan<byte> content)
    {
        var sent = socket.Send(content);
        IsBroken |= sent < 0;
        return Math.Max(sent, -1);
    }

    /// <summary>Sends what the kernel takes of it.</summary>
    public FlushStatus Flush()
    {
        if (IsBroken || IsEmpty)
        {
            return IsBroken ? FlushStatus.Broken : FlushStatus.Done;
        }

        if (held.Send(socket) < 0)
        {
            IsBroken = true;
            return FlushStatus.Broken;
        }

        return IsEmpty ? FlushStatus.Done : FlushStatus.Wait;
    }

    public void Release() => held.Release();
}
