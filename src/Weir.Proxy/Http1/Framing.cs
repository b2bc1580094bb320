namespace Weir.Proxy.Http1;

/// <summary>How the receiver finds the end of what is sent.</summary>
enum Framing : byte
{
    /// <summary>Nothing follows the head.</summary>
    None,
    Length,
    Chunked,

    /// <summary>By the end of the connection: HTTP/1.0, and tunnels.</summary>
    Close,
}
