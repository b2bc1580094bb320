namespace Weir.Proxy.Http2;

/// <summary>Whose connections to upstreams are.</summary>
abstract class Http2ClientOwner
{
    /// <summary>Streams can be opened that could not be before.</summary>
    public abstract void OnAvailable(Http2ClientConnection connection);

    /// <summary>No more streams can be opened on it, though those there are go on.</summary>
    public abstract void OnUnavailable(Http2ClientConnection connection);

    /// <summary>It is about to be closed because its endpoint floods it.</summary>
    public abstract void OnFlood(Http2ClientConnection connection);

    /// <summary>It is about to be closed; its socket is still open.</summary>
    public abstract void OnClosing(Http2ClientConnection connection);
}
