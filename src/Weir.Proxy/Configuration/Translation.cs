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
    /// <summary>Rounded up: a moment is not no limit at all, which 0 says.</summary>
    public static int Milliseconds(Duration? duration, int otherwise) =>
        duration is null ? otherwise : (int)Math.Clamp((Math.Clamp(duration.Seconds, 0, int.MaxValue) * 1000) + ((duration.Nanos + 999_999) / 1_000_000), 0, int.MaxValue);

    /// <summary>A name that something is found by.</summary>
    public static string Name(string field, string name) => name.Length > 0 ? name : throw new ConfigException($"{field}: it is empty");

    /// <summary>Resources come over the stream that the proxy has; where none is named, that is meant.</summary>
    public static void CheckSource(string field, ConfigSource? source)
    {
        if (source is not null && source.ConfigSourceSpecifierCase == ConfigSource.ConfigSourceSpecifierOneofCase.None)
        {
            throw new ConfigException($"{field}: only ads and self are supported");
        }

        if (source?.ResourceApiVersion == ApiVersion.V2)
        {
            throw new ConfigException($"{field}.resource_api_version: V2 is not supported");
        }
    }

    public static SocketAddressV4 Address(string owner, Address? address)
    {
        if (address?.SocketAddress is not { } socket)
        {
            throw new ConfigException($"{owner}: only socket addresses are supported");
        }

        if (socket.Protocol != SocketAddress.Types.Protocol.Tcp)
        {
            throw new ConfigException($"{owner}: socket_address.protocol {socket.Protocol} is not supported");
        }

        try
        {
            var parsed = SocketAddressV4.Parse(socket.Address, socket.PortValue);
            return parsed.ToString() == $"{socket.Address}:{socket.PortValue}" ? parsed
                : throw new ConfigException($"{owner}: \"{socket.Address}\" is not an IPv4 address as it is written today");
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
            throw new ConfigException($"{field}: {source!.Filename} cannot be read ({e.GetType().Name})");
        }
    }

    public static AddressRange Range(string owner, CidrRange range)
    {
        var length = range.PrefixLen ?? 0;
        if (length > 32)
        {
            throw new ConfigException($"{owner}: prefix_len {length} is more than 32");
        }

        try
        {
            return new AddressRange(SocketAddressV4.Parse(range.AddressPrefix, 1).Address, (int)length);
        }
        catch (FormatException e)
        {
            throw new ConfigException($"{owner}: address_prefix: {e.Message}");
        }
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
