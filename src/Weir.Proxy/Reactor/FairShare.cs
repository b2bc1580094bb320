namespace Weir.Proxy.Reactor;

/// <summary>
/// Keeps one busy connection from taking a loop for itself: after so many operations in one turn the rest waits until the others have
/// had theirs. Used where nothing else would wait, since both ends are fast.
/// </summary>
sealed class FairShare(EventLoop loop) : Signal
{
    public const int Most = 32;

    long turn;
    int taken;

    /// <summary>Before each operation.</summary>
    public ValueTask<int> TakeAsync() => TryTake() ? default : YieldAsync();

    /// <returns>Whether the operation may be done now; otherwise after <see cref="YieldAsync"/>.</returns>
    public bool TryTake()
    {
        if (turn != loop.Turn)
        {
            (turn, taken) = (loop.Turn, 0);
        }

        return ++taken <= Most;
    }

    public ValueTask<int> YieldAsync() => loop.YieldAsync(this);
}
