using Weir.Proxy.Http;

namespace Weir.Proxy.Http2;

/// <summary>Why a message is malformed: a stream error PROTOCOL_ERROR (RFC 9113 section 8.1.1), or 400 for a request.</summary>
public enum HeadError : byte
{
    None,

    /// <summary>A field that may stand in no message.</summary>
    MalformedField,

    /// <summary>A pseudo-header after a regular field.</summary>
    PseudoHeaderAfterField,

    /// <summary>A pseudo-header, Host or Content-Length twice.</summary>
    DuplicateField,

    /// <summary>A pseudo-header that this kind of message does not have.</summary>
    UnexpectedPseudoHeader,

    MissingPseudoHeader,

    /// <summary>Neither :authority nor Host.</summary>
    MissingAuthority,

    /// <summary>:authority and Host name different hosts.</summary>
    AuthorityMismatch,

    /// <summary>:protocol without CONNECT, or without having been allowed by SETTINGS_ENABLE_CONNECT_PROTOCOL.</summary>
    UnexpectedProtocol,

    /// <summary>"*" with another method than OPTIONS.</summary>
    BadPath,
}

/// <summary>
/// What the fields of one head have said so far: the pseudo-headers as slices of the caller's block, and which fields there were. Add
/// each field in order, then ask for the verdict.
/// </summary>
public struct PseudoHeaders
{
    /// <summary>A bit for each kind that may come once.</summary>
    ushort seen;
    bool isInRegularFields;

    public Slice Method { get; private set; }

    public Slice Scheme { get; private set; }

    public Slice Path { get; private set; }

    public Slice Protocol { get; private set; }

    public Slice Status { get; private set; }

    /// <summary>:authority, or else Host.</summary>
    public readonly Slice Authority => Has(FieldKind.Authority) ? authority : Host;

    public Slice Host { get; private set; }

    public Slice ContentLength { get; private set; }

    Slice authority;

    public readonly bool Has(FieldKind kind) => (seen & Bit(kind)) != 0;

    public HeadError Add(FieldKind kind, Slice value)
    {
        switch (kind)
        {
            case FieldKind.Malformed:
                return HeadError.MalformedField;
            case FieldKind.Host:
                Host = value;
                break;
            case FieldKind.ContentLength:
                ContentLength = value;
                break;
            case FieldKind.Method:
                Method = value;
                break;
            case FieldKind.Scheme:
                Scheme = value;
                break;
            case FieldKind.Authority:
                authority = value;
                break;
            case FieldKind.Path:
                Path = value;
                break;
            case FieldKind.Protocol:
                Protocol = value;
                break;
            case FieldKind.Status:
                Status = value;
                break;
            default:
                isInRegularFields = true;
                return HeadError.None;
        }

        var isDuplicate = Has(kind);
        seen |= Bit(kind);
        if (kind is FieldKind.Host or FieldKind.ContentLength)
        {
            isInRegularFields = true;
        }
        else if (isInRegularFields)
        {
            return HeadError.PseudoHeaderAfterField;
        }

        return isDuplicate ? HeadError.DuplicateField : HeadError.None;
    }

    /// <summary><paramref name="block"/> is what the slices are of.</summary>
    public readonly HeadError CheckRequest(ReadOnlySpan<byte> block, bool allowsExtendedConnect)
    {
        if (Has(FieldKind.Status))
        {
            return HeadError.UnexpectedPseudoHeader;
        }

        if (!Has(FieldKind.Method))
        {
            return HeadError.MissingPseudoHeader;
        }

        var isConnect = Method.Of(block).SequenceEqual("CONNECT"u8);
        if (Has(FieldKind.Protocol) && !(isConnect && allowsExtendedConnect))
        {
            return HeadError.UnexpectedProtocol;
        }

        // Only CONNECT without :protocol has neither (RFC 9113 section 8.5, RFC 8441 section 4).
        var isPlainConnect = isConnect && !Has(FieldKind.Protocol);
        if (isPlainConnect && (Has(FieldKind.Scheme) || Has(FieldKind.Path)))
        {
            return HeadError.UnexpectedPseudoHeader;
        }

        if (isPlainConnect ? !Has(FieldKind.Authority) : !Has(FieldKind.Scheme) || !Has(FieldKind.Path))
        {
            return HeadError.MissingPseudoHeader;
        }

        if (Has(FieldKind.Path) && Path.Of(block)[0] == '*' && !Method.Of(block).SequenceEqual("OPTIONS"u8))
        {
            return HeadError.BadPath;
        }

        return CheckAuthority(block);
    }

    public readonly HeadError CheckResponse() =>
        (seen & PseudoBits & ~Bit(FieldKind.Status)) != 0 ? HeadError.UnexpectedPseudoHeader
        : Has(FieldKind.Status) ? HeadError.None
        : HeadError.MissingPseudoHeader;

    /// <summary>Trailers have none (RFC 9113 section 8.1).</summary>
    public readonly HeadError CheckTrailers() => (seen & PseudoBits) == 0 ? HeadError.None : HeadError.UnexpectedPseudoHeader;

    /// <summary>After <see cref="CheckResponse"/>.</summary>
    public readonly int StatusCode(ReadOnlySpan<byte> block)
    {
        var digits = Status.Of(block);
        return ((digits[0] - '0') * 100) + ((digits[1] - '0') * 10) + (digits[2] - '0');
    }

    /// <summary>Both may be there if they say the same (RFC 9113 section 8.3.1); what disagrees could be routed in two ways.</summary>
    readonly HeadError CheckAuthority(ReadOnlySpan<byte> block)
    {
        if (!Has(FieldKind.Authority) && !Has(FieldKind.Host))
        {
            return HeadError.MissingAuthority;
        }

        return Has(FieldKind.Authority) && Has(FieldKind.Host) && !System.Text.Ascii.EqualsIgnoreCase(authority.Of(block), Host.Of(block))
            ? HeadError.AuthorityMismatch
            : HeadError.None;
    }

    static readonly ushort PseudoBits = (ushort)(Bit(FieldKind.Method) | Bit(FieldKind.Scheme) | Bit(FieldKind.Authority)
        | Bit(FieldKind.Path) | Bit(FieldKind.Protocol) | Bit(FieldKind.Status));

    static ushort Bit(FieldKind kind) => (ushort)(1 << (int)kind);
}
