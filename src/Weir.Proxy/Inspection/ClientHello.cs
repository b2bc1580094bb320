using System.Buffers.Binary;
using System.Text;

namespace Weir.Proxy.Inspection;

/// <summary>What a look at the first bytes of a connection can say.</summary>
public enum Verdict
{
    NeedsMore,
    Yes,
    No,
}

/// <summary>What a TLS client asks for before anything is encrypted (RFC 8446 section 4.1.2, RFC 6066 section 3, RFC 7301).</summary>
/// <param name="ServerName">In lower case; empty when the client names none.</param>
public sealed record ClientHello(string ServerName, IReadOnlyList<string> Alpn)
{
    /// <summary>The message may be spread over records; a larger one is no ordinary client's.</summary>
    public const int MaximumLength = 16 * 1024;

    const byte HandshakeRecord = 22;
    const byte ClientHelloMessage = 1;
    const int ServerNameExtension = 0;
    const int AlpnExtension = 16;

    /// <summary>Reads it from the start of a connection's bytes. Bytes that begin like TLS but do not continue so are no TLS.</summary>
    public static Verdict TryParse(ReadOnlySpan<byte> bytes, out ClientHello? hello)
    {
        hello = null;
        if (bytes.IsEmpty)
        {
            return Verdict.NeedsMore;
        }

        if (bytes[0] != HandshakeRecord || (bytes.Length > 1 && bytes[1] != 3))
        {
            return Verdict.No;
        }

        Span<byte> message = stackalloc byte[MaximumLength];
        var length = Gather(bytes, message, out var verdict);
        if (verdict == Verdict.No || (length > 0 && message[0] != ClientHelloMessage))
        {
            return Verdict.No;
        }

        if (length < 4)
        {
            return verdict == Verdict.Yes ? Verdict.NeedsMore : verdict;
        }

        var size = (message[1] << 16) | (message[2] << 8) | message[3];
        if (size > MaximumLength - 4)
        {
            return Verdict.No;
        }

        if (length < size + 4)
        {
            return Verdict.NeedsMore;
        }

        hello = Read(message.Slice(4, size));
        return hello is null ? Verdict.No : Verdict.Yes;
    }

    /// <summary>Puts the contents of the handshake records together.</summary>
    static int Gather(ReadOnlySpan<byte> bytes, Span<byte> target, out Verdict verdict)
    {
        var length = 0;
        verdict = Verdict.NeedsMore;
        while (bytes.Length >= 5)
        {
            var size = BinaryPrimitives.ReadUInt16BigEndian(bytes[3..]);
            if (bytes[0] != HandshakeRecord || bytes[1] != 3 || size == 0 || size > MaximumLength + 256)
            {
                // After a whole ClientHello anything may follow.
                verdict = length > 0 ? Verdict.NeedsMore : Verdict.No;
                return length;
            }

            var part = bytes.Slice(5, Math.Min(size, bytes.Length - 5));
            part = part[..Math.Min(part.Length, target.Length - length)];
            part.CopyTo(target[length..]);
            length += part.Length;
            if (bytes.Length < 5 + size || length == target.Length)
            {
                return length;
            }

            bytes = bytes[(5 + size)..];
        }

        return length;
    }

    static ClientHello? Read(ReadOnlySpan<byte> body)
    {
        // Version and random, then three lists with lengths before them: session id, cipher suites, compression methods.
        var at = 34;
        if (!Skip(body, ref at, 1) || !Skip(body, ref at, 2) || !Skip(body, ref at, 1))
        {
            return null;
        }

        var name = "";
        var alpn = new List<string>();
        if (at == body.Length)
        {
            return new ClientHello(name, alpn);
        }

        if (!Take(body, ref at, 2, out var extensions) || at != body.Length)
        {
            return null;
        }

        at = 0;
        while (at < extensions.Length)
        {
            if (extensions.Length - at < 2)
            {
                return null;
            }

            var kind = BinaryPrimitives.ReadUInt16BigEndian(extensions[at..]);
            at += 2;
            if (!Take(extensions, ref at, 2, out var content)
                || (kind == ServerNameExtension && !ReadServerName(content, out name))
                || (kind == AlpnExtension && !ReadAlpn(content, alpn)))
            {
                return null;
            }
        }

        return new ClientHello(name, alpn);
    }

    static bool ReadServerName(ReadOnlySpan<byte> content, out string name)
    {
        name = "";
        var at = 0;
        if (!Take(content, ref at, 2, out var list) || list.Length < 3 || list[0] != 0)
        {
            return false;
        }

        at = 1;
        if (!Take(list, ref at, 2, out var host) || host.IsEmpty || host.Length > 255 || host.IndexOfAnyExceptInRange((byte)0x21, (byte)0x7e) >= 0)
        {
            return false;
        }

        name = Encoding.ASCII.GetString(host).ToLowerInvariant();
        return true;
    }

    static bool ReadAlpn(ReadOnlySpan<byte> content, List<string> alpn)
    {
        var at = 0;
        if (!Take(content, ref at, 2, out var list))
        {
            return false;
        }

        at = 0;
        while (at < list.Length)
        {
            if (!Take(list, ref at, 1, out var protocol) || protocol.IsEmpty)
            {
                return false;
            }

            alpn.Add(Encoding.Latin1.GetString(protocol));
        }

        return true;
    }

    static bool Skip(ReadOnlySpan<byte> bytes, ref int at, int lengthBytes) => Take(bytes, ref at, lengthBytes, out _);

    /// <summary>A stretch with its length before it, in one or two bytes.</summary>
    static bool Take(ReadOnlySpan<byte> bytes, ref int at, int lengthBytes, out ReadOnlySpan<byte> content)
    {
        content = default;
        if (bytes.Length - at < lengthBytes)
        {
            return false;
        }

        var length = lengthBytes == 1 ? bytes[at] : BinaryPrimitives.ReadUInt16BigEndian(bytes[at..]);
        at += lengthBytes;
        if (bytes.Length - at < length)
        {
            return false;
        }

        content = bytes.Slice(at, length);
        at += length;
        return true;
    }
}
