using Weir.Proxy.Http2;

namespace Weir.Proxy.LoadBalancing;

public enum UpstreamProtocol
{
    Http1,
    Http2,

    /// <summary>Whatever TLS agrees on: h2 before http/1.1.</summary>
    Alpn,

    /// <summary>The one that the client speaks.</summary>
    Downstream,
}

/// <summary>Which version of HTTP a cluster's endpoints are spoken to in.</summary>
sealed record UpstreamHttp(UpstreamProtocol Protocol, Http2Options Http2)
{
    public static readonly UpstreamHttp Http1 = new(UpstreamProtocol.Http1, Http2Options.Default);
}
