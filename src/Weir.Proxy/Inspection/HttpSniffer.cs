namespace Weir.Proxy.Inspection;

/// <summary>Tells whether a connection of unknown protocol speaks HTTP/1, from its first bytes.</summary>
public static class HttpSniffer
{
    const int LongestMethod = 20;
    const int LongestLine = 8 * 1024;

    public static Verdict IsHttp1(ReadOnlySpan<byte> bytes)
    {
        var method = 0;
        while (method < bytes.Length && bytes[method] is >= (byte)'A' and <= (byte)'Z' or (byte)'-')
        {
            method++;
        }

        if (method > LongestMethod || (method < bytes.Length && (method == 0 || bytes[method] != ' ')))
        {
            return Verdict.No;
        }

        if (method == bytes.Length)
        {
            return Verdict.NeedsMore;
        }

        if (IsCommon(bytes[..method]))
        {
            return Verdict.Yes;
        }

        // A word in capitals may begin many protocols: one line must end as a request line does.
        var line = bytes.IndexOf((byte)'\n');
        if (line < 0)
        {
            return bytes.Length > LongestLine ? Verdict.No : Verdict.NeedsMore;
        }

        var text = bytes[..line].TrimEnd((byte)'\r');
        return text.EndsWith(" HTTP/1.1"u8) || text.EndsWith(" HTTP/1.0"u8) ? Verdict.Yes : Verdict.No;
    }

    static bool IsCommon(ReadOnlySpan<byte> method) => method.Length switch
    {
        3 => method.SequenceEqual("GET"u8) || method.SequenceEqual("PUT"u8),
        4 => method.SequenceEqual("POST"u8) || method.SequenceEqual("HEAD"u8),
        5 => method.SequenceEqual("PATCH"u8) || method.SequenceEqual("TRACE"u8),
        6 => method.SequenceEqual("DELETE"u8),
        7 => method.SequenceEqual("OPTIONS"u8) || method.SequenceEqual("CONNECT"u8),
        _ => false,
    };
}
