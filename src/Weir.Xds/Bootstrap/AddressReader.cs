using Weir.Xds.Transport;

namespace Weir.Xds.Bootstrap;

/// <summary>Addresses, in the forms that files have them in.</summary>
static class AddressReader
{
    const int LargestPort = 65_535;

    /// <summary>Of <c>{"socket_address": …}</c>.</summary>
    public static (string Host, int Port)? Socket(JsonField address)
    {
        if (address.Object("socket_address") is not { } socket)
        {
            address.Error("must have a socket_address");
            return null;
        }

        if (socket.Text("protocol") is not ("" or "TCP"))
        {
            socket.Error("protocol must be TCP");
        }

        var host = socket.Text("address");
        if (host.Length == 0)
        {
            socket.Error("has no address");
        }

        var port = socket.Number("port_value", 0, LargestPort);
        socket.Ignore("ipv4_compat", "resolver_name");
        socket.Close();
        return (host, port);
    }

    /// <summary>Of <c>{"socket_address": …}</c> or <c>{"pipe": {"path": …}}</c>.</summary>
    public static XdsAddress? SocketOrPipe(JsonField address)
    {
        if (address.Object("pipe") is not { } pipe)
        {
            return Socket(address) is var (host, port) ? XdsAddress.Tcp(host, port) : null;
        }

        var path = pipe.Text("path");
        if (path.Length == 0)
        {
            pipe.Error("has no path");
        }

        pipe.Ignore("mode");
        pipe.Close();
        return XdsAddress.Unix(path);
    }

    /// <summary>gRPC's names of targets: <c>host:port</c>, <c>dns:///host:port</c>, <c>unix:path</c>.</summary>
    /// <returns>Null when it is none of these.</returns>
    public static XdsAddress? Target(string uri)
    {
        foreach (var (prefix, isUnix) in new[] { ("unix://", true), ("unix:", true), ("dns:///", false), ("dns:", false), ("ipv4:", false), ("ipv6:", false) })
        {
            if (uri.StartsWith(prefix, StringComparison.Ordinal))
            {
                return isUnix ? uri.Length > prefix.Length ? XdsAddress.Unix(uri[prefix.Length..]) : null : HostAndPort(uri[prefix.Length..]);
            }
        }

        return HostAndPort(uri);
    }

    static XdsAddress? HostAndPort(string text)
    {
        var colon = text.LastIndexOf(':');
        var host = colon > 0 ? text[..colon].Trim('[', ']') : "";
        return host.Length > 0 && !host.Contains('/', StringComparison.Ordinal) && ushort.TryParse(text.AsSpan(colon + 1), out var port) && port > 0
            ? XdsAddress.Tcp(host, port) : null;
    }
}
