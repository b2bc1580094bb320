namespace Weir.Proxy.Http2;

/// <summary>What one header field is for HTTP/2 (RFC 9113 section 8), found by <see cref="HeaderFieldRules"/>.</summary>
public enum FieldKind : byte
{
    Regular,
    Host,
    ContentLength,
    Expect,
    Cookie,

    /// <summary>"te: trailers"; any other value is malformed.</summary>
    Te,

    /// <summary>Proxy-Authenticate or Proxy-Authorization: for this hop alone.</summary>
    ProxyAuthentication,

    Method,
    Scheme,
    Authority,
    Path,
    Protocol,
    Status,

    /// <summary>May not stand in any HTTP/2 message: the message is malformed (RFC 9113 section 8.1.1).</summary>
    Malformed,
}
