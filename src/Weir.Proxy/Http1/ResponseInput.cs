using Weir.Proxy.Http;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http1;

/// <summary>What an upstream sends on a connection: heads of answers, and the content behind the last of them.</summary>
struct ResponseInput(BufferPool buffers)
{
    ReadBuffer input = new(buffers);
    TrailerReader trailers = new(buffers);
    BodyReader body;
    int searched;
    int headPosition;
    bool hasInterim;
    bool isBulk;

    public readonly ReadOnlySpan<byte> HeadBytes => input.From(headPosition);

    public readonly FieldBlock? Trailers => trailers.Fields;

    /// <summary>The answer has come whole, and nothing behind it.</summary>
    public readonly bool IsAtBoundary => body.IsDone && input.IsEmpty;

    /// <summary>A request is being sent: an answer is to come, of which nothing is known yet.</summary>
    public void Expect() => body = new BodyReader(BodyKind.UntilClose, 0);

    /// <summary>Reads the next head; one of 101 counts as final, for it is the last.</summary>
    /// <param name="toHead">It answers a request whose answer has no content.</param>
    public HeadStatus ReadHead(TcpSocket socket, MessageHead head, bool toHead, out Cause failure)
    {
        failure = Cause.None;
        while (true)
        {
            if (!input.IsEmpty && HeadParser.FindEnd(input.Unread, searched) is > 0 and var length)
            {
                searched = 0;
                headPosition = input.Position;
                return Parse(head, length, toHead, out failure);
            }

            searched = input.Unread.Length;
            var read = socket.IsReadable ? input.Fill(socket, isBulk: false) : -Native.Eagain;
            switch (read)
            {
                case > 0:
                    break;
                case -Native.Enobufs:
                    if (!input.MakeRoom(ServerLimits.DefaultHeadBytes))
                    {
                        failure = Cause.UpstreamHeadTooLarge;
                        return HeadStatus.Failed;
                    }

                    break;
                case -Native.Eagain:
                    if (input.IsEmpty)
                    {
                        input.Release();
                    }

                    return HeadStatus.Wait;
                default:
                    failure = hasInterim || !input.IsEmpty ? Cause.UpstreamProtocol : Cause.Reset;
                    return HeadStatus.Failed;
            }
        }
    }

    HeadStatus Parse(MessageHead head, int length, bool toHead, out Cause failure)
    {
        if (HeadParser.ParseResponse(input.Unread, length, head, toHead) != ParseError.None)
        {
            failure = Cause.UpstreamProtocol;
            return HeadStatus.Failed;
        }

        failure = Cause.None;
        input.Skip(length);
        hasInterim = head.Status < 200 && head.Status != 101;
        return hasInterim ? HeadStatus.Interim : HeadStatus.Final;
    }

    /// <summary>The head was final: its content follows.</summary>
    public void BeginContent(MessageHead head)
    {
        isBulk = head.Body != BodyKind.Length || head.ContentLength > BufferPool.LargeSize;
        body = new BodyReader(head.Body, head.ContentLength);
    }

    /// <summary>Content, from what has come or else from the connection.</summary>
    public ReadStatus Read(TcpSocket socket, out ReadOnlySpan<byte> content, out Cause failure)
    {
        content = default;
        failure = Cause.None;
        while (true)
        {
            var result = body.Read(input.Unread, out var framing, out var length, ref trailers);
            input.Skip(framing);
            switch (result)
            {
                case ReadStatus.Content:
                    content = input.Unread[..length];
                    return ReadStatus.Content;
                case ReadStatus.End:
                    return ReadStatus.End;
                case ReadStatus.Failed:
                    failure = Cause.UpstreamProtocol;
                    return ReadStatus.Failed;
            }

            var read = socket.IsReadable ? input.Fill(socket, isBulk) : -Native.Eagain;
            switch (read)
            {
                case > 0:
                    break;
                case -Native.Enobufs:
                    if (!input.MakeRoom(BufferPool.BufferSize * 2))
                    {
                        failure = Cause.UpstreamProtocol;
                        return ReadStatus.Failed;
                    }

                    break;
                case -Native.Eagain:
                    return ReadStatus.Wait;
                default:
                    // The end of the connection is the end of the content only where nothing else marks it.
                    if (read == 0 && body.EndOfStream())
                    {
                        return ReadStatus.End;
                    }

                    failure = Cause.Reset;
                    return ReadStatus.Failed;
            }
        }
    }

    public void Consume(int count)
    {
        input.Skip(count);
        body.Consume(count);
    }

    public void Release()
    {
        input.Release();
        trailers.Release();
    }
}
