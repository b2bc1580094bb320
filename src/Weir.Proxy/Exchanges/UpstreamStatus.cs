namespace Weir.Proxy.Exchanges;

/// <summary>How far an upstream has answered.</summary>
enum UpstreamStatus
{
    /// <summary>For the endpoint, a connection, or the client's content.</summary>
    Wait,

    /// <summary>An answer of 1xx has come: <see cref="UpstreamRequest.Response"/>.</summary>
    Interim,

    /// <summary>The head of the answer has come.</summary>
    Final,

    /// <summary>There will be no answer, or no more of it: <see cref="UpstreamRequest.Failure"/>.</summary>
    Failed,
}
