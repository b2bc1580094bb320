using System.Buffers.Text;
using System.Security.Cryptography;

namespace Weir.Proxy.Http2;

/// <summary>
/// The key by which a client of HTTP/1.1 finds out that whoever answers it speaks WebSocket (RFC 6455 section 4). HTTP/2 has none
/// (RFC 8441 section 5), so the proxy answers it. Reused with its stream.
/// </summary>
sealed class WebSocketKey
{
    /// <summary>The octets of an answer to a key.</summary>
    public const int AcceptSize = 28;

    readonly byte[] key = new byte[24];

    /// <summary>The client has sent one, of the right length.</summary>
    public bool HasValue { get; private set; }

    public void Clear() => HasValue = false;

    public void Set(ReadOnlySpan<byte> value)
    {
        HasValue = value.Length == key.Length;
        value[..Math.Min(value.Length, key.Length)].CopyTo(key);
    }

    /// <summary>Writes what the client expects to be answered.</summary>
    public void WriteAccept(Span<byte> target)
    {
        Span<byte> text = stackalloc byte[60];
        key.CopyTo(text);
        "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"u8.CopyTo(text[24..]);
        Span<byte> hash = stackalloc byte[20];
#pragma warning disable CA5350 // RFC 6455 section 4.2.2 asks for SHA-1; nothing is kept secret by it.
        SHA1.HashData(text, hash);
#pragma warning restore CA5350
        Base64.EncodeToUtf8(hash, target, out _, out _);
    }
}
