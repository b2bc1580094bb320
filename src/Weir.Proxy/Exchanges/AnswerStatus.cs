namespace Weir.Proxy.Exchanges;

/// <summary>How far the client has been sent its answer.</summary>
enum AnswerStatus
{
    /// <summary>For more of it, or for room to send it.</summary>
    Wait,

    /// <summary>All of it has been passed on.</summary>
    Done,

    /// <summary>It cannot be sent whole.</summary>
    Failed,
}
