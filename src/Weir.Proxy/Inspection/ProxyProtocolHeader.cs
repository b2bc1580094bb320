using System.Buffers.Binary;
using System.Buffers.Text;
using System.Text;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Inspection;

/// <summary>
/// The header by which a load balancer in front says who its client is: versions 1 and 2 of HAProxy's PROXY protocol.
/// </summary>
/// <param name="Length">Bytes it takes on the wire.</param>
/// <param name="Source">Null when it does not say: a health check of the balancer's own, or an address of another family.</param>
public readonly record struct ProxyProtocolHeader(int Length, SocketAddressV4? Source, SocketAddressV4? Destination)
{
    /// <summary>Longest header of version 1 (section 2.1 of the specification).</summary>
    const int MaximumText = 107;

    /// <summary>A header of version 2 may carry extensions; more than this is refused.</summary>
    public const int MaximumLength = 4096;

    static ReadOnlySpan<byte> Signature => [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];

    /// <returns>No when the bytes do not begin with such a header; <paramref name="isBroken"/> when they do, but wrongly.</returns>
    public static Verdict TryParse(ReadOnlySpan<byte> bytes, out ProxyProtocolHeader header, out bool isBroken)
    {
        header = default;
        isBroken = false;
        if (bytes.IsEmpty)
        {
            return Verdict.NeedsMore;
        }

        return bytes[0] == 'P' ? ParseText(bytes, out header, out isBroken) : ParseBinary(bytes, out header, out isBroken);
    }

    static Verdict ParseText(ReadOnlySpan<byte> bytes, out ProxyProtocolHeader header, out bool isBroken)
    {
        header = default;
        isBroken = false;
        var start = "PROXY "u8;
        var common = Math.Min(bytes.Length, start.Length);
        if (!bytes[..common].SequenceEqual(start[..common]))
        {
            return Verdict.No;
        }

        var end = bytes[..Math.Min(bytes.Length, MaximumText)].IndexOf("\r\n"u8);
        if (end < 0)
        {
            isBroken = bytes.Length >= MaximumText;
            return isBroken ? Verdict.Yes : Verdict.NeedsMore;
        }

        var parts = Encoding.ASCII.GetString(bytes[start.Length..end]).Split(' ');
        switch (parts)
        {
            case ["UNKNOWN", ..]:
                header = new ProxyProtocolHeader(end + 2, null, null);
                break;
            case ["TCP6", var source, var destination, var sourcePort, var destinationPort]
                when IsAddressV6(source) && IsAddressV6(destination) && Number(sourcePort, ushort.MaxValue) >= 0 && Number(destinationPort, ushort.MaxValue) >= 0:
                header = new ProxyProtocolHeader(end + 2, null, null);
                break;
            case ["TCP4", var source, var destination, var sourcePort, var destinationPort]
                when TryAddress(source, sourcePort, out var from) && TryAddress(destination, destinationPort, out var to):
                header = new ProxyProtocolHeader(end + 2, from, to);
                break;
            default:
                isBroken = true;
                break;
        }

        return Verdict.Yes;
    }

    static bool IsAddressV6(string text) => text.Contains(':') && System.Net.IPAddress.TryParse(text, out var address)
        && address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6 && !text.AsSpan().ContainsAny('[', '%');

    static bool TryAddress(string text, string port, out SocketAddressV4 address)
    {
        var parts = text.Split('.');
        var value = 0u;
        var isValid = parts.Length == 4;
        foreach (var part in parts)
        {
            var number = Number(part, byte.MaxValue);
            isValid &= number >= 0;
            value = (value << 8) | (byte)number;
        }

        var portNumber = Number(port, ushort.MaxValue);
        address = new SocketAddressV4(value, (ushort)portNumber);
        return isValid && portNumber > 0;
    }

    /// <summary>Decimal, without the zeros before it that others read as octal (section 2.1 of the specification).</summary>
    /// <returns>-1 for what is none.</returns>
    static int Number(string text, int largest)
    {
        if (text.Length is 0 or > 5 || (text[0] == '0' && text.Length > 1) || !text.All(char.IsAsciiDigit))
        {
            return -1;
        }

        var number = int.Parse(text, System.Globalization.CultureInfo.InvariantCulture);
        return number <= largest ? number : -1;
    }

    static Verdict ParseBinary(ReadOnlySpan<byte> bytes, out ProxyProtocolHeader header, out bool isBroken)
    {
        header = default;
        isBroken = false;
        var common = Math.Min(bytes.Length, Signature.Length);
        if (!bytes[..common].SequenceEqual(Signature[..common]))
        {
            return Verdict.No;
        }

        if (bytes.Length < 16)
        {
            return Verdict.NeedsMore;
        }

        var length = 16 + BinaryPrimitives.ReadUInt16BigEndian(bytes[14..]);
        var command = bytes[12];
        if (command is not (0x20 or 0x21) || length > MaximumLength)
        {
            isBroken = true;
            return Verdict.Yes;
        }

        if (bytes.Length < length)
        {
            return Verdict.NeedsMore;
        }

        // Local connections, and families other than TCP over IPv4, say nothing that could be used.
        if (command == 0x20 || bytes[13] != 0x11)
        {
            header = new ProxyProtocolHeader(length, null, null);
            return Verdict.Yes;
        }

        if (length < 16 + 12)
        {
            isBroken = true;
            return Verdict.Yes;
        }

        var body = bytes[16..];
        header = new ProxyProtocolHeader(
            length,
            new SocketAddressV4(BinaryPrimitives.ReadUInt32BigEndian(body), BinaryPrimitives.ReadUInt16BigEndian(body[8..])),
            new SocketAddressV4(BinaryPrimitives.ReadUInt32BigEndian(body[4..]), BinaryPrimitives.ReadUInt16BigEndian(body[10..])));
        return Verdict.Yes;
    }

    /// <summary>Writes the header that tells an upstream of the client; 56 bytes at most.</summary>
    /// <param name="version">1 or 2.</param>
    public static int Write(Span<byte> target, int version, SocketAddressV4 source, SocketAddressV4 destination)
    {
        if (version == 2)
        {
            Signature.CopyTo(target);
            target[12] = 0x21;
            target[13] = 0x11;
            BinaryPrimitives.WriteUInt16BigEndian(target[14..], 12);
            BinaryPrimitives.WriteUInt32BigEndian(target[16..], source.Address);
            BinaryPrimitives.WriteUInt32BigEndian(target[20..], destination.Address);
            BinaryPrimitives.WriteUInt16BigEndian(target[24..], source.Port);
            BinaryPrimitives.WriteUInt16BigEndian(target[26..], destination.Port);
            return 28;
        }

        "PROXY TCP4 "u8.CopyTo(target);
        var at = 11;
        at += source.Format(target[at..], withPort: false);
        target[at++] = (byte)' ';
        at += destination.Format(target[at..], withPort: false);
        target[at++] = (byte)' ';
        Utf8Formatter.TryFormat(source.Port, target[at..], out var written);
        at += written;
        target[at++] = (byte)' ';
        Utf8Formatter.TryFormat(destination.Port, target[at..], out written);
        at += written;
        "\r\n"u8.CopyTo(target[at..]);
        return at + 2;
    }
}
