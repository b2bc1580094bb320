using Weir.Proxy.Http;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http1;

/// <summary>
/// What a client sends on a connection, one request after the other: the head, which is kept to the end of its request since logs need
/// it, and the content behind it.
/// </summary>
struct RequestInput(BufferPool buffers)
{
    ReadBuffer input = new(buffers);

    /// <summary>Content that came when the head had been read, and what was pipelined behind it.</summary>
    ReadBuffer later = new(buffers);
    TrailerReader trailers = new(buffers);
    RequestReader reader;
    BodyReader body;

    public readonly Span<byte> HeadBytes => input.From(reader.HeadPosition);

    /// <summary>What has come behind the head, as long as no content was read.</summary>
    public readonly ReadOnlySpan<byte> Unread => input.Unread;

    public readonly bool IsEmpty => input.IsEmpty && later.IsEmpty;

    public readonly bool IsContentDone => body.IsDone;

    public readonly FieldBlock? Trailers => trailers.Fields;

    public readonly Cause Refusal => reader.Refusal;

    public readonly byte[]? RefusalText => reader.RefusalText;

    public RequestReader.Result ReadHead(TcpSocket socket, ServerLimits limits, MessageHead head) => reader.Read(ref input, socket, limits, head);

    public void BeginContent(BodyKind kind, long length) => body = new BodyReader(kind, length);

    /// <summary>Content, from what has come or else from the connection.</summary>
    /// <param name="output">Where the client is told, if it waits for that, that its content is wanted.</param>
    public ReadStatus Read(TcpSocket socket, ref ResponseOutput output, out ReadOnlySpan<byte> content, out Cause failure)
    {
        failure = Cause.None;
        while (true)
        {
            var result = Look(out content);
            if (result != ReadStatus.Wait)
            {
                failure = result == ReadStatus.Failed ? Cause.ClientProtocol : Cause.None;
                return result;
            }

            output.Continue();
            result = Fill(socket, out failure);
            if (result != ReadStatus.Content)
            {
                return result;
            }
        }
    }

    /// <summary>Looks at content that has come.</summary>
    ReadStatus Look(out ReadOnlySpan<byte> content)
    {
        // Behind the head as long as that has more; then elsewhere, since logs still need the head.
        ref var source = ref later.IsHeld ? ref later : ref input;
        var result = body.Read(source.Unread, out var framing, out var length, ref trailers);
        source.Skip(framing);
        content = result == ReadStatus.Content ? source.Unread[..length] : default;
        return result;
    }

    /// <summary>Reads more from the connection.</summary>
    /// <returns>Content when more has come, of whatever kind.</returns>
    ReadStatus Fill(TcpSocket socket, out Cause failure)
    {
        failure = Cause.None;
        if (!socket.IsReadable)
        {
            return ReadStatus.Wait;
        }

        if (!later.IsHeld)
        {
            input.MoveTo(ref later);
        }

        var read = later.Fill(socket, isBulk: body.Left > BufferPool.LargeSize);
        switch (read)
        {
            case > 0:
                return ReadStatus.Content;
            case -Native.Eagain:
                return ReadStatus.Wait;
            case -Native.Enobufs when later.MakeRoom(BufferPool.BufferSize * 2):
                return ReadStatus.Content;
            case 0 when body.EndOfStream():
                return ReadStatus.End;
            default:
                failure = read == -Native.Enobufs ? Cause.ClientProtocol : Cause.ClientGone;
                return ReadStatus.Failed;
        }
    }

    public void Consume(int count)
    {
        (later.IsHeld ? ref later : ref input).Skip(count);
        body.Consume(count);
    }

    /// <summary>Reads over the content that has come.</summary>
    /// <returns>Whether that was all of it.</returns>
    public bool SkipContent()
    {
        while (true)
        {
            var result = Look(out var content);
            if (result != ReadStatus.Content)
            {
                return result == ReadStatus.End;
            }

            Consume(content.Length);
        }
    }

    /// <summary>To the head of the next request, at the end of this one's content.</summary>
    /// <returns>Whether something of it has come: it was pipelined.</returns>
    public bool Continue()
    {
        trailers.Release();
        if (later.IsHeld)
        {
            input.Release();
            (input, later) = (later, input);
        }

        reader = default;
        return !input.IsEmpty;
    }

    public void Release()
    {
        input.Release();
        later.Release();
        trailers.Release();
        reader = default;
    }
}
