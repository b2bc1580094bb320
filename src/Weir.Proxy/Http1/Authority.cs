using System.Buffers;

namespace Weir.Proxy.Http1;

/// <summary>The host and port of a request (RFC 3986 sections 3.2.2 and 3.2.3, without user information).</summary>
static class Authority
{
    const int LargestPort = 65_535;

    /// <summary>Of a registered name or IPv4 address: unreserved, percent and sub-delims.</summary>
    static readonly SearchValues<byte> NameBytes =
        SearchValues.Create("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-._~%!$&'()*+,;="u8);

    /// <summary>Of what stands in brackets, an address of IPv6 or later, with a zone perhaps (RFC 6874).</summary>
    static readonly SearchValues<byte> LiteralBytes =
        SearchValues.Create("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-._~%!$&'()*+,;=:"u8);

    public static bool IsValid(ReadOnlySpan<byte> authority)
    {
        if (authority.IsEmpty)
        {
            return false;
        }

        if (authority[0] == '[')
        {
            var end = authority.IndexOf((byte)']');
            return end > 1 && authority[1..end].IndexOfAnyExcept(LiteralBytes) < 0 && authority[1..end].Contains((byte)':') && IsPort(authority[(end + 1)..]);
        }

        var colon = authority.IndexOf((byte)':');
        var name = colon < 0 ? authority : authority[..colon];
        return name.Length > 0 && name.IndexOfAnyExcept(NameBytes) < 0 && (colon < 0 || IsPort(authority[colon..]));
    }

    /// <summary>With its colon; the grammar lets the number be left out.</summary>
    static bool IsPort(ReadOnlySpan<byte> port)
    {
        if (port.IsEmpty)
        {
            return true;
        }

        if (port[0] != ':')
        {
            return false;
        }

        var number = 0;
        foreach (var digit in port[1..])
        {
            if (digit is < (byte)'0' or > (byte)'9' || (number = (number * 10) + (digit - '0')) > LargestPort)
            {
                return false;
            }
        }

        return true;
    }
}
