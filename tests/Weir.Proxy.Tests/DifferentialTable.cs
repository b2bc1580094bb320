namespace Weir.Proxy.Tests;

/// <summary>Cases in which Weir, nginx and HAProxy do not do the same, and why ours does what it does.</summary>
static class DifferentialTable
{
    public static readonly Dictionary<string, string> Explained = new()
    {
        ["named header"] = "What Connection names is for this hop alone (RFC 9110 section 7.6.1): we drop it, nginx and HAProxy pass it on.",
        ["keep-alive header"] = "Keep-Alive is for this hop alone; HAProxy passes it on.",
        ["te"] = "TE is for this hop alone; HAProxy passes it on.",
        ["upgrade to h2c"] = "An upgrade that is not configured is not offered further, as with nginx; HAProxy offers it, which is how requests were smuggled past it (h2c smuggling).",
        ["absolute form"] = "Towards a server we send the origin form, as nginx does; HAProxy sends what it got.",
        ["absolute form, another host"] = "The target's authority replaces Host (RFC 9112 section 3.2.2); nginx sends Host on, so that two hosts are believed; HAProxy refuses.",
        ["expect"] = "The body came with the head, so 100 is not sent (RFC 9110 section 10.1.1 allows it), as with HAProxy; nginx sends it.",
        ["no host"] = "A request of HTTP/1.1 without Host is refused (RFC 9112 section 3.2), as by nginx; HAProxy serves it.",
        ["the same length twice"] = "Refused, as by nginx: section 6.3 allows either. HAProxy makes one of the two.",
        ["length and chunks"] = "Refused, as by nginx: section 6.3 calls it an attempt to smuggle. HAProxy drops the length and closes afterwards.",
        ["unknown coding"] = "The end of the body cannot be told: refused with 400 (section 6.3), as by HAProxy; nginx says 501. In each case the connection is closed.",
        ["a coding, then chunked"] = "Nobody decodes it: refused with 501 (section 6.1), as by nginx; HAProxy passes it on.",
        ["chunked twice"] = "The same.",
        ["folded header"] = "Refused, as by nginx (section 5.2 allows it); HAProxy puts spaces in place of the line break.",
        ["nul in value"] = "Refused, as by nginx (RFC 9110 section 5.5); HAProxy 2.6 passes the NUL on.",
        ["line feed alone"] = "Refused. Section 2.2 lets a recipient take it for the end of a line, as nginx and HAProxy do; readers that do and readers that do not, one behind the other, is how requests are smuggled.",
        ["no version"] = "HTTP/0.9 is refused, as by HAProxy; nginx serves it.",
        ["version 3"] = "Refused with 505, as by nginx; HAProxy takes it for 1.1.",
        ["two spaces"] = "The grammar has one space (section 3); nginx and HAProxy take more.",
        ["connect"] = "Not configured, so 501; nginx says 400, HAProxy connects to its server and passes the request on.",
        ["fragment"] = "A fragment is never part of a request target (RFC 9112 section 3.2), as with HAProxy; nginx passes it on, and what is behind may route by it.",
        ["chunks in 1.0"] = "Refused, as by nginx: HTTP/1.0 has no transfer codings (section 6.1). HAProxy reads the chunks and closes.",
    };
}
