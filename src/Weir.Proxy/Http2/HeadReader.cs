using Weir.Proxy.Http;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http2;

/// <summary>What came of reading a field block.</summary>
enum HeadResult
{
    Complete,

    /// <summary>The message is malformed: the stream's error.</summary>
    Malformed,

    /// <summary>There is more of it than is allowed. All of it has been read over, so that the tables stay in step.</summary>
    TooLarge,

    /// <summary>The tables are out of step: the connection's error.</summary>
    Broken,
}

/// <summary>Turns field blocks into heads and trailers.</summary>
sealed class HeadReader(BufferPool buffers, int maximumBytes, int maximumFields, int tableBytes)
{
    readonly HpackDecoder decoder = new(tableBytes);
    PseudoHeaders pseudo;

    /// <summary>The peer knows how large its table may be (RFC 7541 section 4.2).</summary>
    public void OnSettingsAcknowledged() => decoder.SetLimit(tableBytes);

    public HeadResult ReadRequest(ReadOnlySpan<byte> block, MessageHead head, FieldBlock fields, bool isEnd, bool allowsConnect)
    {
        head.Reset();
        var result = Read(block, fields, head);
        if (result != HeadResult.Complete)
        {
            return result;
        }

        var bytes = fields.Bytes;
        if (pseudo.CheckRequest(bytes, allowsConnect) != HeadError.None || !TryLength(bytes, head))
        {
            return HeadResult.Malformed;
        }

        head.Method = pseudo.Method;
        head.Target = pseudo.Path;
        head.Authority = pseudo.Authority;
        head.KeepAlive = true;
        var method = head.Method.Of(bytes);
        head.IsHead = method.SequenceEqual("HEAD"u8);
        head.IsConnect = method.SequenceEqual("CONNECT"u8);
        if (pseudo.Has(FieldKind.Protocol))
        {
            return BecomeUpgrade(head, fields);
        }

        return Frame(head, isEnd || head.IsConnect) ? HeadResult.Complete : HeadResult.Malformed;
    }

    /// <summary>An extended CONNECT (RFC 8441) is shown as what it is in HTTP/1.1: GET with an offer to upgrade.</summary>
    HeadResult BecomeUpgrade(MessageHead head, FieldBlock fields)
    {
        if (head.ContentLength > 0)
        {
            // Of a tunnel's bytes there is no length (RFC 9110 section 9.3.6): whoever believed it would take the next request for them.
            return HeadResult.Malformed;
        }

        head.ContentLength = -1;
        if (fields.Room.Length < 3 && !fields.Grow(buffers, 3, maximumBytes))
        {
            return HeadResult.TooLarge;
        }

        "GET"u8.CopyTo(fields.Room);
        head.Method = fields.Take(3);
        head.Upgrade = pseudo.Protocol;
        head.IsConnect = false;
        head.IsExtendedConnect = true;
        head.Body = BodyKind.None;
        return HeadResult.Complete;
    }

    public HeadResult ReadResponse(ReadOnlySpan<byte> block, MessageHead head, FieldBlock fields, bool isEnd, bool isBodyless)
    {
        head.Reset();
        var result = Read(block, fields, head);
        if (result != HeadResult.Complete)
        {
            return result;
        }

        if (pseudo.CheckResponse() != HeadError.None || !TryLength(fields.Bytes, head))
        {
            return HeadResult.Malformed;
        }

        var status = pseudo.Status.Of(fields.Bytes);
        head.Status = ((status[0] - '0') * 100) + ((status[1] - '0') * 10) + status[2] - '0';
        head.KeepAlive = true;
        if (isBodyless || head.Status is < 200 or 204 or 304)
        {
            head.Body = BodyKind.None;
            return HeadResult.Complete;
        }

        return Frame(head, isEnd) ? HeadResult.Complete : HeadResult.Malformed;
    }

