namespace Weir.Proxy.Http2;

/// <summary>The last so many streams that ended in one way: frames of theirs may still be on their way (RFC 9113 section 5.1).</summary>
struct RecentStreams(int capacity)
{
    int[]? ids;
    int count;

    public void Add(int id)
    {
        ids ??= new int[capacity];
        ids[count++ % capacity] = id;
        count = count == capacity * 2 ? capacity : count;
    }

    public readonly bool Contains(int id) => ids is not null && Array.IndexOf(ids, id, 0, Math.Min(count, capacity)) >= 0;
}
