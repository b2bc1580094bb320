namespace Weir.Proxy.Http1;

/// <summary>Whose connections to upstreams are.</summary>
abstract class Http1ClientOwner
{
    /// <summary>The stream can carry another request.</summary>
    /// <returns>False when it is not wanted: it is closed then.</returns>
    public abstract bool TryKeep(Http1ClientStream stream);

    /// <summary>It is about to be closed; its socket is still open.</summary>
    public abstract void OnClosing(Http1ClientStream stream);
}
