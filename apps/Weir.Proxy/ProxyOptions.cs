using System.Globalization;
using Weir.Proxy.Admin;
using Weir.Proxy.Configuration;
using Weir.Proxy.Listeners;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.App;

/// <summary>The settings of the proxy program, from its arguments and, in a pod, from the environment.</summary>
sealed record ProxyOptions(
    NodeIdentity Identity, ControlPlaneOptions ControlPlane, EngineOptions Engine, AdminOptions Admin, TimeSpan DrainLimit, string? StateDirectory,
    string? HandoverSocket, LogLevel LogLevel)
{
    const int StatusPort = 15020;
    const int AdminPort = 15000;

    public const string Help = """
        weir-proxy: the data plane of Weir, driven by xDS alone.

        Usage: weir-proxy sidecar|router|node [options]
               weir-proxy -c BOOTSTRAP.json [options]

        Options (environment variable in brackets):
          --xds URL              control plane: unix:PATH, http://HOST:PORT or, with TLS, https://HOST:PORT [WEIR_XDS]
          --xds-ca FILE          who must have issued its certificate; the system's authorities when absent [WEIR_XDS_CA]
          --xds-cert FILE        certificate to show it, with --xds-key FILE its key [WEIR_XDS_CERT, WEIR_XDS_KEY]
          --xds-server-name NAME who it must be, when not the URL's host [WEIR_XDS_SERVER_NAME]
          --xds-variant KIND     incremental, sotw (state of the world), or auto: sotw where the server has no incremental
                                 (default incremental, or what the bootstrap file says) [WEIR_XDS_VARIANT]
          --xds-ping-interval S  silence after which it is asked for a sign of life (default 30) [WEIR_XDS_PING_INTERVAL]
          --xds-ping-timeout S   further silence after which it counts as gone (default 10) [WEIR_XDS_PING_TIMEOUT]
          --config-path, -c FILE bootstrap file in Envoy's JSON form, in place of the above [WEIR_CONFIG_PATH]
          --service-cluster NAME node cluster, in place of the bootstrap file's
          --node, --service-node ID
                                 node id; the bootstrap file's, or made from the pod's fields, when absent [WEIR_NODE_ID]
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
          weir-proxy router --xds https://control-plane.example:18000 --xds-ca ca.pem --xds-cert me.pem --xds-key me.key
          weir-proxy -c bootstrap.json --service-node edge-1
        """;

    static readonly string[] Names =
    [
        "--xds", "--xds-ca", "--xds-cert", "--xds-key", "--xds-server-name", "--xds-variant", "--xds-ping-interval", "--xds-ping-timeout", "--config-path",
        "--service-node", "--service-cluster", "--status", "--admin", "--workload", "--concurrency", "--drain", "--state", "--handover", "--max-connections", "--max-memory", "--log-level",
    ];

    /// <summary>Second names of options.</summary>
    static readonly Dictionary<string, string> Aliases = new() { ["-c"] = "--config-path", ["--node"] = "--service-node" };

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
        var hasRole = args is ["sidecar" or "router" or "node", ..];
        var values = Pairs(args.AsSpan(hasRole ? 1 : 0), hasRole);
        string? Value(string option, string variable) => values.GetValueOrDefault(option) ?? (variable.Length > 0 ? environment(variable) : null);
        double Number(string option, string variable, double otherwise, double minimum, double maximum) =>
            Value(option, variable) is not { } text ? otherwise
            : double.TryParse(text, CultureInfo.InvariantCulture, out var number) && number >= minimum && number <= maximum ? number
            : throw new FormatException($"{option} must be {minimum} to {maximum}");

        var controlPlane = ControlPlaneOptions.Parse(Value, values.ContainsKey("--xds"));
        if (controlPlane.Node is null && !hasRole)
        {
            throw new FormatException("the first argument must be sidecar, router or node, where there is no --config-path (--help shows more)");
        }

        var podIp = environment("POD_IP");
        var engine = new EngineOptions
        {
            Concurrency = (int)Number("--concurrency", "WEIR_CONCURRENCY", 1, 1, 64),
            Seed = Entropy.NextSeed(),
            MaximumConnections = (int)Number("--max-connections", "WEIR_MAX_CONNECTIONS", 65_536, 1, 1_000_000),
            MemoryLimit = (long)Number("--max-memory", "WEIR_MAX_MEMORY", 0, 0, 1 << 30) << 20,
        };
        var admin = new AdminOptions
        {
            StatusAddress = Address("--status", Value("--status", "WEIR_STATUS") ?? (podIp is null ? null : $"{podIp}:{StatusPort}")),
            AdminAddress = Value("--admin", "WEIR_ADMIN") is null && controlPlane.Admin is var (host, port)
                ? AdminAddress("admin.address", $"{host}:{port}", podIp) : AdminAddress("--admin", Value("--admin", "WEIR_ADMIN"), podIp),
        };
        return new ProxyOptions(
            controlPlane.Node is { } node ? Identify(node, Value, environment) : Identify(args[0], podIp, Value, environment), controlPlane, engine, admin,
            TimeSpan.FromSeconds(Number("--drain", "WEIR_DRAIN_SECONDS", 5, 0, 3600)), MakeStateDirectory(Value("--state", "WEIR_STATE")),
            Value("--handover", "WEIR_HANDOVER"), Level(Value("--log-level", "WEIR_LOG_LEVEL")));
    }

    static Dictionary<string, string> Pairs(ReadOnlySpan<string> args, bool hasRole)
    {
        var values = new Dictionary<string, string>();
        for (var i = 0; i < args.Length; i += 2)
        {
            var name = Aliases.GetValueOrDefault(args[i], args[i]);
            if (!Names.Contains(name))
            {
                throw new FormatException(i == 0 && !hasRole && !name.StartsWith('-')
                    ? "the first argument must be sidecar, router or node, or an option (--help shows more)"
                    : $"{args[i]}: unknown option (--help shows them)");
            }

            values[name] = i + 1 < args.Length ? args[i + 1] : throw new FormatException($"{args[i]}: has no value (--help shows more)");
        }

        return values;
    }

    static NodeIdentity Identify(Envoy.Config.Core.V3.Node node, Func<string, string, string?> value, Func<string, string?> environment)
    {
        var workload = value("--workload", "WEIR_WORKLOAD") ?? (node.Cluster.Length > 0 ? node.Cluster : node.Id);
        return new NodeIdentity(
            node.Id, workload, environment("POD_NAMESPACE") ?? "default", environment("WEIR_APP") ?? workload, environment("WEIR_VERSION") ?? "latest");
    }

    static NodeIdentity Identify(string role, string? podIp, Func<string, string, string?> value, Func<string, string?> environment)
    {
        var pod = environment("POD_NAME") ?? "proxy";
        var ns = environment("POD_NAMESPACE") ?? "default";
        var workload = value("--workload", "WEIR_WORKLOAD") ?? NodeIdentity.WorkloadOf(pod);
        return new NodeIdentity(
            value("--service-node", "WEIR_NODE_ID") ?? $"{role}~{podIp ?? "127.0.0.1"}~{pod}.{ns}~{ns}.svc.cluster.local",
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
    static SocketAddressV4? AdminAddress(string name, string? given, string? podIp)
    {
        var address = Address(name, given ?? (podIp is null ? null : $"{podIp}:{AdminPort}"));
        return address is null or { IsLoopback: true } ? address
            : given is null ? null : throw new FormatException($"{name}: the address must be in 127.0.0.0/8");
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
                throw new FormatException($"--state: {Failure.Describe(e)}");
            }
        }

        return path;
    }

    static LogLevel Level(string? text) => text is null ? LogLevel.Info
        : Enum.TryParse<LogLevel>(text, ignoreCase: true, out var level) && Enum.IsDefined(level) ? level
        : throw new FormatException("--log-level must be error, warning, info or debug");
}
