using Weir.Proxy.Exchanges;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Listeners;

/// <summary>What is known of a connection when it is decided who serves it.</summary>
/// <param name="ServerName">From SNI, in lower case; empty when unknown.</param>
/// <param name="Transport"><c>tls</c>, <c>raw_buffer</c>, or empty when nobody has looked.</param>
/// <param name="Alpn">What the client offers; <c>http/1.1</c> for a connection seen to speak it in the clear.</param>
sealed record ConnectionFacts(
    SocketAddressV4 Source, SocketAddressV4 Destination, string ServerName, string Transport, IReadOnlyList<string> Alpn);

/// <summary>An address range.</summary>
readonly record struct AddressRange(uint Address, int PrefixLength)
{
    public bool Contains(uint address) => PrefixLength == 0 || (address ^ Address) >> (32 - PrefixLength) == 0;
}

/// <summary>Which connections a filter chain is for; what is empty or 0 is not asked. As Envoy's <c>FilterChainMatch</c>.</summary>
sealed record FilterChainMatch(
    int DestinationPort, IReadOnlyList<AddressRange> Destinations, IReadOnlyList<string> ServerNames, string Transport,
    IReadOnlyList<string> Alpn, bool? SourceIsLocal, IReadOnlyList<AddressRange> Sources, IReadOnlyList<int> SourcePorts)
{
    public static readonly FilterChainMatch Any = new(0, [], [], "", [], null, [], []);

    /// <summary>
    /// How closely it matches, so that the closest wins: port, address, server name, transport, protocol and source, the first
    /// weighing most. Null when it does not.
    /// </summary>
    public long? Closeness(ConnectionFacts facts)
    {
        if ((DestinationPort != 0 && DestinationPort != facts.Destination.Port)
            || (Transport.Length > 0 && Transport != facts.Transport)
            || (Alpn.Count > 0 && !Alpn.Any(facts.Alpn.Contains))
            || (SourcePorts.Count > 0 && !SourcePorts.Contains(facts.Source.Port))
            || (SourceIsLocal is { } local && local != (facts.Source.IsLoopback || facts.Source.Address == facts.Destination.Address)))
        {
            return null;
        }

        var destination = Longest(Destinations, facts.Destination.Address);
        var source = Longest(Sources, facts.Source.Address);
        var name = NameCloseness(facts.ServerName);
        if (destination < 0 || source < 0 || name < 0)
        {
            return null;
        }

        long result = DestinationPort != 0 ? 1 : 0;
        result = (result << 6) + destination;
        result = (result << 10) + name;
        result = (result << 1) + (Transport.Length > 0 ? 1 : 0);
        result = (result << 1) + (Alpn.Count > 0 ? 1 : 0);
        result = (result << 1) + (SourceIsLocal is null ? 0 : 1);
        result = (result << 6) + source;
        return (result << 1) + (SourcePorts.Count > 0 ? 1 : 0);
    }

    /// <summary>0 when nothing is asked, the prefix length plus one when it matches, -1 when it does not.</summary>
    static int Longest(IReadOnlyList<AddressRange> ranges, uint address)
    {
        var best = ranges.Count == 0 ? 0 : -1;
        foreach (var range in ranges)
        {
            if (range.Contains(address))
            {
                best = Math.Max(best, range.PrefixLength + 1);
            }
        }

        return best;
    }

    int NameCloseness(string serverName)
    {
        var best = ServerNames.Count == 0 ? 0 : -1;
        foreach (var name in ServerNames)
        {
            if (name == serverName)
            {
                return 1023;
            }

            if (name.StartsWith("*.", StringComparison.Ordinal) && serverName.Length > name.Length - 1 && serverName.EndsWith(name[1..], StringComparison.Ordinal))
            {
                best = Math.Max(best, Math.Min(name.Length, 1022));
            }
        }

        return best;
    }
}

/// <summary>One way to serve connections: with or without TLS, as HTTP or as bytes.</summary>
/// <param name="Listener">The name of the listener it is part of.</param>
/// <param name="Identity">Of its configuration, but for secrets and routes, which change under it: a connection stays while it does.</param>
/// <param name="Http">Exactly one of this and <paramref name="Tcp"/> is given.</param>
sealed record FilterChain(
    string Listener, string Name, ulong Identity, FilterChainMatch Match, Tls.TlsServer? Tls, int HandshakeMilliseconds, HttpOptions? Http, TcpOptions? Tcp, bool IsInbound);

/// <summary>The filter chains of a listener, found by what is known of a connection. Immutable.</summary>
sealed class FilterChainTable
{
    readonly FilterChain[] nameless;
    readonly Dictionary<string, FilterChain[]> byName;
    readonly FilterChain? otherwise;
    readonly int longestHandshake;

    public FilterChainTable(IReadOnlyList<FilterChain> chains, FilterChain? otherwise)
    {
        this.otherwise = otherwise;
        All = otherwise is null ? chains : [.. chains, otherwise];
        nameless = [.. chains.Where(c => c.Match.ServerNames.Count == 0)];
        byName = chains.SelectMany(c => c.Match.ServerNames.Select(n => (n, c))).GroupBy(p => p.n).ToDictionary(g => g.Key, g => g.Select(p => p.c).ToArray());
        longestHandshake = All.Where(c => c.Tls is not null).Select(c => c.HandshakeMilliseconds).DefaultIfEmpty().Max();
        Only = chains.Count == 1 && otherwise is null && chains[0].Match == FilterChainMatch.Any ? chains[0]
            : chains.Count == 0 ? otherwise : null;
    }

    public IReadOnlyList<FilterChain> All { get; }

    /// <summary>Milliseconds that a handshake may take, on the chain that gives it most; 0 when there is no TLS.</summary>
    public int LongestHandshake => longestHandshake;

    /// <summary>The chain that takes every connection, when there is but one: then nothing needs to be known.</summary>
    public FilterChain? Only { get; }

    /// <summary>Whether a connection's server name, transport or protocol decides anything.</summary>
    public bool AsksForContent => All.Any(c => c.Match is not { ServerNames.Count: 0, Transport: "", Alpn.Count: 0 });

    public FilterChain? Find(ConnectionFacts facts)
    {
        if (Only is not null)
        {
            return Only;
        }

        FilterChain? best = null;
        long closeness = -1;
        void Consider(FilterChain[] candidates)
        {
            foreach (var chain in candidates)
            {
                if (chain.Match.Closeness(facts) is { } value && value > closeness)
                {
                    (best, closeness) = (chain, value);
                }
            }
        }

        Consider(nameless);
        if (byName.Count > 0 && facts.ServerName.Length > 0)
        {
            if (byName.TryGetValue(facts.ServerName, out var exact))
            {
                Consider(exact);
            }

            for (var dot = facts.ServerName.IndexOf('.'); dot >= 0; dot = facts.ServerName.IndexOf('.', dot + 1))
            {
                if (byName.TryGetValue("*" + facts.ServerName[dot..], out var wildcard))
                {
                    Consider(wildcard);
                }
            }
        }

        return best ?? otherwise;
    }
}
