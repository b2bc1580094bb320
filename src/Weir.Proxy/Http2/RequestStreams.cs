using Weir.Proxy.Http;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Http2;

/// <summary>Opens a stream for each request that comes on a client's connection, and has it served.</summary>
sealed class RequestStreams(
    Http2Server server, Http2Session session, Farewell farewell, Downstream downstream, ServerLimits limits, bool allowsConnect)
    : IHeadReceiver
{
    readonly HeadReader heads = new(server.Loop.Buffers, limits.MaximumHeadBytes, limits.MaximumHeaders, session.Options.HpackTableBytes);

    public Downstream Downstream => downstream;

    public ServerLimits Limits => limits;

    public bool AllowsConnect => allowsConnect;

    /// <summary>A head has come, whatever became of it.</summary>
    public bool HasBegun { get; private set; }

    /// <summary>Requests that were served, or are.</summary>
    public long Count { get; private set; }

    public void OnSettingsAcknowledged() => heads.OnSettingsAcknowledged();

    /// <inheritdoc/>
    public Http2ErrorCode OnHead(int id, StreamState? state, ReadOnlySpan<byte> block, bool isEnd)
    {
        HasBegun = true;
        return state is not null ? OnTrailers(state, block, isEnd)
            : session.IsIdle(id) ? OnRequest(id, block, isEnd)
            : OnLateHead(id, block);
    }

    Http2ErrorCode OnRequest(int id, ReadOnlySpan<byte> block, bool isEnd)
    {
        if (farewell.IsFinal || session.Streams.IsFull)
        {
            session.LastStream = id;
            return heads.Skip(block) ? session.OnStreamError(id, Http2ErrorCode.RefusedStream) : Http2ErrorCode.CompressionError;
        }

        var stream = server.Rent();
        var opened = session.Open(id);
        stream.Begin(this, opened);
        var result = heads.ReadRequest(block, stream.Request, opened.Head, isEnd, allowsConnect);
        switch (result)
        {
            case HeadResult.Broken:
                stream.Close();
                return Http2ErrorCode.CompressionError;
            case HeadResult.Malformed:
                stream.BecomeMalformed();
                server.Handler.Begin(stream, Cause.ClientProtocol, null);
                return session.Floods.TryReset() ? Http2ErrorCode.NoError : Http2ErrorCode.EnhanceYourCalm;
            case HeadResult.TooLarge:
                stream.Request.Reset();
                break;
        }

        Serve(stream, opened, isEnd, result == HeadResult.TooLarge ? Cause.RequestHeadTooLarge : Cause.None);
        return Http2ErrorCode.NoError;
    }

    void Serve(Http2ServerStream stream, StreamState opened, bool isEnd, Cause refusal)
    {
        opened.HasHead = true;
        opened.Declared = stream.Request.IsConnect || stream.Request.IsExtendedConnect ? -1 : stream.Request.ContentLength;
        if (isEnd)
        {
            opened.OnEnd();
        }

        if (++Count == limits.MaximumRequestsPerConnection)
        {
            farewell.Begin();
        }

        server.Handler.Begin(stream, refusal, null);
    }

    /// <summary>On a stream that is over, or that the client has passed by (RFC 9113 sections 5.1 and 5.1.1).</summary>
    Http2ErrorCode OnLateHead(int id, ReadOnlySpan<byte> block) =>
        !heads.Skip(block) ? Http2ErrorCode.CompressionError
        : !session.Floods.TryIdleFrame() ? Http2ErrorCode.EnhanceYourCalm
        : session.Streams.WasReset(id) ? Http2ErrorCode.NoError
        : session.Streams.HasEnded(id) ? Http2ErrorCode.StreamClosed
        : Http2ErrorCode.ProtocolError;

    Http2ErrorCode OnTrailers(StreamState state, ReadOnlySpan<byte> block, bool isEnd)
    {
        if (state.IsReceiveEnded)
        {
            return heads.Skip(block) ? session.OnStreamError(state.Id, Http2ErrorCode.StreamClosed) : Http2ErrorCode.CompressionError;
        }

        var result = heads.ReadTrailers(block, state.Trailers);
        if (result == HeadResult.Broken)
        {
            return Http2ErrorCode.CompressionError;
        }

        var error = result != HeadResult.Complete || !isEnd ? Http2ErrorCode.ProtocolError : state.OnEnd();
        if (error != Http2ErrorCode.NoError)
        {
            return session.OnStreamError(state.Id, error);
        }

        state.HasTrailers = true;
        state.Handler.OnReady();
        return Http2ErrorCode.NoError;
    }
}
