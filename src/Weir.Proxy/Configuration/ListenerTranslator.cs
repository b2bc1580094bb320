using Envoy.Config.Core.V3;
using Envoy.Config.Listener.V3;
using Envoy.Extensions.Filters.Network.HttpConnectionManager.V3;
using Envoy.Extensions.Filters.Network.TcpProxy.V3;
using Envoy.Extensions.TransportSockets.Tls.V3;
using Google.Protobuf;
using Weir.Proxy.Exchanges;
using Weir.Proxy.Filters;
using Weir.Proxy.Http;
using Weir.Proxy.Listeners;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;
using Weir.Proxy.Routing;
using Weir.Xds;
using XdsFilterChain = Envoy.Config.Listener.V3.FilterChain;

namespace Weir.Proxy.Configuration;

/// <summary>Listeners from their messages. What is not understood is refused, or remarked on; never ignored.</summary>
/// <param name="routes">The slot of a route table, for chains that name one.</param>
sealed class ListenerTranslator(Translation translation, Func<string, RouteSlot> routes)
{
    const int DefaultInspection = 15_000;
    const int DefaultHandshake = 15_000;

    public ListenerConfiguration Translate(Listener listener, Reading reading)
    {
        var owner = $"listener {listener.Name}";
        SocketAddressV4[] addresses = [.. listener.AdditionalAddresses.Select(a => a.Address).Prepend(listener.Address).Select(a => Common.Address(owner, a))];
        _ = Common.Name("a listener's name", listener.Name);
        if (listener.FilterChains.Count == 0 && listener.DefaultFilterChain is null)
        {
            throw new ConfigException($"{owner}: it has no filter chain");
        }

        var chains = listener.FilterChains.Select((c, i) => Chain($"{owner}, filter chain {(c.Name.Length > 0 ? c.Name : $"[{i}]")}", listener, c, reading)).ToList();
        var otherwise = listener.DefaultFilterChain is { } last ? Chain($"{owner}, default_filter_chain", listener, last, reading) : null;
        var table = new FilterChainTable(chains, otherwise);
        var result = new ListenerConfiguration(listener.Name, addresses, table)
        {
            InspectionMilliseconds = Common.Milliseconds(listener.ListenerFiltersTimeout, DefaultInspection) is > 0 and var limit ? limit : int.MaxValue,
            ContinuesOnTimeout = listener.ContinueOnListenerFiltersTimeout,
        };
        foreach (var filter in listener.ListenerFilters)
        {
            var off = Predicate(owner, filter.FilterDisabled);
            result = filter.TypedConfig?.TypeUrl switch
            {
                XdsTypes.TlsInspector => result with { TlsInspectionOff = off },
                XdsTypes.HttpInspector => result with { HttpInspectionOff = off },
                XdsTypes.ProxyProtocol => result with
                {
                    InspectsProxyProtocol = true,
                    AllowsMissingProxyProtocol = Envoy.Extensions.Filters.Listener.ProxyProtocol.V3.ProxyProtocol.Parser.ParseFrom(filter.TypedConfig.Value).AllowRequestsWithoutProxyProtocol,
                },
                var other => throw new ConfigException($"{owner}: listener filter {filter.Name} ({other}) is not supported"),
            };
        }

        // Chains that ask what a client speaks have it found out, whether or not the filter for it was named.
        var asks = table.AsksForContent || table.All.Any(c => c.Tls is { NeedsName: true });
        return asks && result.TlsInspectionOff is null ? result with { TlsInspectionOff = static _ => false } : result;
    }

