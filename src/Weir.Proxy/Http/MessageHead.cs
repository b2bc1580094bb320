namespace Weir.Proxy.Http;

public enum BodyKind : byte
{
    None,
    Length,
    Chunked,

    /// <summary>Responses only: everything until the connection closes.</summary>
    UntilClose,
}

/// <summary>What a head could not be read for, with the status that answers it.</summary>
public enum ParseError : byte
{
    None,
    Malformed,
    VersionNotSupported,
    TooManyHeaders,
    BadLength,
    BadTransferEncoding,
    UnknownTransferCoding,
    ConnectWithBody,
    BadHost,
}

/// <summary>The parsed head of a request or response; positions refer to the buffer it was parsed from. Reused.</summary>
public sealed class MessageHead
{
    public Slice Method;

    /// <summary>The request target's path and query; for absolute-form, what follows the authority.</summary>
    public Slice Target;

    /// <summary>Host and port of the request, from the target if it names one, else from Host.</summary>
    public Slice Authority;
    public int Status;
    public Slice Reason;
    public bool IsHttp10;
    public bool IsHead;
    public bool IsConnect;
    public bool KeepAlive;

    /// <summary>The sender says that it reads trailers (<c>te: trailers</c>).</summary>
    public bool AcceptsTrailers;

    /// <summary>The offer to upgrade came as an extended CONNECT of HTTP/2 (RFC 8441): it cannot be served without it.</summary>
    public bool IsExtendedConnect;
    public bool ExpectsContinue;

    /// <summary>The protocol that the message offers or accepts to change to; empty when Connection does not name Upgrade.</summary>
    public Slice Upgrade;
    public BodyKind Body;
    public long ContentLength;

    /// <summary>Bytes of the head, with the empty line.</summary>
    public int Length;

    public HeaderList Headers { get; } = new();

    /// <summary>
    /// For a head that was refused: nothing of it can be relied on, except that the answer to what may be HEAD has no content.
    /// </summary>
    internal void ResetButMethod()
    {
        var isHead = IsHead;
        Reset();
        IsHead = isHead;
    }

    /// <summary>Becomes the same; positions still refer to the buffer of the other.</summary>
    internal void CopyFrom(MessageHead other)
    {
        (Method, Target, Authority, Reason, Upgrade) = (other.Method, other.Target, other.Authority, other.Reason, other.Upgrade);
        (Status, Body, ContentLength, Length) = (other.Status, other.Body, other.ContentLength, other.Length);
        (IsHttp10, IsHead, IsConnect, KeepAlive) = (other.IsHttp10, other.IsHead, other.IsConnect, other.KeepAlive);
        (ExpectsContinue, AcceptsTrailers, IsExtendedConnect) = (other.ExpectsContinue, other.AcceptsTrailers, other.IsExtendedConnect);
        Headers.CopyFrom(other.Headers);
    }

    internal void Reset()
    {
        Method = Target = Authority = Reason = default;
        Status = 0;
        IsHttp10 = IsHead = IsConnect = ExpectsContinue = AcceptsTrailers = IsExtendedConnect = false;
        Upgrade = default;
        KeepAlive = true;
        Body = BodyKind.None;
        ContentLength = -1;
        Length = 0;
        Headers.Clear();
    }
}