    public HeadResult ReadTrailers(ReadOnlySpan<byte> block, FieldBlock fields)
    {
        var result = Read(block, fields, null);
        return result == HeadResult.Complete && pseudo.CheckTrailers() != HeadError.None ? HeadResult.Malformed : result;
    }

    /// <summary>Reads over a block that nobody wants.</summary>
    /// <returns>False when the tables are out of step.</returns>
    public bool Skip(ReadOnlySpan<byte> block)
    {
        var at = 0;
        return decoder.TrySkipRest(block, ref at);
    }

    HeadResult Read(ReadOnlySpan<byte> block, FieldBlock fields, MessageHead? head)
    {
        fields.Begin(buffers);
        pseudo = default;
        var isMalformed = false;
        var cookie = -1;
        var at = 0;
        while (true)
        {
            switch (decoder.TryRead(block, ref at, fields.Room, out var field))
            {
                case HpackResult.End:
                    return isMalformed ? HeadResult.Malformed : HeadResult.Complete;
                case HpackResult.Malformed:
                    return HeadResult.Broken;
                case HpackResult.TargetTooSmall:
                    if (!fields.Grow(buffers, fields.Room.Length + 1, maximumBytes))
                    {
                        return decoder.TrySkipRest(block, ref at) ? HeadResult.TooLarge : HeadResult.Broken;
                    }

                    continue;
            }

            var name = fields.Take(field.NameLength);
            var value = fields.Take(field.ValueLength);
            isMalformed |= pseudo.Add(field.Kind, value) != HeadError.None;
            if (isMalformed || fields.Bytes[name.Start] == ':')
            {
                // It is read to its end all the same: what it puts into the table stays there.
                continue;
            }

            if (cookie >= 0 && field.Kind == FieldKind.Cookie)
            {
                if (!CookieFields.TryJoin(buffers, maximumBytes, fields, head!, cookie, name, value))
                {
                    return decoder.TrySkipRest(block, ref at) ? HeadResult.TooLarge : HeadResult.Broken;
                }

                continue;
            }

            var list = head?.Headers ?? fields.Fields;
            if (head is null && ForbiddenTrailers.Contains(name.Of(fields.Bytes)))
            {
                continue;
            }

            if (head is not null && field.Kind == FieldKind.Expect)
            {
                head.ExpectsContinue = Ascii.EqualsLower(value.Of(fields.Bytes), "100-continue"u8);
            }

            if (list.Count >= maximumFields || !list.Add(name, value, Known(field.Kind, head)))
            {
                return decoder.TrySkipRest(block, ref at) ? HeadResult.TooLarge : HeadResult.Broken;
            }

            cookie = field.Kind == FieldKind.Cookie && head is not null ? list.Count - 1 : cookie;
        }
    }

    static KnownHeader Known(FieldKind kind, MessageHead? head)
    {
        switch (kind)
        {
            case FieldKind.Host:
                return KnownHeader.Host;
            case FieldKind.ContentLength:
                return KnownHeader.ContentLength;
            case FieldKind.Expect:
                return KnownHeader.Expect;
            case FieldKind.Te:
                if (head is not null)
                {
                    head.AcceptsTrailers = true;
                }

                return KnownHeader.HopByHop;
            case FieldKind.ProxyAuthentication:
                return KnownHeader.HopByHop;
            default:
                return KnownHeader.Other;
        }
    }

    bool TryLength(ReadOnlySpan<byte> bytes, MessageHead head) =>
        !pseudo.Has(FieldKind.ContentLength)
        || System.Buffers.Text.Utf8Parser.TryParse(pseudo.ContentLength.Of(bytes), out head.ContentLength, out _);

    /// <returns>False when the length that was declared cannot be that of the content.</returns>
    static bool Frame(MessageHead head, bool isEnd)
    {
        head.Body = isEnd || head.ContentLength == 0 ? BodyKind.None : head.ContentLength > 0 ? BodyKind.Length : BodyKind.Chunked;
        return !isEnd || head.ContentLength <= 0;
    }
}
