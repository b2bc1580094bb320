using System.Net;
using System.Net.Sockets;

namespace Weir.Proxy.Admin;

/// <summary>What the proxy's own pages ask of a request.</summary>
/// <param name="Host">As the client named the proxy; empty where it did not.</param>
/// <param name="Origin">Of a page in a browser that makes the request; null without one.</param>
/// <param name="FetchSite">What the browser says of where the request comes from (<c>Sec-Fetch-Site</c>); null without it.</param>
readonly record struct PageRequest(string Method, string Target, string Host, string? Origin = null, string? FetchSite = null)
{
    /// <summary>
    /// Why the administration does not answer it; null when it does. A browser reaches loopback addresses too, for pages of strangers: under a
    /// name that resolves to one (DNS rebinding), and by posting across origins.
    /// </summary>
    public string? Refusal()
    {
        if (!NamesLoopback(Host))
        {
            return "the administration answers under loopback names alone: localhost, 127.0.0.1 or [::1] in Host\n";
        }

        var isRead = Method is "GET" or "HEAD";
        return isRead || (Origin is null && FetchSite is null or "none") ? null : "a page in a browser may not change the proxy: the request carries Origin or Sec-Fetch-Site\n";
    }

    /// <summary><c>localhost</c>, an address of 127.0.0.0/8 or <c>[::1]</c>, with a port or without.</summary>
    static bool NamesLoopback(ReadOnlySpan<char> host)
    {
        var colon = host.LastIndexOf(':');
        if (colon > host.LastIndexOf(']') && host[(colon + 1)..].IndexOfAnyExceptInRange('0', '9') < 0)
        {
            host = host[..colon];
        }

        // Four numbers without leading zeros: what other readers take for octal or for a shorter form is no name of ours.
        return host.Equals("localhost", StringComparison.OrdinalIgnoreCase) || host.SequenceEqual("[::1]")
            || (IPAddress.TryParse(host, out var address) && address.AddressFamily == AddressFamily.InterNetwork && IPAddress.IsLoopback(address)
                && host.SequenceEqual(address.ToString()));
    }
}
