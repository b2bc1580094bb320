namespace Weir.Proxy.Reactor;

/// <summary>
/// Whoever waits for something on a loop: a connection, a stream, an exchange. There is one way to wait: be the handler of a socket, or
/// of a stream, or defer yourself, and be called by <see cref="OnReady"/>; or set the deadline that every handler has, and be called by
/// <see cref="TimerEntry.OnDue"/>. Both run on the loop's thread with nothing of the handler's below them on the stack.
/// </summary>
abstract class LoopHandler : TimerEntry
{
    internal LoopHandler? NextDeferred;
    internal bool IsDeferred;

    /// <summary>Something has changed: go on as far as it goes. May come when nothing has.</summary>
    public abstract void OnReady();

    /// <summary>After a defect of ours while it ran: lets go of all that it holds, without being nice to anybody.</summary>
    public abstract void Abandon();
}
