using Weir.Proxy.Reactor;

namespace Weir.Proxy.Telemetry;

/// <summary>
/// Lines on their way to a file, a pipe or a terminal, and the thread that writes them there. Who has a line never waits for the other
/// end: what does not fit in the queue is dropped and counted. Callable from any thread.
/// </summary>
public sealed class LogSink
{
    /// <summary>Lines are handed over in one piece of at most this.</summary>
    public const int BlockSize = 64 * 1024;

    /// <summary>Of <see cref="BlockSize"/> each: a mebibyte may wait for the writer.</summary>
    public const int MaximumBlocks = 16;

    /// <summary>How long the writer lets lines gather, so that a quiet log does not cost a system call for each.</summary>
    const int GatherMilliseconds = 10;
    const int MaximumSpares = 2;

    readonly Lock starting = new();
    readonly object gate = new();
    readonly Queue<Block> queue = new(MaximumBlocks);
    readonly Stack<Block> spares = new(MaximumSpares);
    readonly int descriptor;
    readonly bool ownsDescriptor;
    readonly Action<int> onDropped;
    Block? filling;
    Thread? writer;

    /// <summary>Blocks in the queue, and the one being written.</summary>
    int blocks;
    int flushing;
    bool isIdle;
    bool isClosing;

    /// <param name="ownsDescriptor">It is closed when the last line has been written after <see cref="Close"/>.</param>
    /// <param name="onDropped">Called with a number of lines, on the thread that had them or on the writer's.</param>
    public LogSink(int descriptor, bool ownsDescriptor, Action<int> onDropped)
    {
        this.descriptor = descriptor;
        this.ownsDescriptor = ownsDescriptor;
        this.onDropped = onDropped;
    }

    sealed class Block
    {
        public readonly byte[] Bytes = GC.AllocateUninitializedArray<byte>(BlockSize, pinned: true);
        public int Length;
    }

    /// <summary>Queues whole lines, at most <see cref="BlockSize"/> bytes of them; they are written together or dropped together.</summary>
    public void Append(ReadOnlySpan<byte> lines, int count)
    {
        if (writer is null)
        {
            Start();
        }

        if (!TryAppend(lines))
        {
            onDropped(count);
        }
    }

    bool TryAppend(ReadOnlySpan<byte> lines)
    {
        lock (gate)
        {
            if (isClosing || (RoomFor_NeedsLock(lines.Length) is not { } block))
            {
                return false;
            }

            lines.CopyTo(block.Bytes.AsSpan(block.Length));
            block.Length += lines.Length;
            if (isIdle)
            {
                isIdle = false;
                Monitor.PulseAll(gate);
            }

            return true;
        }
    }

    Block? RoomFor_NeedsLock(int length)
    {
        if (filling is not null && BlockSize - filling.Length >= length)
        {
            return filling;
        }

        if (blocks == MaximumBlocks || length > BlockSize)
        {
            return null;
        }

        if (!spares.TryPop(out filling))
        {
            filling = new Block();
        }

        filling.Length = 0;
        queue.Enqueue(filling);
        blocks++;
        return filling;
    }

    /// <summary>Waits until everything is written, at most so long.</summary>
    /// <returns>Whether it is.</returns>
    public bool Flush(TimeSpan limit)
    {
        var deadline = Environment.TickCount64 + (long)limit.TotalMilliseconds;
        lock (gate)
        {
            flushing++;
            Monitor.PulseAll(gate);
            while (blocks > 0 && deadline - Environment.TickCount64 is > 0 and var left)
            {
                Monitor.Wait(gate, (int)left);
            }

            flushing--;
            return blocks == 0;
        }
    }

    /// <summary>Takes no more. What is queued is still written, as long as the other end takes it.</summary>
    public void Close()
    {
        lock (gate)
        {
            isClosing = true;
            Monitor.PulseAll(gate);
        }

        if (writer is null && ownsDescriptor)
        {
            _ = Native.Close(descriptor);
        }
    }

    void Start()
    {
        lock (starting)
        {
            if (writer is null)
            {
                var thread = new Thread(Run, 256 * 1024) { IsBackground = true, Name = "log" };
                thread.Start();
                writer = thread;
            }
        }
    }

    void Run()
    {
        while (Take() is { } block)
        {
            var lost = BlockingWriter.Write(descriptor, block.Bytes.AsSpan(0, block.Length));
            lock (gate)
            {
                blocks--;
                if (spares.Count < MaximumSpares)
                {
                    spares.Push(block);
                }

                Monitor.PulseAll(gate);
            }

            if (lost > 0)
            {
                onDropped(lost);
            }
        }

        if (ownsDescriptor)
        {
            _ = Native.Close(descriptor);
        }
    }

    /// <summary>The next block to write; null when there will be none.</summary>
    Block? Take()
    {
        lock (gate)
        {
            while (queue.Count == 0)
            {
                if (isClosing)
                {
                    return null;
                }

                isIdle = true;
                Monitor.Wait(gate);
            }

            isIdle = false;
            if (queue.Count == 1 && flushing == 0 && !isClosing)
            {
                Monitor.Wait(gate, GatherMilliseconds);
            }

            var block = queue.Dequeue();
            if (ReferenceEquals(block, filling))
            {
                filling = null;
            }

            return block;
        }
    }
}
