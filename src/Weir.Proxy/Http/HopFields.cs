namespace Weir.Proxy.Http;

/// <summary>
/// Fields that say what becomes of a connection of HTTP/1.1 or how its messages are framed. In HTTP/2 a message with one of them is malformed
/// (RFC 9113 section 8.2.2).
/// </summary>
static class HopFields
{
    public static bool IsOne(ReadOnlySpan<byte> name) => name.Length switch
    {
        7 => Ascii.EqualsLower(name, "upgrade"u8),
        10 => Ascii.EqualsLower(name, "connection"u8) || Ascii.EqualsLower(name, "keep-alive"u8),
        16 => Ascii.EqualsLower(name, "proxy-connection"u8),
        17 => Ascii.EqualsLower(name, "transfer-encoding"u8),
        _ => false,
    };
}
