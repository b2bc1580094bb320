using Weir.Resources;

namespace Weir.ApiServer.Storage;

/// <summary>
/// A versioned store of objects by key. Every write gets a revision greater than all before it; a revision is visible to readers
/// and watchers only once it is durable.
/// </summary>
public interface IObjectStore : IAsyncDisposable
{
    /// <summary>Of the newest write that readers can see.</summary>
    long Revision { get; }

    StoredObject? Get(string key);

    /// <summary>All objects whose key starts with the prefix, in key order, as of one revision.</summary>
    StoredList List(string prefix);

    /// <summary>Writes if the key's revision is still <paramref name="expectedRevision"/> (0: the key must not exist).</summary>
    /// <param name="value">The object without its resource version, or null to delete.</param>
    ValueTask<StoreResult> WriteAsync(string key, byte[]? value, long expectedRevision, CancellationToken cancel);

    /// <summary>All changes under the prefix after the revision; null when that revision is no longer remembered.</summary>
    StoreWatch? Watch(string prefix, long afterRevision);
}

public readonly record struct StoreResult(bool IsConflict, StoredObject? Object);

public sealed record StoredList(long Revision, IReadOnlyList<StoredObject> Items);

public sealed class StoredObject(string key, byte[] value, long revision)
{
    Resource? parsed;

    public string Key { get; } = key;
    public byte[] Value { get; } = value;
    public long Revision { get; } = revision;

    /// <summary>The object with its resource version; shared, so it must not be changed.</summary>
    public Resource Resource => parsed ??= Parse(Revision);

    public Resource Parse(long revision)
    {
        var resource = Resource.Parse(Value);
        resource.Metadata["resourceVersion"] = revision.ToString(System.Globalization.CultureInfo.InvariantCulture);
        return resource;
    }
}

/// <summary>A change: the object now (null when deleted) and before (null when created).</summary>
public sealed record StoreEvent(long Revision, string Key, StoredObject? Now, StoredObject? Before);
