using System.Buffers.Binary;
using System.Net;

namespace Weir.Proxy.Reactor;

/// <summary>An IPv4 address and port as one comparable value.</summary>
public readonly record struct SocketAddressV4(uint Address, ushort Port)
{
    /// <exception cref="FormatException">Not an IPv4 address, or no such port.</exception>
    public static SocketAddressV4 Parse(string address, uint port)
    {
        if (!IPAddress.TryParse(address, out var ip) || ip.AddressFamily != System.Net.Sockets.AddressFamily.InterNetwork)
        {
            throw new FormatException($"\"{address}\" is not an IPv4 address");
        }

        if (port is 0 or > ushort.MaxValue)
        {
            throw new FormatException($"{port} is not a port");
        }

        Span<byte> bytes = stackalloc byte[4];
        ip.TryWriteBytes(bytes, out _);
        return new SocketAddressV4(BinaryPrimitives.ReadUInt32BigEndian(bytes), (ushort)port);
    }

    /// <summary>In 127.0.0.0/8.</summary>
    public bool IsLoopback => Address >> 24 == 127;

    internal Native.SocketAddress ToNative() => new()
    {
        Family = Native.AfInet,
        PortNetworkOrder = BinaryPrimitives.ReverseEndianness(Port),
        AddressNetworkOrder = BinaryPrimitives.ReverseEndianness(Address),
    };

    internal static SocketAddressV4 FromNative(in Native.SocketAddress native) =>
        new(BinaryPrimitives.ReverseEndianness(native.AddressNetworkOrder), BinaryPrimitives.ReverseEndianness(native.PortNetworkOrder));

    /// <summary>The local address of a connected socket.</summary>
    internal static unsafe SocketAddressV4 OfSocket(int fd)
    {
        Native.SocketAddress address;
        var length = sizeof(Native.SocketAddress);
        return Native.GetSocketName(fd, &address, &length) == 0 ? FromNative(address) : default;
    }

    /// <summary>Writes <c>1.2.3.4</c>, and <c>:port</c> if wanted; 21 bytes at most.</summary>
    public int Format(Span<byte> target, bool withPort)
    {
        var length = 0;
        for (var shift = 24; shift >= 0; shift -= 8)
        {
            System.Buffers.Text.Utf8Formatter.TryFormat((byte)(Address >> shift), target[length..], out var written);
            length += written;
            if (shift > 0)
            {
                target[length++] = (byte)'.';
            }
        }

        if (withPort)
        {
            target[length++] = (byte)':';
            System.Buffers.Text.Utf8Formatter.TryFormat(Port, target[length..], out var written);
            length += written;
        }

        return length;
    }

    public override string ToString()
    {
        Span<byte> text = stackalloc byte[24];
        return System.Text.Encoding.ASCII.GetString(text[..Format(text, true)]);
    }
}
