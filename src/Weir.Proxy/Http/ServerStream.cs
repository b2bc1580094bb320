using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Http;

/// <summary>How long the content of a message is that is about to be sent.</summary>
/// <param name="Length">As declared; -1 when nobody has said.</param>
/// <param name="HasContent">False when none follows the head, whatever was declared (HEAD, 304).</param>
readonly record struct ContentLength(long Length, bool HasContent)
{
    public static readonly ContentLength None = new(-1, false);

    public static readonly ContentLength Unknown = new(-1, true);
}

/// <summary>The client's side of an exchange: one request, and its answer.</summary>
abstract class ServerStream : ContentStream
{
    /// <summary>The request's head; slices are of <see cref="RequestBytes"/>. Stays until <see cref="Finish"/>.</summary>
    public MessageHead Request { get; } = new();

    public abstract Span<byte> RequestBytes { get; }

    public abstract Downstream Downstream { get; }

    /// <summary>What the connection's client is allowed: the settings of whoever serves it.</summary>
    public abstract ServerLimits Limits { get; }

    public virtual bool IsHttp2 => false;

    /// <summary>As logs name it.</summary>
    public abstract byte[] Protocol { get; }

    /// <summary>All of the request has come and been read.</summary>
    public abstract bool IsRequestDone { get; }

    /// <summary>The client is not there any more.</summary>
    public abstract bool IsGone { get; }

    /// <summary>The client will send nothing more: it may have gone, or may only wait for the answer.</summary>
    public abstract bool IsHalfClosed { get; }

    /// <summary>Reads over what has come of a content that nobody wants.</summary>
    /// <returns>Whether that was all of it.</returns>
    public abstract bool SkipContent();

    /// <summary>Begins an interim answer (1xx). False where the client knows none.</summary>
    public abstract bool BeginInterim(int status);

    /// <summary>Begins the answer's head.</summary>
    /// <param name="reason">Where the protocol has one.</param>
    public abstract void BeginHead(int status, ReadOnlySpan<byte> reason);

    /// <summary>Ends the head begun last. After 101, and 2xx to CONNECT, content goes both ways without an end of its own.</summary>
    /// <param name="isLast">No more of the request will be read: the client is told that the connection ends with this answer.</param>
    /// <returns>False when the head is too large to be sent.</returns>
    public abstract bool EndHead(ContentLength length, bool isLast);

    /// <summary>The exchange is over, its answer sent whole: the connection goes on if it can.</summary>
    public abstract void Finish();

    /// <summary>The exchange is over, and the client must not take what it has for the whole.</summary>
    public abstract void Reset(Cause cause);

    /// <summary>The exchange is over without an answer.</summary>
    public abstract void Close();
}

/// <summary>Who serves requests.</summary>
abstract class RequestHandler
{
    /// <summary>Takes over a request whose head has come, until it calls <see cref="ServerStream.Finish"/> or another end.</summary>
    /// <param name="refusal">Not <see cref="Cause.None"/> for what could not be read: it is answered, and nothing else.</param>
    /// <param name="text">To answer it with, in place of the cause's own.</param>
    public abstract void Begin(ServerStream stream, Cause refusal, byte[]? text);
}
