using Weir.Proxy.Http;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http1;

/// <summary>What a client is sent on a connection: for each request its answer, whose head says how the answer and the connection end.</summary>
struct ResponseOutput(EventLoop loop, TcpSocket socket, MessageHead request)
{
    Http1Output output = new(loop, socket);
    int status;
    bool saysContinue;
    bool keepsAlive;

    /// <summary>The answer has turned the connection into a tunnel.</summary>
    public bool IsTunnel { get; private set; }

    public readonly bool IsBroken => output.IsBroken;

    /// <summary>The connection can carry another answer: this one is sent whole, and has said that there may be one.</summary>
    public readonly bool CanContinue => keepsAlive && output.IsAtBoundary;

    /// <summary>For the answer to a request whose head has been read.</summary>
    public void Begin()
    {
        saysContinue = request.ExpectsContinue;
        keepsAlive = request.KeepAlive;
        IsTunnel = false;
        output.Reset();
    }

    /// <summary>The client may wait to be told that its content is wanted.</summary>
    public void Continue()
    {
        if (saysContinue)
        {
            saysContinue = false;
            output.BeginHead();
            output.Write("HTTP/1.1 100 Continue\r\n"u8);
            output.EndHead(Framing.None, 0);
            output.Flush();
        }
    }

    /// <summary>Its content is not wanted any more.</summary>
    public void DoNotContinue() => saysContinue = false;

    /// <returns>False when the client knows no such answers.</returns>
    public bool BeginInterim(int code)
    {
        if (request.IsHttp10)
        {
            return false;
        }

        BeginHead(code, default);
        return true;
    }

    public void BeginHead(int code, ReadOnlySpan<byte> reason)
    {
        status = code;
        output.BeginHead();
        output.Write("HTTP/1.1 "u8);
        output.Write(status);
        output.Write(" "u8);
        output.Write(reason.IsEmpty ? ReasonPhrase.Of(status) : reason);
        output.Write("\r\n"u8);
    }

    public void Field(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value) => output.Field(name, value);

    /// <param name="isLast">No other answer will follow on the connection.</param>
    /// <returns>False when the head was too large; it is gone then.</returns>
    public bool EndHead(ContentLength length, bool isLast)
    {
        if (status is >= 100 and < 200 and not 101)
        {
            return output.EndHead(Framing.None, 0);
        }

        IsTunnel = status == 101 || (request.IsConnect && status is >= 200 and < 300);
        if (IsTunnel)
        {
            if (status == 101)
            {
                output.Write("connection: upgrade\r\n"u8);
            }

            keepsAlive = false;
            return output.EndHead(Framing.Close, 0);
        }

        saysContinue = false;
        var framing = WriteLength(length);
        keepsAlive &= !isLast && framing != Framing.Close;
        if (!keepsAlive)
        {
            output.Write("connection: close\r\n"u8);
        }
        else if (request.IsHttp10)
        {
            output.Write("connection: keep-alive\r\n"u8);
        }

        return output.EndHead(framing, length.Length);
    }

    Framing WriteLength(ContentLength length)
    {
        // A client that is told nothing would take all that follows for the content (RFC 9112 section 6.3).
        var declared = length.HasContent || request.IsHead || status == 304 ? length.Length : Math.Max(length.Length, 0);
        if (declared >= 0 && status != 204)
        {
            output.Write("content-length: "u8);
            output.Write(declared);
            output.Write("\r\n"u8);
        }

        if (!length.HasContent)
        {
            return Framing.None;
        }

        if (length.Length >= 0)
        {
            return Framing.Length;
        }

        if (request.IsHttp10)
        {
            return Framing.Close;
        }

        output.Write("transfer-encoding: chunked\r\n"u8);
        return Framing.Chunked;
    }

    public int Send(ReadOnlySpan<byte> content) => output.Send(content);

    public void End(FieldBlock? trailers)
    {
        output.End(trailers);
        if (IsTunnel)
        {
            output.Flush();
        }
    }

    public FlushStatus Flush() => output.Flush();

    public void Release() => output.Release();
}
