namespace Weir.Proxy.Telemetry;

/// <summary>The names of response flags, short and long, as Envoy writes them.</summary>
static class ResponseFlags
{
    static readonly byte[][] Names = [.. Enum.GetValues<ResponseFlag>().Select(f => f == ResponseFlag.None ? "-"u8.ToArray() : System.Text.Encoding.ASCII.GetBytes(f.ToString()))];

    public static ReadOnlySpan<byte> NameOf(ResponseFlag flag) => Names[(int)flag];

    public static string LongNameOf(ResponseFlag flag) => flag switch
    {
        ResponseFlag.UH => "NoHealthyUpstream",
        ResponseFlag.UF => "UpstreamConnectionFailure",
        ResponseFlag.UC => "UpstreamConnectionTermination",
        ResponseFlag.UT => "UpstreamRequestTimeout",
        ResponseFlag.NR => "NoRouteFound",
        ResponseFlag.NC => "NoClusterFound",
        ResponseFlag.UPE => "UpstreamProtocolError",
        ResponseFlag.DPE => "DownstreamProtocolError",
        ResponseFlag.DC => "DownstreamConnectionTermination",
        ResponseFlag.UO => "UpstreamOverflow",
        ResponseFlag.SI => "StreamIdleTimeout",
        ResponseFlag.DT => "DurationTimeout",
        ResponseFlag.OM => "OverloadManagerTerminated",
        _ => "",
    };
}
