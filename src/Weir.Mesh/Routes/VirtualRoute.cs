using System.Collections.Immutable;
using Weir.Resources;

namespace Weir.Mesh.Routes;

/// <summary>The resource that a part of the model was read from.</summary>
public sealed record Origin(string Kind, ObjectKey Key, DateTimeOffset Created)
{
    public override string ToString() => $"{Kind} {Key}";
}

/// <summary>Ordered rules for requests to some hosts.</summary>
/// <param name="Hosts">Full names, or with a leading wildcard.</param>
/// <param name="Gateways"><c>namespace/name</c>, or <see cref="Mesh"/>.</param>
/// <param name="ExportedTo">Namespaces whose sidecars see it; <c>*</c> for all.</param>
public sealed record VirtualRoute(
    Origin Origin, ImmutableArray<string> Hosts, ImmutableArray<string> Gateways, ImmutableArray<string> ExportedTo, ImmutableArray<HttpRule> Rules)
{
    /// <summary>Stands for all sidecars among the gateways of a route.</summary>
    public const string Mesh = "mesh";

    public bool IsVisibleTo(string ns) => ExportedTo.Contains("*") || ExportedTo.Contains(ns);
}

/// <summary>One rule: when it matches, and what happens then. Exactly one of destinations, redirect and direct response is given.</summary>
public sealed record HttpRule(string Name, ImmutableArray<HttpMatch> Matches)
{
    public ImmutableArray<WeightedDestination> Destinations { get; init; } = [];
    public HttpRedirect? Redirect { get; init; }
    public HttpDirectResponse? DirectResponse { get; init; }
    public HeaderChanges Headers { get; init; } = HeaderChanges.None;

    /// <summary>Replaces the matched prefix of the path.</summary>
    public string? RewritePath { get; init; }
    public string? RewriteAuthority { get; init; }

    /// <summary>Of the whole exchange; none when null.</summary>
    public TimeSpan? Timeout { get; init; }
}

/// <summary>All given conditions must hold.</summary>
public sealed record HttpMatch
{
    public TextMatch? Path { get; init; }
    public bool IgnorePathCase { get; init; }
    public TextMatch? Method { get; init; }
    public TextMatch? Authority { get; init; }
    public TextMatch? Scheme { get; init; }
    public ImmutableArray<(string Name, TextMatch Match)> Headers { get; init; } = [];
    public ImmutableArray<(string Name, TextMatch Match)> WithoutHeaders { get; init; } = [];
    public ImmutableArray<(string Name, TextMatch Match)> Query { get; init; } = [];
    public int? Port { get; init; }
    public string? SourceNamespace { get; init; }
    public ImmutableSortedDictionary<string, string> SourceLabels { get; init; } = ImmutableSortedDictionary<string, string>.Empty;

    /// <summary>If given, the match holds only at these.</summary>
    public ImmutableArray<string> Gateways { get; init; } = [];
}

public enum TextMatchKind
{
    Exact,
    Prefix,
    Regex,
    Present,
}

public sealed record TextMatch(TextMatchKind Kind, string Value);

/// <param name="Host">Full name.</param>
/// <param name="Port">Null: the service's only port, or the one the request came by.</param>
public sealed record WeightedDestination(string Host, string Subset, int? Port, uint Weight, HeaderChanges Headers);

public sealed record HttpRedirect(string? Scheme, string? Authority, int? Port, string? Path, string? PrefixRewrite, int Status);

public sealed record HttpDirectResponse(int Status, string Body);

public sealed record HeaderChanges(HeaderOperations Request, HeaderOperations Response)
{
    public static readonly HeaderChanges None = new(HeaderOperations.None, HeaderOperations.None);
}

public sealed record HeaderOperations(
    ImmutableArray<(string Name, string Value)> Set, ImmutableArray<(string Name, string Value)> Add, ImmutableArray<string> Remove)
{
    public static readonly HeaderOperations None = new([], [], []);
}

public enum LoadBalancing
{
    LeastRequest,
    RoundRobin,
    Random,
}

/// <summary>What holds for all requests to one host, once their route is known.</summary>
/// <param name="Subsets">By name: the labels that choose a part of the service's endpoints.</param>
public sealed record DestinationPolicy(
    Origin Origin, string Host, LoadBalancing LoadBalancing, ImmutableDictionary<string, Subset> Subsets);

public sealed record Subset(string Name, ImmutableSortedDictionary<string, string> Labels, LoadBalancing? LoadBalancing);
