using System.Collections.Frozen;
using Weir.Proxy.Filters;
using Weir.Proxy.Http;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Matching;

namespace Weir.Proxy.Routing;

/// <summary>The virtual hosts of one route configuration, found by the request's authority. Immutable.</summary>
sealed class RouteTable
{
    /// <summary>Longer names are no DNS names.</summary>
    const int MaximumAuthority = 300;

    readonly FrozenDictionary<string, VirtualHost> exact;
    readonly FrozenDictionary<string, VirtualHost>.AlternateLookup<ReadOnlySpan<char>> exactBySpan;
    readonly (string Suffix, VirtualHost Host)[] suffixes;
    readonly (string Prefix, VirtualHost Host)[] prefixes;
    readonly VirtualHost? any;
    readonly bool ignorePort;

    public RouteTable(string name, IEnumerable<VirtualHost> hosts, bool ignorePort)
    {
        Name = name;
        Hosts = [.. hosts];
        this.ignorePort = ignorePort;
        var exactHosts = new Dictionary<string, VirtualHost>();
        var suffixHosts = new List<(string, VirtualHost)>();
        var prefixHosts = new List<(string, VirtualHost)>();
        var clusters = new HashSet<string>();
        foreach (var host in Hosts)
        {
            clusters.UnionWith(host.Routes.SelectMany(r => r.Targets).Select(t => t.Cluster.Name));
            foreach (var domain in host.Domains.Select(d => d.ToLowerInvariant()))
            {
                if (domain == "*")
                {
                    any ??= host;
                }
                else if (domain.StartsWith('*'))
                {
                    suffixHosts.Add((domain[1..], host));
                }
                else if (domain.EndsWith('*'))
                {
                    prefixHosts.Add((domain[..^1], host));
                }
                else
                {
                    exactHosts.TryAdd(domain, host);
                }
            }
        }

        Clusters = clusters;
        exact = exactHosts.ToFrozenDictionary();
        exactBySpan = exact.GetAlternateLookup<ReadOnlySpan<char>>();

        // The longest, most specific wildcard is tried first.
        suffixes = [.. suffixHosts.OrderByDescending(s => s.Item1.Length)];
        prefixes = [.. prefixHosts.OrderByDescending(s => s.Item1.Length)];
    }

    public string Name { get; }

    public IReadOnlyList<VirtualHost> Hosts { get; }

    /// <summary>All that its routes may send to.</summary>
    public IReadOnlySet<string> Clusters { get; }

    public Route? Match(MessageHead head, ReadOnlySpan<byte> buffer, bool isSecure = false)
    {
        var host = FindHost(head.Authority.Of(buffer));
        if (host is null)
        {
            return null;
        }

        foreach (var route in host.Routes)
        {
            if (route.Matches(head, buffer, isSecure))
            {
                return route;
            }
        }

        return null;
    }

    VirtualHost? FindHost(ReadOnlySpan<byte> authority)
    {
        if (authority.Length > MaximumAuthority)
        {
            return null;
        }

        Span<char> lower = stackalloc char[authority.Length];
        for (var i = 0; i < authority.Length; i++)
        {
            lower[i] = char.ToLowerInvariant((char)authority[i]);
        }

        ReadOnlySpan<char> name = lower;
        if (ignorePort && name.LastIndexOf(':') is > 0 and var colon && name[^1] != ']')
        {
            name = name[..colon];
        }

        if (exactBySpan.TryGetValue(name, out var host))
        {
            return host;
        }

        foreach (var (suffix, suffixHost) in suffixes)
        {
            if (name.Length > suffix.Length && name.EndsWith(suffix))
            {
                return suffixHost;
            }
        }

        foreach (var (prefix, prefixHost) in prefixes)
        {
            if (name.Length > prefix.Length && name.StartsWith(prefix))
            {
                return prefixHost;
            }
        }

        return any;
    }
}

sealed record VirtualHost(string Name, IReadOnlyList<string> Domains, Route[] Routes);

