using Weir.Proxy.Http;

namespace Weir.Proxy.Exchanges;

enum PipeStatus
{
    /// <summary>For more content, or for room to send it.</summary>
    Wait,

    /// <summary>There is more, but others should have their turn.</summary>
    Yield,

    /// <summary>All content has been passed on; the end has not.</summary>
    End,
    SourceFailed,
    SinkFailed,
}

/// <summary>
/// Passes content from one stream to another: nothing is read before there is room for what was read, so that a slow receiver slows the
/// sender and memory does not grow. Knows content, neither chunks nor frames.
/// </summary>
struct BodyPipe
{
    /// <summary>Content passed on in one turn, so that one fast transfer does not take a loop for itself.</summary>
    const int MaximumPerTurn = 512 * 1024;
    const int MaximumPieces = 64;

    /// <summary>Content that was passed on.</summary>
    public long Bytes { get; private set; }

    /// <summary>The receiver has been told of the end, or wants no more.</summary>
    public bool IsDone { get; set; }

    /// <param name="replay">Keeps what is passed on, and is sent first where it is to be sent again; null for none.</param>
    public PipeStatus Run(ContentStream source, ContentStream sink, BodyReplay? replay = null)
    {
        while (replay is { HasMore: true })
        {
            var taken = replay.SendTo(sink);
            if (taken <= 0)
            {
                return taken < 0 || sink.Flush() == FlushStatus.Broken ? PipeStatus.SinkFailed : PipeStatus.Wait;
            }

            Bytes += taken;
        }

        var limit = Bytes + MaximumPerTurn;
        for (var pieces = 0; ; pieces++)
        {
            switch (source.Read(out var content))
            {
                case ReadStatus.Content:
                    var taken = sink.Send(content);
                    if (taken < 0)
                    {
                        return PipeStatus.SinkFailed;
                    }

                    replay?.Keep(content[..taken]);
                    source.Consume(taken);
                    Bytes += taken;
                    if (taken < content.Length)
                    {
                        var flushed = sink.Flush();
                        if (flushed == FlushStatus.Done && taken > 0)
                        {
                            // It took what ended a piece of its own framing; there may be room for the next.
                            continue;
                        }

                        return flushed == FlushStatus.Broken ? PipeStatus.SinkFailed : PipeStatus.Wait;
                    }

                    if (Bytes >= limit || pieces >= MaximumPieces)
                    {
                        return sink.Flush() == FlushStatus.Broken ? PipeStatus.SinkFailed : PipeStatus.Yield;
                    }

                    break;
                case ReadStatus.Wait:
                    return sink.Flush() == FlushStatus.Broken ? PipeStatus.SinkFailed : PipeStatus.Wait;
                case ReadStatus.End:
                    return PipeStatus.End;
                default:
                    sink.Flush();
                    return PipeStatus.SourceFailed;
            }
        }
    }
}
