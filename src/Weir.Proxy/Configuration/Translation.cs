using Envoy.Config.Core.V3;
using Envoy.Extensions.TransportSockets.Tls.V3;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Weir.Proxy.Listeners;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Tls;

namespace Weir.Proxy.Configuration;

/// <summary>What the translation of xDS messages needs besides the message: the same for all resources of a proxy.</summary>
sealed class Translation(StatsRegistry stats, NodeIdentity self, LogFiles logFiles, ClusterTable clusters, int loops)
{
    public StatsRegistry Stats => stats;
    public NodeIdentity Self => self;
    public LogFiles LogFiles => logFiles;
    public ClusterTable Clusters => clusters;
    public int Loops => loops;
    public TlsContexts Contexts { get; } = new();

    /// <summary>A secret by name; null while it has not come.</summary>
    public required Func<string, Secret?> FindSecret { get; init; }
}

/// <summary>Parts of messages that mean the same wherever they stand.</summary>
static class Common
{
    public static int Milliseconds(Duration? duration, int otherwise) =>
        duration is null ? otherwise : (int)Math.Clamp((duration.Seconds * 1000) + (duration.Nanos / 1_000_000), 0, int.MaxValue);

    /// <exception cref="ConfigException">It asks for what is not carried out.</exception>
    public static void Check(string owner, HttpProtocolOptions? options)
    {
        if (options?.MaxStreamDuration is not null)
        {
            throw new ConfigException($"{owner}: common_http_protocol_options.max_stream_duration is not supported");
        }
    }

    public static SocketAddressV4 Address(string owner, Address? address)
    {
        if (address?.SocketAddress is not { } socket)
        {
            throw new ConfigException($"{owner}: only socket addresses are supported");
        }

        try
        {
            return SocketAddressV4.Parse(socket.Address, socket.PortValue);
        }
        catch (FormatException e)
        {
            throw new ConfigException($"{owner}: {e.Message}");
        }
    }

    /// <summary>The bytes of a source; those of a file are read now.</summary>
    public static byte[] Bytes(DataSource? source, string field)
    {
        try
        {
            return source?.SpecifierCase switch
            {
                null or DataSource.SpecifierOneofCase.None => [],
                DataSource.SpecifierOneofCase.InlineBytes => source.InlineBytes.ToByteArray(),
                DataSource.SpecifierOneofCase.InlineString => System.Text.Encoding.UTF8.GetBytes(source.InlineString),
                DataSource.SpecifierOneofCase.Filename => File.ReadAllBytes(source.Filename),
                _ => System.Text.Encoding.UTF8.GetBytes(Environment.GetEnvironmentVariable(source.EnvironmentVariable) ?? ""),
            };
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ConfigException($"{field}: {e.Message}");
        }
    }

    public static AddressRange Range(string owner, CidrRange range)
    {
        var address = SocketAddressV4.Parse(range.AddressPrefix, 1).Address;
        var length = (int)(range.PrefixLen ?? 0);
        return length <= 32 ? new AddressRange(address, length) : throw new ConfigException($"{owner}: prefix_len {length} is more than 32");
    }

    /// <summary>Text fields of the metadata that Istio keeps under this filter's name.</summary>
    public static Dictionary<string, string> Metadata(Metadata? metadata, string filter)
    {
        var result = new Dictionary<string, string>();
        if (metadata is not null && metadata.FilterMetadata.TryGetValue(filter, out var fields))
        {
            foreach (var (name, value) in fields.Fields)
            {
                if (TextOf(value) is { } text)
                {
                    result[name] = text;
                }
            }
        }

        return result;
    }

    public static string? TextOf(Value value) => value.KindCase switch
    {
        Value.KindOneofCase.StringValue => value.StringValue,
        Value.KindOneofCase.NumberValue => value.NumberValue.ToString(System.Globalization.CultureInfo.InvariantCulture),
        Value.KindOneofCase.BoolValue => value.BoolValue ? "true" : "false",
        _ => null,
    };
}
