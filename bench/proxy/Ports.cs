using System.Globalization;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Bench;

/// <summary>Where everybody listens, all of it on the loopback.</summary>
static class Ports
{
    public const int WeirHttp = 19000, WeirTls = 19001, WeirTcp = 19002, NginxHttp = 19010, HaproxyHttp = 19020, HaproxyTls = 19021, HaproxyTcp = 19022;
    public const int Backend = 19081, TlsBackend = 19181, EchoBackend = 19281;

    /// <summary>Two proxies, one behind the other: where the first takes requests, and the second.</summary>
    public const int Outbound = 19030, Inbound = 19031, HaproxyOutbound = 19032, HaproxyInbound = 19033, NginxOutbound = 19034, NginxInbound = 19035;

    /// <summary>HTTP/2 with prior knowledge, in the clear.</summary>
    public const int WeirHttp2 = 19050, HaproxyHttp2 = 19051, NghttpxHttp2 = 19052, NginxHttp2 = 19053, WeirSlowHttp2 = 19054;
    public const int Http2Backend = 19381, SlowHttp2Backend = 19391, GrpcBackend = 19392;

    /// <summary>What to add to a port of Weir's for the proxy that it is compared with, of an earlier version.</summary>
    public const int ToBaseline = 500;

    /// <summary>Where a proxy tells its metrics.</summary>
    public const int Status = 19090;

    /// <summary>As many client connections as HAProxy takes with the descriptors it may have: it wants two for each.</summary>
    public static readonly int Connections = Math.Min(10_000, (DescriptorLimit() - 100) / 2);

    static int DescriptorLimit() => int.TryParse(
        File.ReadLines("/proc/self/limits").First(l => l.StartsWith("Max open files", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[4],
        CultureInfo.InvariantCulture, out var limit) ? limit : 60_000;

    public static SocketAddressV4 At(int port) => SocketAddressV4.Parse("127.0.0.1", (uint)port);
}