    static Func<int, bool> Predicate(string owner, ListenerFilterChainMatchPredicate? predicate)
    {
        switch (predicate?.RuleCase)
        {
            case null or ListenerFilterChainMatchPredicate.RuleOneofCase.None:
                return static _ => false;
            case ListenerFilterChainMatchPredicate.RuleOneofCase.AnyMatch when predicate.AnyMatch:
                return static _ => true;
            case ListenerFilterChainMatchPredicate.RuleOneofCase.AnyMatch:
                throw new ConfigException($"{owner}: filter_disabled.any_match: false says nothing");
            case ListenerFilterChainMatchPredicate.RuleOneofCase.DestinationPortRange:
                var range = predicate.DestinationPortRange;
                return port => port >= range.Start && port < range.End;
            case ListenerFilterChainMatchPredicate.RuleOneofCase.NotMatch:
                var inner = Predicate(owner, predicate.NotMatch);
                return port => !inner(port);
            case ListenerFilterChainMatchPredicate.RuleOneofCase.OrMatch:
                var any = predicate.OrMatch.Rules.Select(r => Predicate(owner, r)).ToArray();
                return port => Array.Exists(any, p => p(port));
            default:
                var all = predicate.AndMatch.Rules.Select(r => Predicate(owner, r)).ToArray();
                return port => Array.TrueForAll(all, p => p(port));
        }
    }

    Listeners.FilterChain Chain(string owner, Listener listener, XdsFilterChain chain, Reading reading)
    {
        if (chain.Filters.Count != 1)
        {
            throw new ConfigException($"{owner}: exactly one network filter is supported");
        }

        var config = chain.Filters[0].TypedConfig;
        var http = config?.TypeUrl == XdsTypes.HttpConnectionManager ? new HttpTranslator(translation, routes, reading)
            .Translate(owner, HttpConnectionManager.Parser.ParseFrom(config.Value), listener.TrafficDirection == TrafficDirection.Inbound) : null;
        var tcp = config?.TypeUrl == XdsTypes.TcpProxy ? TcpTranslator.Translate(owner, TcpProxy.Parser.ParseFrom(config.Value), translation) : null;
        if (http is null && tcp is null)
        {
            throw new ConfigException($"{owner}: filter {config?.TypeUrl} is not supported");
        }

        var tls = chain.TransportSocket?.TypedConfig?.TypeUrl switch
        {
            null when chain.TransportSocket is null => null,
            XdsTypes.RawBuffer => null,
            XdsTypes.DownstreamTls => new TlsTranslator(translation, owner, reading)
                .Server(DownstreamTlsContext.Parser.ParseFrom(chain.TransportSocket.TypedConfig.Value), isHttp: http is not null),
            var other => throw new ConfigException($"{owner}: transport_socket: {other ?? chain.TransportSocket.Name} is not supported"),
        };
        var handshake = Common.Milliseconds(chain.TransportSocketConnectTimeout, DefaultHandshake);
        return new Listeners.FilterChain(
            listener.Name, chain.Name, XxHash64.Hash(chain.ToByteArray()), Match(owner, chain.FilterChainMatch), tls, handshake == 0 ? DefaultHandshake : handshake, http, tcp, listener.TrafficDirection == TrafficDirection.Inbound);
    }

    static Listeners.FilterChainMatch Match(string owner, Envoy.Config.Listener.V3.FilterChainMatch? match) => match is null ? Listeners.FilterChainMatch.Any : new(
        match.DestinationPort is 0 or > ushort.MaxValue ? throw new ConfigException($"{owner}: filter_chain_match.destination_port: {match.DestinationPort} is no port") : (int)(match.DestinationPort ?? 0),
        [.. match.PrefixRanges.Select(r => Common.Range(owner, r))],
        [.. match.ServerNames.Select(n => n.ToLowerInvariant())],
        match.TransportProtocol is "" or "tls" or "raw_buffer" ? match.TransportProtocol : throw new ConfigException($"{owner}: filter_chain_match.transport_protocol: {match.TransportProtocol} is not supported"),
        [.. match.ApplicationProtocols],
        match.SourceType switch
        {
            Envoy.Config.Listener.V3.FilterChainMatch.Types.ConnectionSourceType.SameIpOrLoopback => true,
            Envoy.Config.Listener.V3.FilterChainMatch.Types.ConnectionSourceType.External => false,
            _ => null,
        },
        [.. match.SourcePrefixRanges.Select(r => Common.Range(owner, r))],
        [.. match.SourcePorts.Select(p => (int)p)]);
}
