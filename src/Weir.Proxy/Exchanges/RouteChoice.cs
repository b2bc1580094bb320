using Weir.Proxy.Http;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Routing;

namespace Weir.Proxy.Exchanges;

/// <summary>Where a request goes: decided once, whatever tries it takes.</summary>
struct RouteChoice
{
    public Route? Route;
    public WeightedTarget? Target;
    public Cluster? Cluster;
    public ulong? Hash;

    /// <summary>The protocol that the connection may be changed to; empty for none.</summary>
    public Slice Upgrade;

    /// <summary>The client is given the cookie that keeps it at one endpoint.</summary>
    public bool GivesCookie;

    /// <summary>Null with an answer of the proxy's own in <paramref name="reply"/> where no upstream is to be asked.</summary>
    public static RouteChoice Make(ServerStream server, HttpOptions options, RequestIdSource ids, ref byte[]? cookie, out LocalReply? reply)
    {
        var choice = default(RouteChoice);
        reply = null;
        var request = server.Request;
        ReadOnlySpan<byte> bytes = server.RequestBytes;
        if (request.IsConnect && !options.Upgrades.Contains("connect"))
        {
            reply = LocalReply.NoConnect;
            return choice;
        }

        var isSecure = server.Downstream.IsSecure;
        var route = choice.Route = options.Routes.Current?.Match(request, bytes, isSecure);
        if (route is null)
        {
            reply = LocalReply.Of(Cause.NoRoute);
            return choice;
        }

        if (route.Direct is { } direct)
        {
            reply = direct.Redirect is null
                ? new LocalReply(direct.Status, Telemetry.ResponseFlag.None, "direct_response", direct.Body) { Rules = route.Rules }
                : LocalReply.Redirect(direct.Status, Redirects.Location(direct.Redirect, request, bytes, route, isSecure)) with { Body = direct.Body, Rules = route.Rules };
            return choice;
        }

        choice.Target = route.Pick();
        choice.Cluster = choice.Target.Cluster.Current;
        if (choice.Cluster is null)
        {
            reply = LocalReply.Of(Cause.NoCluster);
            return choice;
        }

        choice.Upgrade = AllowsUpgrade(route, options, request, bytes) ? request.Upgrade : default;
        if (request.IsExtendedConnect && choice.Upgrade.Length == 0)
        {
            // Nothing else can be made of it.
            reply = LocalReply.NoConnect;
            return choice;
        }

        if (choice.Cluster.Balancing.Policy is BalancingPolicy.RingHash or BalancingPolicy.Maglev)
        {
            choice.Hash = HashPolicy.Compute(route.HashPolicies, request, bytes, server.Downstream.Peer);
            choice.PrepareCookie(request, bytes, ids, ref cookie);
        }

        return choice;
    }

    /// <summary>Milliseconds for the whole of the answer: what the route allows, or less where a gRPC client asks for less. 0 for no limit.</summary>
    public readonly int TimeoutOf(ServerStream server)
    {
        var timeout = Route!.TimeoutMilliseconds;
        return GrpcStatuses.Timeout(server.Request, server.RequestBytes) is > 0 and var asked
            ? (int)Math.Min(timeout > 0 ? timeout : int.MaxValue, asked)
            : timeout;
    }

    /// <summary>An offer that is not allowed is not passed on; the request is then served without it (RFC 9110 section 7.8).</summary>
    static bool AllowsUpgrade(Route route, HttpOptions options, MessageHead request, ReadOnlySpan<byte> bytes)
    {
        if (request.Upgrade.Length is 0 or > 64 || request.Body != BodyKind.None || request.IsConnect)
        {
            return false;
        }

        Span<char> name = stackalloc char[request.Upgrade.Length];
        for (var i = 0; i < name.Length; i++)
        {
            name[i] = char.ToLowerInvariant((char)bytes[request.Upgrade.Start + i]);
        }

        var protocol = name is "websocket" ? "websocket" : name.ToString();
        return route.Upgrades.TryGetValue(protocol, out var allowed) ? allowed : options.Upgrades.Contains(protocol);
    }

    /// <summary>A client without the cookie that keeps it at one endpoint is given one, and is sent there at once.</summary>
    void PrepareCookie(MessageHead request, ReadOnlySpan<byte> bytes, RequestIdSource ids, ref byte[]? cookie)
    {
        foreach (var policy in Route!.HashPolicies)
        {
            if (policy is { Source: HashSource.Cookie, CookieSeconds: not null } && policy.FindCookie(request, bytes).IsEmpty)
            {
                ids.Next(cookie ??= new byte[36]);
                Hash = XxHash64.Hash(cookie);
                GivesCookie = true;
                return;
            }
        }
    }
}
