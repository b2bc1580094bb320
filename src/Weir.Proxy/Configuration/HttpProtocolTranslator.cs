using Envoy.Config.Core.V3;
using Google.Protobuf.WellKnownTypes;
using Weir.Proxy.Http2;

namespace Weir.Proxy.Configuration;

/// <summary>What listeners and clusters say of the versions of HTTP.</summary>
static class HttpProtocolTranslator
{
    const uint LargestWindow = int.MaxValue;

    /// <exception cref="ConfigException">It asks for what is not carried out.</exception>
    public static void CheckCommon(string field, HttpProtocolOptions? options)
    {
        if (options?.MaxStreamDuration is not null)
        {
            throw new ConfigException($"{field}.max_stream_duration is not supported");
        }
    }

    // Of Http1ProtocolOptions there is nothing to translate: HTTP/1.0 is always accepted, and trailers are always passed on.

    public static Http2Options Http2(string field, Http2ProtocolOptions? options, Reading reading)
    {
        if (options is null)
        {
            return Http2Options.Default;
        }

        reading.NotCarriedOut($"{field}.allow_metadata", options.AllowMetadata);
        var defaults = Http2Options.Default;
        var ping = options.ConnectionKeepalive;
        reading.NotCarriedOut($"{field}.connection_keepalive.interval_jitter", ping?.IntervalJitter is not null);
        reading.NotCarriedOut($"{field}.connection_keepalive.connection_idle_interval", ping?.ConnectionIdleInterval is not null);

        // What is to be written is bounded in bytes, PRIORITY counts with the other frames that move nothing, and a malformed message ends its stream alone.
        reading.NotCarriedOut($"{field}.max_outbound_frames", options.MaxOutboundFrames is not null);
        reading.NotCarriedOut($"{field}.max_inbound_priority_frames_per_stream", options.MaxInboundPriorityFramesPerStream is not null);
        reading.NotCarriedOut($"{field}.override_stream_error_on_invalid_http_message: false", options.OverrideStreamErrorOnInvalidHttpMessage == false);
        return new Http2Options
        {
            HpackTableBytes = Limited($"{field}.hpack_table_size", options.HpackTableSize, defaults.HpackTableBytes, 0, 1024 * 1024),
            MaximumConcurrentStreams = Limited($"{field}.max_concurrent_streams", options.MaxConcurrentStreams, defaults.MaximumConcurrentStreams, 1, int.MaxValue),
            StreamWindowBytes = Window($"{field}.initial_stream_window_size", options.InitialStreamWindowSize, defaults.StreamWindowBytes),
            ConnectionWindowBytes = Window($"{field}.initial_connection_window_size", options.InitialConnectionWindowSize, 0),
            AllowsConnect = options.AllowConnect,
            MaximumOutboundControlFrames = Limited(
                $"{field}.max_outbound_control_frames", options.MaxOutboundControlFrames, defaults.MaximumOutboundControlFrames, 1, int.MaxValue),
            MaximumEmptyFrames = Limited(
                $"{field}.max_consecutive_inbound_frames_with_empty_payload", options.MaxConsecutiveInboundFramesWithEmptyPayload, defaults.MaximumEmptyFrames, 0, int.MaxValue),
            MaximumWindowUpdatesPerDataFrame = Limited(
                $"{field}.max_inbound_window_update_frames_per_data_frame_sent", options.MaxInboundWindowUpdateFramesPerDataFrameSent,
                defaults.MaximumWindowUpdatesPerDataFrame, 1, int.MaxValue),
            PingIntervalMilliseconds = Common.Milliseconds(ping?.Interval, 0),
            PingTimeoutMilliseconds = ping is null ? 0 : Timeout($"{field}.connection_keepalive.timeout", ping.Timeout),
        };
    }

    static int Window(string field, uint? wanted, int otherwise) => Limited(field, wanted, otherwise, Http2Options.SmallestWindow, LargestWindow);

    static int Limited(string field, uint? wanted, int otherwise, uint least, uint most) =>
        wanted is not { } value ? otherwise
        : value >= least && value <= most ? (int)value
        : throw new ConfigException($"{field}: {value} is not {least} to {most}");

    static int Timeout(string field, Duration? timeout) => Common.Milliseconds(timeout, 0) is > 0 and var milliseconds ? milliseconds
        : throw new ConfigException($"{field}: it must be more than 0");
}
