namespace Weir.Proxy.Reactor;

/// <summary>Handlers that are to be called after the other events of a turn, each once; linked through the handlers themselves.</summary>
struct DeferredQueue
{
    LoopHandler? first;
    LoopHandler? last;

    public readonly bool IsEmpty => first is null;

    public void Add(LoopHandler handler)
    {
        if (handler.IsDeferred)
        {
            return;
        }

        handler.IsDeferred = true;
        if (last is null)
        {
            first = handler;
        }
        else
        {
            last.NextDeferred = handler;
        }

        last = handler;
    }

    /// <summary>All that are there; those that are added from now on come with the next.</summary>
    public DeferredQueue TakeAll()
    {
        var all = this;
        this = default;
        return all;
    }

    /// <summary>Takes the first out, which may be added again.</summary>
    public LoopHandler? Take()
    {
        if (first is not { } taken)
        {
            return null;
        }

        first = taken.NextDeferred;
        taken.NextDeferred = null;
        taken.IsDeferred = false;
        return taken;
    }
}
