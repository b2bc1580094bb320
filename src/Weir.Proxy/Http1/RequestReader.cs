using Weir.Proxy.Http;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http1;

/// <summary>Reads the head of the next request on a connection, as it comes.</summary>
struct RequestReader
{
    int searched;
    bool hasBegun;

    public enum Result
    {
        Complete,

        /// <summary>A part of it has come.</summary>
        Incomplete,

        /// <summary>Nothing has come.</summary>
        Nothing,

        /// <summary>The client has closed, and left no request to be answered.</summary>
        End,

        /// <summary>The client speaks HTTP/2.</summary>
        Http2,

        /// <summary>It cannot be served: <see cref="Refusal"/>.</summary>
        Refused,
    }

    /// <summary>Where the head begins in the buffer.</summary>
    public int HeadPosition { get; private set; }

    public Cause Refusal { get; private set; }

    public byte[]? RefusalText { get; private set; }

    public Result Read(ref ReadBuffer input, TcpSocket socket, ServerLimits limits, MessageHead head)
    {
        head.Reset();
        while (true)
        {
            if (!input.IsEmpty && Find(ref input, limits, head) is { } result)
            {
                return result;
            }

            var read = socket.IsReadable ? input.FillSmall(socket) : -Native.Eagain;
            switch (read)
            {
                case > 0:
                    break;
                case -Native.Enobufs:
                    if (!input.MakeRoom(limits.MaximumHeadBytes))
                    {
                        return Refuse(Cause.RequestHeadTooLarge);
                    }

                    break;
                case -Native.Eagain:
                    return input.IsEmpty && !hasBegun ? Result.Nothing : Result.Incomplete;
                default:
                    return Result.End;
            }
        }
    }

    /// <summary>Null while more must come.</summary>
    Result? Find(ref ReadBuffer input, ServerLimits limits, MessageHead head)
    {
        hasBegun = true;
        var skipped = HeadParser.LeadingEmptyLines(input.Unread);
        if (skipped > 0)
        {
            input.Skip(skipped);
            searched = 0;
        }

        ReadOnlySpan<byte> unread = input.Unread;
        var length = HeadParser.FindEnd(unread, searched);
        if (length < 0)
        {
            searched = unread.Length;
            return HeadParser.HasLoneLineFeed(unread) ? Refuse(Cause.ClientProtocol) : null;
        }

        if (unread.StartsWith("PRI * HTTP/2.0\r\n\r\n"u8))
        {
            return Result.Http2;
        }

        if (length > limits.MaximumHeadBytes)
        {
            return Refuse(Cause.RequestHeadTooLarge);
        }

        HeadPosition = input.Position;
        var error = HeadParser.ParseRequest(unread, length, head);
        input.Skip(length);
        return error != ParseError.None ? Refuse(error)
            : head.Headers.Count > limits.MaximumHeaders ? Refuse(Cause.RequestHeadTooLarge)
            : Result.Complete;
    }

    Result Refuse(ParseError error)
    {
        RefusalText = error switch
        {
            ParseError.BadLength => "Content-Length is not one valid number"u8.ToArray(),
            ParseError.BadTransferEncoding => "Transfer-Encoding must be \"chunked\" alone, without Content-Length, in HTTP/1.1"u8.ToArray(),
            ParseError.BadHost => "the request must name exactly one valid host"u8.ToArray(),
            ParseError.ConnectWithBody => "CONNECT has no body: what follows it belongs to the tunnel"u8.ToArray(),
            ParseError.Malformed => "the request's head is malformed"u8.ToArray(),
            _ => null,
        };
        return Refuse(error switch
        {
            ParseError.TooManyHeaders => Cause.RequestHeadTooLarge,
            ParseError.VersionNotSupported => Cause.VersionNotSupported,
            ParseError.UnknownTransferCoding => Cause.UnknownTransferCoding,
            _ => Cause.ClientProtocol,
        });
    }

    Result Refuse(Cause cause)
    {
        Refusal = cause;
        return Result.Refused;
    }
}
