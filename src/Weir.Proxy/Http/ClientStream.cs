using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http;

enum HeadStatus
{
    Wait,

    /// <summary>A head of 1xx other than 101.</summary>
    Interim,
    Final,
    Failed,
}

/// <summary>An upstream's side of an exchange: one request sent, and its answer.</summary>
abstract class ClientStream : ContentStream
{
    /// <summary>Answers of 1xx that may come before the final one; more are a fault of the peer.</summary>
    public const int MaximumInterims = 1000;

    /// <summary>It has carried a request before, so that the peer may be closing it at this very moment.</summary>
    public abstract bool IsReused { get; }

    public virtual bool IsHttp2 => false;

    /// <summary>The peer has said that it did not and will not look at the request.</summary>
    public virtual bool IsUnprocessed => false;

    public abstract SocketAddressV4 LocalAddress { get; }

    /// <summary>Begins the request's head.</summary>
    /// <param name="path">With its query; the authority for CONNECT.</param>
    /// <param name="upgrade">The protocol to change to; empty for none.</param>
    public abstract void BeginHead(ReadOnlySpan<byte> method, ReadOnlySpan<byte> authority, ReadOnlySpan<byte> path, ReadOnlySpan<byte> upgrade);

    /// <returns>False when the head is too large to be sent.</returns>
    public abstract bool EndHead(ContentLength length);

    /// <summary>Reads the next head of the answer. Its slices are of <see cref="HeadBytes"/> and good until content is read or the next head.</summary>
    public abstract HeadStatus ReadHead(MessageHead head);

    public abstract ReadOnlySpan<byte> HeadBytes { get; }

    /// <summary>
    /// The exchange needs it no more. The connection is used again only if the stream is at a message boundary in both directions: the
    /// request was written whole, the answer was read whole, and neither side has said or done anything that speaks against it.
    /// </summary>
    public abstract void Release();
}
