using Weir.Proxy.Http1;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Listeners;

/// <summary>Reads the heads of a client's requests. Reused from connection to connection.</summary>
sealed class RequestReader(EventLoop loop)
{
    AsyncSocket client = null!;
    HttpOptions options = null!;

    /// <summary>What has been read and not yet served lies from <see cref="Start"/> to <see cref="End"/>.</summary>
    public byte[]? Buffer;
    public int Start;
    public int End;

    public void Attach(HttpConnection connection)
    {
        client = connection.Client;
        options = connection.Options;
    }

    public void Release()
    {
        if (Buffer is { } bytes)
        {
            Start = End = 0;
            Buffer = null;
            loop.Buffers.Return(bytes);
        }
    }

    public const int HeadTooLarge = -1;
    public const int HeadTimedOut = -2;
    public const int HeadMalformed = -3;

    /// <returns>The head's length; 0 when there will be none; or one of the negative constants.</returns>
    public ValueTask<int> ReadHeadAsync()
    {
        // The head is most often there in one piece.
        Buffer ??= loop.Buffers.RentSmall();
        if (Start == End)
        {
            var read = client.ReadAsync(Buffer.AsMemory(End), options.HeadMilliseconds);
            if (!read.IsCompletedSuccessfully)
            {
                return ReadMoreAsync(read, hasFirst: true, 0);
            }

            var count = read.Result;
            if (count <= 0)
            {
                return new ValueTask<int>(0);
            }

            End += count;
        }

        SkipEmptyLines();
        var length = HeadParser.FindEnd(Buffer.AsSpan(Start, End - Start), 0);
        return length > 0 ? new ValueTask<int>(Checked(length))
            : HeadParser.HasLoneLineFeed(Buffer.AsSpan(Start, End - Start)) ? new ValueTask<int>(HeadMalformed)
            : ReadMoreAsync(default, hasFirst: false, End - Start);
    }

    async ValueTask<int> ReadMoreAsync(ValueTask<int> first, bool hasFirst, int searched)
    {
        // However slowly the bytes come, the head must be there in time.
        var deadline = loop.Now + options.HeadMilliseconds;
        while (true)
        {
            if (End == Buffer!.Length && !hasFirst && !MakeRoom())
            {
                return HeadTooLarge;
            }

            var left = options.HeadMilliseconds == 0 ? 0 : (int)Math.Max(deadline - loop.Now, 1);
            var read = hasFirst ? await first : await client.ReadAsync(Buffer.AsMemory(End), left);
            hasFirst = false;
            if (read <= 0)
            {
                return read == -Native.EtimedOut && Start != End ? HeadTimedOut : 0;
            }

            End += read;
            if (SkipEmptyLines())
            {
                searched = 0;
            }

            var length = HeadParser.FindEnd(Buffer.AsSpan(Start, End - Start), searched);
            if (length > 0)
            {
                return Checked(length);
            }

            searched = End - Start;
            if (HeadParser.HasLoneLineFeed(Buffer.AsSpan(Start, searched)))
            {
                return HeadMalformed;
            }
        }
    }

    int Checked(int length) => length > options.MaximumHeadBytes ? HeadTooLarge : length;

    /// <summary>Also those of which a part has been looked at before.</summary>
    bool SkipEmptyLines()
    {
        var skipped = HeadParser.LeadingEmptyLines(Buffer.AsSpan(Start, End - Start));
        Start += skipped;
        return skipped > 0;
    }

    /// <summary>Moves what is there to the front, or to a larger buffer, up to the listener's limit for a head.</summary>
    bool MakeRoom()
    {
        if (Start > 0)
        {
            Buffer.AsSpan(Start, End - Start).CopyTo(Buffer);
            End -= Start;
            Start = 0;
            return true;
        }

        if (Buffer!.Length >= options.MaximumHeadBytes)
        {
            return false;
        }

        var larger = Buffer.Length < BufferPool.BufferSize ? loop.Buffers.Rent()
            : GC.AllocateUninitializedArray<byte>(Math.Min(Buffer.Length * 2, Math.Max(options.MaximumHeadBytes, BufferPool.BufferSize)), pinned: true);
        Buffer.AsSpan(0, End).CopyTo(larger);
        loop.Buffers.Return(Buffer);
        Buffer = larger;
        return true;
    }
}
