using Weir.Proxy.Configuration;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.App;

/// <summary>The settings of the proxy program, from its arguments and, in a pod, from the environment.</summary>
sealed record ProxyOptions(
    NodeIdentity Identity, Uri ControlPlane, string? ControlPlaneSocket, SocketAddressV4? StatusAddress, int Concurrency, TimeSpan DrainLimit)
{
    const int StatusPort = 15020;

    public const string Help = """
        weir-proxy: the data plane of Weir, driven by xDS alone.

        Usage: weir-proxy sidecar|router|node [options]

        Options (environment variable in brackets):
          --xds URL            control plane: http://HOST:PORT or unix:PATH [WEIR_XDS]
          --node ID            node id; made from the pod's fields when absent [WEIR_NODE_ID]
          --status ADDR:PORT   readiness and metrics; POD_IP:15020 when POD_IP is set [WEIR_STATUS]
          --workload NAME      workload that metrics are labelled with [WEIR_WORKLOAD]
          --concurrency N      event loops, 1 to 64 (default 1) [WEIR_CONCURRENCY]
          --drain SECONDS      how long requests may take to finish on SIGTERM (default 5) [WEIR_DRAIN_SECONDS]

        Example: weir-proxy router --xds unix:/tmp/weir/xds.sock --node router~127.0.0.1~gw.default~default.svc.cluster.local
        """;

    public static bool TryParse(string[] args, Func<string, string?> environment, out ProxyOptions? options, out string error)
    {
        options = null;
        error = "";
        if (args.Contains("--help") || args.Contains("-h"))
        {
            return true;
        }

        var values = new Dictionary<string, string>();
        for (var i = 1; i < args.Length; i += 2)
        {
            if (i + 1 == args.Length || args[i] is not ("--xds" or "--node" or "--status" or "--workload" or "--concurrency" or "--drain"))
            {
                error = $"weir-proxy: {args[i]}: unknown option or no value (--help shows them)";
                return false;
            }

            values[args[i]] = args[i + 1];
        }

        if (args is not ["sidecar" or "router" or "node", ..])
        {
            error = "weir-proxy: the first argument must be sidecar, router or node (--help shows more)";
            return false;
        }

        string? Value(string option, string variable) => values.GetValueOrDefault(option) ?? environment(variable);
        var xds = Value("--xds", "WEIR_XDS");
        if (xds is null)
        {
            error = "weir-proxy: no control plane: give --xds or WEIR_XDS";
            return false;
        }

        var podIp = environment("POD_IP");
        var pod = environment("POD_NAME") ?? "proxy";
        var ns = environment("POD_NAMESPACE") ?? "default";
        var status = Value("--status", "WEIR_STATUS") ?? (podIp is null ? null : $"{podIp}:{StatusPort}");
        SocketAddressV4? statusAddress = null;
        var colon = status?.LastIndexOf(':') ?? -1;
        try
        {
            if (status is not null)
            {
                statusAddress = SocketAddressV4.Parse(status[..Math.Max(colon, 0)], uint.TryParse(status[(colon + 1)..], out var port) ? port : 0);
            }
        }
        catch (FormatException e)
        {
            error = $"weir-proxy: --status: {e.Message}";
            return false;
        }

        if (!int.TryParse(Value("--concurrency", "WEIR_CONCURRENCY") ?? "1", out var concurrency) || concurrency is < 1 or > 64)
        {
            error = "weir-proxy: --concurrency must be 1 to 64";
            return false;
        }

        if (!double.TryParse(Value("--drain", "WEIR_DRAIN_SECONDS") ?? "5", out var drain) || drain is < 0 or > 3600)
        {
            error = "weir-proxy: --drain must be 0 to 3600 seconds";
            return false;
        }

        var isUnix = xds.StartsWith("unix:", StringComparison.Ordinal);
        if (!isUnix && !Uri.TryCreate(xds, UriKind.Absolute, out _))
        {
            error = $"weir-proxy: --xds: \"{xds}\" is neither a URL nor unix:PATH";
            return false;
        }

        var workload = Value("--workload", "WEIR_WORKLOAD") ?? NodeIdentity.WorkloadOf(pod);
        options = new ProxyOptions(
            new NodeIdentity(
                Value("--node", "WEIR_NODE_ID") ?? $"{args[0]}~{podIp ?? "127.0.0.1"}~{pod}.{ns}~{ns}.svc.cluster.local",
                workload, ns, environment("WEIR_APP") ?? workload, environment("WEIR_VERSION") ?? "latest"),
            isUnix ? new Uri("http://control-plane") : new Uri(xds), isUnix ? xds["unix:".Length..] : null,
            statusAddress, concurrency, TimeSpan.FromSeconds(drain));
        return true;
    }
}
