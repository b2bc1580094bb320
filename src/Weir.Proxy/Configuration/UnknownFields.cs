using System.Text;
using Envoy.Config.Cluster.V3;
using Envoy.Config.Endpoint.V3;
using Envoy.Config.Route.V3;
using Envoy.Config.Trace.V3;
using Envoy.Extensions.AccessLoggers.File.V3;
using Envoy.Extensions.Filters.Http.Router.V3;
using Envoy.Extensions.Filters.Network.HttpConnectionManager.V3;
using Envoy.Extensions.Filters.Network.TcpProxy.V3;
using Envoy.Extensions.LoadBalancingPolicies.LeastRequest.V3;
using Envoy.Extensions.LoadBalancingPolicies.RingHash.V3;
using Envoy.Extensions.LoadBalancingPolicies.RoundRobin.V3;
using Envoy.Extensions.TransportSockets.ProxyProtocol.V3;
using Envoy.Extensions.TransportSockets.Tls.V3;
using Envoy.Extensions.Upstreams.Http.V3;
using Google.Protobuf;
using Weir.Xds;

namespace Weir.Proxy.Configuration;

/// <summary>
/// Finds the fields of a resource that this proxy does not know, which a newer control plane may well send: they are not carried
/// out, and that must be said.
/// </summary>
static class UnknownFields
{
    /// <summary>Paths that are told of one resource.</summary>
    const int Maximum = 16;

    const int DeepestNesting = 100;

    delegate IMessage Parse(ByteString bytes, bool keepsUnknown);

    static readonly Dictionary<string, Parse> Parsers = new()
    {
        [XdsTypes.Cluster] = Of(Cluster.Parser),
        [XdsTypes.Endpoints] = Of(ClusterLoadAssignment.Parser),
        [XdsTypes.Listener] = Of(Envoy.Config.Listener.V3.Listener.Parser),
        [XdsTypes.Route] = Of(RouteConfiguration.Parser),
        [XdsTypes.Secret] = Of(Secret.Parser),
        [XdsTypes.HttpConnectionManager] = Of(HttpConnectionManager.Parser),
        [XdsTypes.TcpProxy] = Of(TcpProxy.Parser),
        [XdsTypes.Router] = Of(Router.Parser),
        [XdsTypes.FileAccessLog] = Of(FileAccessLog.Parser),
        [XdsTypes.ProxyProtocol] = Of(Envoy.Extensions.Filters.Listener.ProxyProtocol.V3.ProxyProtocol.Parser),
        [XdsTypes.TlsInspector] = Of(Envoy.Extensions.Filters.Listener.TlsInspector.V3.TlsInspector.Parser),
        [XdsTypes.HttpInspector] = Of(Envoy.Extensions.Filters.Listener.HttpInspector.V3.HttpInspector.Parser),
        [XdsTypes.RawBuffer] = Of(Envoy.Extensions.TransportSockets.RawBuffer.V3.RawBuffer.Parser),
        [XdsTypes.RandomPolicy] = Of(Envoy.Extensions.LoadBalancingPolicies.Random.V3.Random.Parser),
        [XdsTypes.DownstreamTls] = Of(DownstreamTlsContext.Parser),
        [XdsTypes.UpstreamTls] = Of(UpstreamTlsContext.Parser),
        [XdsTypes.UpstreamProxyProtocol] = Of(ProxyProtocolUpstreamTransport.Parser),
        [XdsTypes.HttpProtocolOptions] = Of(HttpProtocolOptions.Parser),
        [XdsTypes.OpenTelemetry] = Of(OpenTelemetryConfig.Parser),
        [XdsTypes.Zipkin] = Of(ZipkinConfig.Parser),
        [XdsTypes.RoundRobin] = Of(RoundRobin.Parser),
        [XdsTypes.LeastRequest] = Of(LeastRequest.Parser),
        [XdsTypes.RingHash] = Of(RingHash.Parser),
        [XdsTypes.Maglev] = Of(Envoy.Extensions.LoadBalancingPolicies.Maglev.V3.Maglev.Parser),
        [XdsTypes.PeakEwma] = Of(Envoy.Extensions.LoadBalancingPolicies.PeakEwma.V3Alpha.PeakEwma.Parser),
    };

    static Parse Of<T>(MessageParser<T> parser)
        where T : IMessage<T>
    {
        var discarding = parser.WithDiscardUnknownFields(true);
        return (bytes, keepsUnknown) => (keepsUnknown ? parser : discarding).ParseFrom(bytes);
    }

