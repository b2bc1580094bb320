namespace Weir.Proxy.Upstream;

/// <summary>How far an attempt has come.</summary>
enum AttemptState : byte
{
    None,

    /// <summary>All connections that the cluster allows are in use.</summary>
    Waiting,
    Connecting,

    /// <summary>There is a <see cref="Attempt.Stream"/>.</summary>
    Ready,
    Failed,
}
