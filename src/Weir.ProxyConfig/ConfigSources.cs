using Envoy.Config.Core.V3;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;

namespace Weir.ProxyConfig;

/// <summary>Small pieces that all resources share.</summary>
static class ConfigSources
{
    public static ConfigSource Ads => new() { Ads = new AggregatedConfigSource(), ResourceApiVersion = ApiVersion.V3 };

    public static Address Socket(string address, int port) =>
        new() { SocketAddress = new SocketAddress { Address = address, PortValue = (uint)port } };

    public static Any Pack(string typeUrl, IMessage message) => new() { TypeUrl = typeUrl, Value = message.ToByteString() };
}
