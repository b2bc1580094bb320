namespace Weir.Proxy.Http2;

/// <summary>Takes the field blocks of a connection: requests from a client, answers from an upstream, and the trailers of both.</summary>
interface IHeadReceiver
{
    /// <summary>A field block has come that opens a stream, answers on one, or ends one. Nothing but its frame has been checked.</summary>
    /// <param name="state">Null when there is no such stream, or it was reset.</param>
    /// <returns>The connection's error, if any.</returns>
    Http2ErrorCode OnHead(int id, StreamState? state, ReadOnlySpan<byte> block, bool isEnd);

    /// <summary>The peer keeps to our settings from here on.</summary>
    void OnSettingsAcknowledged();
}
