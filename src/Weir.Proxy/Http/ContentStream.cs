using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http;

enum ReadStatus
{
    /// <summary>There is content.</summary>
    Content,

    /// <summary>There will be more: the owner is called then.</summary>
    Wait,

    /// <summary>The message is complete; its trailers, if any, are there.</summary>
    End,

    /// <summary>The message will not be complete; <see cref="ContentStream.Failure"/> says why.</summary>
    Failed,
}

enum FlushStatus
{
    Done,

    /// <summary>The peer is behind: the owner is called when it has caught up.</summary>
    Wait,

    /// <summary>Nothing more can be sent.</summary>
    Broken,
}

/// <summary>
/// One side of an exchange, whatever its protocol: content of one message is read from it, content of another is sent by it. Framing,
/// flow control and what becomes of the connection are the stream's alone. A stream never calls its owner while the owner calls it:
/// methods say what happened by what they return, and <see cref="LoopHandler.OnReady"/> of the owner comes from the loop.
/// </summary>
abstract class ContentStream : LoopHandler
{
    /// <summary>Called when there may be more to read or room to send, or the peer is gone.</summary>
    public LoopHandler? Owner { get; set; }

    /// <summary>Why reading failed.</summary>
    public Cause Failure { get; protected set; }

    /// <summary>Trailers of what was read; null before its end, and where there were none.</summary>
    public virtual FieldBlock? Trailers => null;

    /// <summary>What there is of content; it stays until it is consumed, and is good until the next call.</summary>
    public abstract ReadStatus Read(out ReadOnlySpan<byte> content);

    /// <summary>So much of what was read is used up: the peer may send more.</summary>
    public abstract void Consume(int count);

    /// <summary>Takes content to be sent, as much as there is room for now.</summary>
    /// <returns>How much was taken, or -1 when nothing more can be sent.</returns>
    public abstract int Send(ReadOnlySpan<byte> content);

    /// <summary>The content is complete.</summary>
    public abstract void End(FieldBlock? trailers);

    /// <summary>Sends what has been taken and held back to be sent together.</summary>
    public abstract FlushStatus Flush();

    /// <summary>Adds a field to the head that was begun. Names in any case; neither may contain line breaks.</summary>
    public abstract void Field(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value);
}
