namespace Weir.Proxy.Simulation;

/// <summary>What one end of a connection has been sent and has not read: some of it delivered, the rest still in flight.</summary>
sealed class BytesUnderWay
{
    byte[] bytes = new byte[256];
    int head;
    int tail;

    public int Unread => tail - head;

    /// <summary>Those that the network has delivered.</summary>
    public int Visible { get; private set; }

    public int InFlight => Unread - Visible;

    public void Append(ReadOnlySpan<byte> added)
    {
        if (bytes.Length - tail < added.Length)
        {
            var unread = Unread;
            var target = bytes.Length - unread < added.Length ? new byte[Math.Max(bytes.Length * 2, unread + added.Length)] : bytes;
            bytes.AsSpan(head, unread).CopyTo(target);
            (bytes, head, tail) = (target, 0, unread);
        }

        added.CopyTo(bytes.AsSpan(tail));
        tail += added.Length;
    }

    public void Deliver(int count) => Visible += count;

    public int Read(Span<byte> target, bool isPeek)
    {
        var count = Math.Min(Visible, target.Length);
        bytes.AsSpan(head, count).CopyTo(target);
        if (!isPeek)
        {
            head += count;
            Visible -= count;
        }

        return count;
    }

    /// <summary>Nobody is there to take them.</summary>
    public void Drop() => (head, Visible) = (tail, 0);

    /// <summary>They will not arrive.</summary>
    public void DropInFlight() => tail = head + Visible;
}
