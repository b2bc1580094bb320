using System.Threading.Channels;

namespace Weir.ApiServer.Storage;

/// <summary>A watcher's own bounded queue. A reader that falls further behind than the bound is cut off and lists again.</summary>
public sealed class StoreWatch(string prefix, Action<StoreWatch> onDispose) : IDisposable
{
    const int Capacity = 4096;

    readonly Channel<StoreEvent> queue = Channel.CreateBounded<StoreEvent>(
        new BoundedChannelOptions(Capacity) { SingleReader = true, FullMode = BoundedChannelFullMode.Wait });

    public string Prefix { get; } = prefix;

    /// <summary>Completes when the watcher has fallen behind or the store is closing.</summary>
    public ChannelReader<StoreEvent> Events => queue.Reader;

    internal void Offer(StoreEvent change)
    {
        if (!queue.Writer.TryWrite(change))
        {
            queue.Writer.TryComplete();
        }
    }

    internal void Close() => queue.Writer.TryComplete();

    public void Dispose() => onDispose(this);
}
