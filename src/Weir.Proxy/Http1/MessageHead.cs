namespace Weir.Proxy.Http1;

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
    public bool ExpectsContinue;

    /// <summary>The protocol that the message offers or accepts to change to; empty when Connection does not name Upgrade.</summary>
    public Slice Upgrade;
    public BodyKind Body;
    public long ContentLength;

    /// <summary>Bytes of the head, with the empty line.</summary>
    public int Length;

    public HeaderList Headers { get; } = new();

    internal void Reset()
    {
        Method = Target = Authority = Reason = default;
        Status = 0;
        IsHttp10 = IsHead = IsConnect = ExpectsContinue = false;
        Upgrade = default;
        KeepAlive = true;
        Body = BodyKind.None;
        ContentLength = -1;
        Length = 0;
        Headers.Clear();
    }
}