    /// <returns>
    /// Paths of field numbers as the public API gives them, with the name of the message where an <c>Any</c> is opened:
    /// <c>3.3.4 HttpConnectionManager.26</c>.
    /// </returns>
    /// <exception cref="InvalidProtocolBufferException">The resource cannot be read.</exception>
    public static IReadOnlyList<string> In(string typeUrl, ByteString value)
    {
        var found = new List<string>();
        Look(typeUrl, value, "", found, 0);
        return found;
    }

    static void Look(string typeUrl, ByteString value, string path, List<string> found, int depth)
    {
        if (!Parsers.TryGetValue(typeUrl, out var parse))
        {
            return;
        }

        // What is written again without what is not known says by its length alone, most often, that nothing is missing.
        var known = parse(value, false).ToByteArray();
        Compare(known.Length == value.Length ? known : parse(value, true).ToByteArray(), known, path, found, depth);
    }

    /// <summary>
    /// Both are written by the same code in the same order, unknown fields last: what only the first has is not known. Text may be
    /// taken for a message here; where both are the same nothing can come of that.
    /// </summary>
    static void Compare(ReadOnlySpan<byte> all, ReadOnlySpan<byte> known, string path, List<string> found, int depth)
    {
        while (found.Count < Maximum && depth < DeepestNesting && Field.TryTake(ref all, out var field))
        {
            var rest = known;
            if (!Field.TryTake(ref rest, out var same) || same.Number != field.Number)
            {
                found.Add($"{path}{field.Number}");
                continue;
            }

            known = rest;
            if (AnyType(field.Content, out var inner) is { } type)
            {
                LookInside(type, inner, $"{path}{field.Number} {type[(type.LastIndexOf('.') + 1)..]}.", found, depth + 1);
            }
            else if (!field.Content.SequenceEqual(same.Content) || field.Content.IndexOf(AnyPrefix) >= 0)
            {
                Compare(field.Content, same.Content, $"{path}{field.Number}.", found, depth + 1);
            }
        }
    }

    static ReadOnlySpan<byte> AnyPrefix => "type.googleapis.com/"u8;

    /// <summary>An <c>Any</c> is known by its first field.</summary>
    static string? AnyType(ReadOnlySpan<byte> content, out ReadOnlySpan<byte> inner)
    {
        inner = default;
        if (content.Length < 2 || content[0] != 0x0A || !content[2..].StartsWith(AnyPrefix) || !Field.TryTake(ref content, out var name))
        {
            return null;
        }

        inner = Field.TryTake(ref content, out var value) ? value.Content : default;
        var type = Encoding.UTF8.GetString(name.Content);
        return Parsers.ContainsKey(type) ? type : null;
    }

    static void LookInside(string type, ReadOnlySpan<byte> value, string path, List<string> found, int depth)
    {
        try
        {
            Look(type, ByteString.CopyFrom(value), path, found, depth);
        }
        catch (InvalidProtocolBufferException)
        {
            // Whoever needs it will refuse it.
        }
    }

    /// <summary>One field of the wire format; content is empty for numbers.</summary>
    ref struct Field
    {
        public int Number;
        public ReadOnlySpan<byte> Content;

        /// <returns>False at the end, and where there is no field.</returns>
        public static bool TryTake(scoped ref ReadOnlySpan<byte> from, out Field field)
        {
            field = default;
            if (!TryVarint(ref from, out var tag))
            {
                return false;
            }

            field.Number = (int)(tag >> 3);
            ulong length = 0;
            switch (tag & 7)
            {
                case 0:
                    return TryVarint(ref from, out _);
                case 2 when TryVarint(ref from, out length) && length <= (ulong)from.Length:
                    field.Content = from[..(int)length];
                    break;
                case 1 when from.Length >= 8:
                    length = 8;
                    break;
                case 5 when from.Length >= 4:
                    length = 4;
                    break;
                default:
                    return false;
            }

            from = from[(int)length..];
            return true;
        }

        static bool TryVarint(scoped ref ReadOnlySpan<byte> from, out ulong value)
        {
            value = 0;
            for (var i = 0; i < from.Length && i < 10; i++)
            {
                value |= (ulong)(from[i] & 0x7F) << (7 * i);
                if (from[i] < 0x80)
                {
                    from = from[(i + 1)..];
                    return true;
                }
            }

            return false;
        }
    }
}