public enum PathMatchKind
{
    Prefix,
    SegmentPrefix,
    Exact,
    Regex,
}

/// <summary>One rule: what it matches and what is done then. Immutable.</summary>
sealed class Route
{
    public required string Name { get; init; }
    public PathMatchKind PathKind { get; init; }
    public required StringMatch Path { get; init; }

    /// <summary>Of a prefix match: what a prefix rewrite replaces.</summary>
    public int PathLength { get; init; }
    public HeaderMatch[] Headers { get; init; } = [];
    public QueryMatch[] Query { get; init; } = [];
    public HeaderRules Rules { get; init; } = HeaderRules.None;

    /// <summary>The clusters to choose from; empty for a route that answers by itself.</summary>
    public WeightedTarget[] Targets { get; init; } = [];
    public WeightedSchedule? Schedule { get; init; }
    public DirectReply? Direct { get; init; }
    public byte[] PrefixRewrite { get; init; } = [];
    public byte[] HostRewrite { get; init; } = [];

    /// <summary>Of the whole exchange; 0 for none.</summary>
    public int TimeoutMilliseconds { get; init; }

    /// <summary>Without a byte either way; null for the listener's.</summary>
    public int? IdleMilliseconds { get; init; }
    public HashPolicy[] HashPolicies { get; init; } = [];

    /// <summary>Matches CONNECT alone, which has no path.</summary>
    public bool IsConnect { get; init; }

    /// <summary>The proxy itself is what CONNECT connects to: the bytes go to the cluster, not the request.</summary>
    public bool TerminatesConnect { get; init; }

    /// <summary>Protocols that this route allows or forbids an upgrade to, in lower case; others are the listener's matter.</summary>
    public IReadOnlyDictionary<string, bool> Upgrades { get; init; } = FrozenDictionary<string, bool>.Empty;

    public WeightedTarget Pick() => Schedule is null ? Targets[0] : Targets[Schedule.Next()];

    public bool Matches(MessageHead head, ReadOnlySpan<byte> buffer, bool isSecure = false)
    {
        if (head.IsConnect != IsConnect)
        {
            return false;
        }

        var target = head.Target.Length == 0 ? "/"u8 : head.Target.Of(buffer);
        var question = target.IndexOf((byte)'?');
        var path = question < 0 ? target : target[..question];
        if (path.IsEmpty)
        {
            path = "/"u8;
        }

        if (!IsConnect && !MatchesPath(path))
        {
            return false;
        }

        foreach (var header in Headers)
        {
            if (!header.Matches(head, buffer, isSecure))
            {
                return false;
            }
        }

        foreach (var query in Query)
        {
            if (!query.Matches(question < 0 ? default : target[(question + 1)..]))
            {
                return false;
            }
        }

        return true;
    }

    bool MatchesPath(ReadOnlySpan<byte> path)
    {
        if (PathKind is PathMatchKind.Prefix or PathMatchKind.SegmentPrefix && PathLength <= 1 && path.SequenceEqual("*"u8))
        {
            // OPTIONS of the server itself (RFC 9110 section 9.3.7): a prefix of everything is one of it, too.
            return true;
        }

        return Path.Matches(path) && (PathKind != PathMatchKind.SegmentPrefix || path.Length <= PathLength || path[PathLength] == '/');
    }
}

/// <summary>An answer without an upstream.</summary>
sealed record DirectReply(int Status, byte[] Body, RedirectRule? Redirect);

/// <summary>What of the request's URL a redirect replaces; null or 0 keeps it.</summary>
sealed record RedirectRule(string? Scheme, string? Host, uint Port, string? Path, string? PrefixRewrite);

/// <summary>A cluster to send to, with the header rules of this share.</summary>
/// <param name="Subset">Which of its endpoints, as <see cref="LoadBalancing.SubsetKey"/>; null for all.</param>
sealed record WeightedTarget(ClusterSlot Cluster, HeaderRules Rules, string? Subset = null);
