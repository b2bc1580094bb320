using System.Buffers.Text;
using System.Security.Cryptography;
using Weir.Proxy.Http;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http2;

/// <summary>
/// Shows a WebSocket that an upstream has accepted by an extended CONNECT (RFC 8441) as what it is in HTTP/1.1: a switch of protocols. By
/// the answer to its key a client of HTTP/1.1 finds out that whoever answers speaks WebSocket (RFC 6455 section 4); HTTP/2 has none
/// (RFC 8441 section 5), so the proxy answers it. Reused with its stream.
/// </summary>
sealed class WebSocketUpgrade
{
    /// <summary>The octets of an answer to a key.</summary>
    const int AnswerSize = 28;

    readonly byte[] key = new byte[24];
    bool hasKey;

    static ReadOnlySpan<byte> Protocol => "websocket"u8;

    static ReadOnlySpan<byte> AnswerName => "sec-websocket-accept"u8;

    public void Clear() => hasKey = false;

    /// <summary>The client has sent one. It counts if it has the right length.</summary>
    public void SetKey(ReadOnlySpan<byte> value)
    {
        hasKey = value.Length == key.Length;
        value[..Math.Min(value.Length, key.Length)].CopyTo(key);
    }

    /// <summary>Makes the head that has come one of HTTP/1.1.</summary>
    /// <returns>False where there is no room for what that takes.</returns>
    public bool TryAccept(MessageHead head, FieldBlock fields, BufferPool buffers)
    {
        head.Status = 101;
        var needed = Protocol.Length + AnswerName.Length + AnswerSize;
        if (fields.Room.Length < needed && !fields.Grow(buffers, needed, BufferPool.BufferSize * 4))
        {
            return false;
        }

        head.Upgrade = Take(fields, Protocol);
        if (!hasKey)
        {
            return true;
        }

        var name = Take(fields, AnswerName);
        WriteAnswer(fields.Room[..AnswerSize]);
        return head.Headers.Add(name, fields.Take(AnswerSize), KnownHeader.Other);
    }

    static Slice Take(FieldBlock fields, ReadOnlySpan<byte> text)
    {
        text.CopyTo(fields.Room);
        return fields.Take(text.Length);
    }

    void WriteAnswer(Span<byte> target)
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
