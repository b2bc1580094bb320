using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Http;

/// <summary>Why a request was not answered by its upstream. Closed: every way to fail is one of these.</summary>
enum Cause : byte
{
    None,
    NoRoute,
    NoCluster,
    NoHealthyEndpoint,
    PendingOverflow,
    ConnectionRefused,
    ConnectTimeout,
    TlsFailed,
    NoDescriptor,
    Reset,
    UpstreamProtocol,
    UpstreamHeadTooLarge,
    RouteTimeout,
    StreamIdle,
    RequestTimeout,
    HeadTimeout,
    ClientGone,
    ClientProtocol,
    RequestHeadTooLarge,
    VersionNotSupported,
    UnknownTransferCoding,
    UnsafePath,
    Overload,
    SessionTooLong,
}

/// <summary>What the client and the log are told of a cause: the one place where causes become statuses and Envoy's response flags.</summary>
/// <param name="Status">0 when there is nobody left to answer.</param>
/// <param name="Details">As Envoy's response code details.</param>
readonly record struct CauseDescription(int Status, ResponseFlag Flag, string Details, byte[] Body)
{
    const string Prefix = "upstream connect error or disconnect/reset before headers. reset reason: ";

    static readonly CauseDescription[] Table = Build();

    public static ref readonly CauseDescription Of(Cause cause) => ref Table[(int)cause];

    static CauseDescription[] Build()
    {
        var table = new CauseDescription[Enum.GetValues<Cause>().Length];
        void Set(Cause cause, int status, ResponseFlag flag, string details, string body = "") =>
            table[(int)cause] = new CauseDescription(status, flag, details, System.Text.Encoding.ASCII.GetBytes(body));

        Set(Cause.None, 200, ResponseFlag.None, "via_upstream");
        Set(Cause.NoRoute, 404, ResponseFlag.NR, "route_not_found");
        Set(Cause.NoCluster, 503, ResponseFlag.NC, "cluster_not_found");
        Set(Cause.NoHealthyEndpoint, 503, ResponseFlag.UH, "no_healthy_upstream", "no healthy upstream");
        Set(Cause.PendingOverflow, 503, ResponseFlag.UO, "upstream_reset_before_response_started{overflow}", Prefix + "overflow");
        Set(Cause.ConnectionRefused, 503, ResponseFlag.UF, "upstream_reset_before_response_started{remote_connection_failure}", Prefix + "connection failure");
        Set(Cause.ConnectTimeout, 503, ResponseFlag.UF, "upstream_reset_before_response_started{connection_timeout}", Prefix + "connection timeout");
        Set(Cause.TlsFailed, 503, ResponseFlag.UF, "upstream_reset_before_response_started{connection_failure,TLS_error}", Prefix + "connection failure, transport failure reason: TLS_error");
        Set(Cause.NoDescriptor, 503, ResponseFlag.UF, "upstream_reset_before_response_started{local_connection_failure}", Prefix + "local connection failure");
        Set(Cause.Reset, 503, ResponseFlag.UC, "upstream_reset_before_response_started{connection_termination}", Prefix + "connection termination");
        Set(Cause.UpstreamProtocol, 502, ResponseFlag.UPE, "upstream_reset_before_response_started{protocol_error}", Prefix + "protocol error");
        Set(Cause.UpstreamHeadTooLarge, 502, ResponseFlag.UPE, "upstream_reset_before_response_started{headers_too_large}", Prefix + "protocol error");
        Set(Cause.RouteTimeout, 504, ResponseFlag.UT, "response_timeout", "upstream request timeout");
        Set(Cause.StreamIdle, 504, ResponseFlag.SI, "stream_idle_timeout", "stream timeout");
        Set(Cause.RequestTimeout, 408, ResponseFlag.DPE, "request_overall_timeout", "request timeout");
        Set(Cause.HeadTimeout, 408, ResponseFlag.DPE, "request_header_timeout", "request head timeout");
        Set(Cause.ClientGone, 0, ResponseFlag.DC, "downstream_remote_disconnect");
        Set(Cause.ClientProtocol, 400, ResponseFlag.DPE, "http1.codec_error", "the request is malformed");
        Set(Cause.RequestHeadTooLarge, 431, ResponseFlag.DPE, "request_headers_too_large", "the request's headers are too large or too many");
        Set(Cause.VersionNotSupported, 505, ResponseFlag.DPE, "http1.unsupported_version", "only versions 1.0 and 1.1 of HTTP are served here");
        Set(Cause.UnknownTransferCoding, 501, ResponseFlag.DPE, "http1.unsupported_transfer_coding", "no transfer coding but chunked is understood here");
        Set(Cause.UnsafePath, 400, ResponseFlag.DPE, "path_normalization_failed", "the request's path is not safe");
        Set(Cause.Overload, 503, ResponseFlag.OM, "overload", "this proxy is overloaded");
        Set(Cause.SessionTooLong, 0, ResponseFlag.DT, "max_duration_timeout");
        return table;
    }
}
