using System.Globalization;
using Weir.Proxy.Configuration;
using Weir.Proxy.Listeners;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.App;

/// <summary>The settings of the proxy program, from its arguments and, in a pod, from the environment.</summary>
sealed record ProxyOptions(
    NodeIdentity Identity, Uri ControlPlane, string? ControlPlaneSocket, EngineOptions Engine, TimeSpan DrainLimit, string? StateDirectory,
    string? HandoverSocket, LogLevel LogLevel)
{
    const int StatusPort = 15020;
    const int AdminPort = 15000;

    public const string Help = """
        weir-proxy: the data plane of Weir, driven by xDS alone.

        Usage: weir-proxy sidecar|router|node [options]

        Options (environment variable in brackets):
          --xds URL              control plane: http://HOST:PORT or unix:PATH [WEIR_XDS]
          --node ID              node id; made from the pod's fields when absent [WEIR_NODE_ID]
          --status ADDR:PORT     readiness and metrics; POD_IP:15020 when POD_IP is set [WEIR_STATUS]
          --admin ADDR:PORT      administration, on a loopback address; POD_IP:15000 when POD_IP is one [WEIR_ADMIN]
          --workload NAME        workload that metrics are labelled with [WEIR_WORKLOAD]
          --concurrency N        event loops, 1 to 64 (default 1) [WEIR_CONCURRENCY]
          --drain SECONDS        how long requests may take to finish on SIGTERM (default 5) [WEIR_DRAIN_SECONDS]
          --state DIR            keeps the last good configuration there, and starts with it [WEIR_STATE]
          --handover PATH        Unix socket by which a successor takes over the listening sockets [WEIR_HANDOVER]
          --max-connections N    client connections at a time, 1 to 1000000 (default 65536) [WEIR_MAX_CONNECTIONS]
          --max-memory MIB       resident memory above which requests are refused; 0 for no limit (default 0) [WEIR_MAX_MEMORY]
          --log-level LEVEL      error, warning, info or debug (default info) [WEIR_LOG_LEVEL]

        Examples:
          weir-proxy router --xds unix:/tmp/weir/xds.sock --node router~127.0.0.1~gw.default~default.svc.cluster.local
          weir-proxy router --xds unix:/tmp/weir/xds.sock --state /var/lib/weir --admin 127.0.0.1:15000
        """;

    static readonly string[] Names =
    [
        "--xds", "--node", "--status", "--admin", "--workload", "--concurrency", "--drain", "--state", "--handover", "--max-connections", "--max-memory", "--log-level",
    ];

    public static bool TryParse(string[] args, Func<string, string?> environment, out ProxyOptions? options, out string error)
    {
        options = null;
        error = "";
        if (args.Contains("--help") || args.Contains("-h"))
        {
            return true;
        }

        try
        {
            options = Parse(args, environment);
            return true;
        }
        catch (FormatException e)
        {
            error = $"weir-proxy: {e.Message}";
            return false;
        }
    }

    static ProxyOptions Parse(string[] args, Func<string, string?> environment)
    {
        if (args is not ["sidecar" or "router" or "node", ..])
        {
            throw new FormatException("the first argument must be sidecar, router or node (--help shows more)");
        }

        var values = new Dictionary<string, string>();
        for (var i = 1; i < args.Length; i += 2)
        {
            if (i + 1 == args.Length || !Names.Contains(args[i]))
            {
                throw new FormatException($"{args[i]}: unknown option or no value (--help shows them)");
            }

            values[args[i]] = args[i + 1];
        }

        string? Value(string option, string variable) => values.GetValueOrDefault(option) ?? environment(variable);
        double Number(string option, string variable, double otherwise, double minimum, double maximum) =>
            Value(option, variable) is not { } text ? otherwise
            : double.TryParse(text, CultureInfo.InvariantCulture, out var number) && number >= minimum && number <= maximum ? number
            : throw new FormatException($"{option} must be {minimum} to {maximum}");

        var xds = Value("--xds", "WEIR_XDS") ?? throw new FormatException("no control plane: give --xds or WEIR_XDS");
        var isUnix = xds.StartsWith("unix:", StringComparison.Ordinal);
        if (!isUnix && !Uri.TryCreate(xds, UriKind.Absolute, out _))
        {
            throw new FormatException($"--xds: \"{xds}\" is neither a URL nor unix:PATH");
        }

        var podIp = environment("POD_IP");
        var engine = new EngineOptions
        {
            Concurrency = (int)Number("--concurrency", "WEIR_CONCURRENCY", 1, 1, 64),
            Seed = Environment.ProcessId,
            StatusAddress = Address("--status", Value("--status", "WEIR_STATUS") ?? (podIp is null ? null : $"{podIp}:{StatusPort}")),
            AdminAddress = AdminAddress(Value("--admin", "WEIR_ADMIN"), podIp),
            MaximumConnections = (int)Number("--max-connections", "WEIR_MAX_CONNECTIONS", 65_536, 1, 1_000_000),
            MemoryLimit = (long)Number("--max-memory", "WEIR_MAX_MEMORY", 0, 0, 1 << 30) << 20,
        };
        return new ProxyOptions(
            Identify(args[0], podIp, Value, environment), isUnix ? new Uri("http://control-plane") : new Uri(xds), isUnix ? xds["unix:".Length..] : null, engine,
            TimeSpan.FromSeconds(Number("--drain", "WEIR_DRAIN_SECONDS", 5, 0, 3600)), MakeStateDirectory(Value("--state", "WEIR_STATE")),
            Value("--handover", "WEIR_HANDOVER"), Level(Value("--log-level", "WEIR_LOG_LEVEL")));
    }

    static NodeIdentity Identify(string role, string? podIp, Func<string, string, string?> value, Func<string, string?> environment)
    {
        var pod = environment("POD_NAME") ?? "proxy";
        var ns = environment("POD_NAMESPACE") ?? "default";
        var workload = value("--workload", "WEIR_WORKLOAD") ?? NodeIdentity.WorkloadOf(pod);
        return new NodeIdentity(
            value("--node", "WEIR_NODE_ID") ?? $"{role}~{podIp ?? "127.0.0.1"}~{pod}.{ns}~{ns}.svc.cluster.local",
            workload, ns, environment("WEIR_APP") ?? workload, environment("WEIR_VERSION") ?? "latest");
    }

    static SocketAddressV4? Address(string option, string? text)
    {
        if (text is null)
        {
            return null;
        }

        try
        {
            var colon = text.LastIndexOf(':');
            return SocketAddressV4.Parse(text[..Math.Max(colon, 0)], uint.TryParse(text.AsSpan(colon + 1), out var port) ? port : 0);
        }
        catch (FormatException e)
        {
            throw new FormatException($"{option}: {e.Message}");
        }
    }

    /// <summary>Whoever reaches it can stop the proxy, so it is not offered to the network.</summary>
    static SocketAddressV4? AdminAddress(string? given, string? podIp)
    {
        var address = Address("--admin", given ?? (podIp is null ? null : $"{podIp}:{AdminPort}"));
        return address is null or { IsLoopback: true } ? address
            : given is null ? null : throw new FormatException("--admin: the address must be in 127.0.0.0/8");
    }

    static string? MakeStateDirectory(string? path)
    {
        if (path is not null)
        {
            try
            {
                Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new FormatException($"--state: {e.Message}");
            }
        }

        return path;
    }

    static LogLevel Level(string? text) => text is null ? LogLevel.Info
        : Enum.TryParse<LogLevel>(text, ignoreCase: true, out var level) && Enum.IsDefined(level) ? level
        : throw new FormatException("--log-level must be error, warning, info or debug");
}
