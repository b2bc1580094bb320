using Weir.Proxy.Http;

namespace Weir.Proxy.Http2;

/// <summary>Brings the heads and trailers that come on a connection to an upstream to the streams of their requests.</summary>
sealed class ResponseHeads(Http2Session session) : IHeadReceiver
{
    /// <summary>As on HTTP/1.1 connections.</summary>
    public const int MaximumBytes = ServerLimits.DefaultHeadBytes;

    readonly HeadReader heads = new(session.Loop.Buffers, MaximumBytes, HeaderList.Maximum, session.Options.HpackTableBytes);

    public void OnSettingsAcknowledged() => heads.OnSettingsAcknowledged();

    /// <inheritdoc/>
    public Http2ErrorCode OnHead(int id, StreamState? state, ReadOnlySpan<byte> block, bool isEnd)
    {
        if (session.IsIdle(id))
        {
            return Http2ErrorCode.ProtocolError;
        }

        if (state is null || state.IsReceiveEnded)
        {
            return OnLateHead(state, block);
        }

        switch (((Http2ClientStream)state.Handler).OnHead(heads, block, isEnd))
        {
            case HeadResult.Broken:
                return Http2ErrorCode.CompressionError;
            case HeadResult.Complete:
                state.Handler.OnReady();
                return Http2ErrorCode.NoError;
            default:
                return session.OnStreamError(id, Http2ErrorCode.ProtocolError);
        }
    }

    /// <summary>On a stream that we have ended, as the upstream may not know yet, or that it has ended itself (RFC 9113 section 5.1).</summary>
    Http2ErrorCode OnLateHead(StreamState? ended, ReadOnlySpan<byte> block) =>
        !heads.Skip(block) ? Http2ErrorCode.CompressionError
        : !session.Floods.TryIdleFrame() ? Http2ErrorCode.EnhanceYourCalm
        : ended is null ? Http2ErrorCode.NoError
        : session.OnStreamError(ended.Id, Http2ErrorCode.StreamClosed);
}
