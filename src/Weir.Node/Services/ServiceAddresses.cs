using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using Weir.ApiServer.Requests;
using Weir.Node.Addresses;
using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.Node.Services;

/// <summary>Gives every Service its cluster IP, and those of type NodePort and LoadBalancer a port of the machine.</summary>
public sealed class ServiceAddresses(AddressPool pool) : IAdmission
{
    readonly Lock gate = new();
    readonly HashSet<int> nodePorts = [];

    /// <summary>Takes over what existing services use, before the first request.</summary>
    public void Adopt(IEnumerable<Resource> services)
    {
        foreach (var service in services)
        {
            if (service.Spec.Text("clusterIP") is { } ip && IPAddress.TryParse(ip, out _))
            {
                pool.Reserve(ip);
            }

            nodePorts.UnionWith(service.Spec.Objects("ports").Select(p => (int)(p.Number("nodePort") ?? 0)));
        }
    }

    public IEnumerable<Violation> Admit(ResourceKind kind, Resource resource, Resource? old)
    {
        if (kind.Kind != "Service" || kind.Group.Length > 0)
        {
            return [];
        }

        var spec = resource.Spec;
        var type = spec.Text("type");
        if (type != "ExternalName")
        {
            var ip = old?.Spec.Text("clusterIP") is { Length: > 0 } kept ? kept : spec.Text("clusterIP");
            spec["clusterIP"] = ip = string.IsNullOrEmpty(ip) ? pool.Take() : ip;
            spec["clusterIPs"] = new JsonArray(ip);
            spec["ipFamilies"] ??= new JsonArray("IPv4");
        }

        if (type is "NodePort" or "LoadBalancer")
        {
            foreach (var port in spec.Objects("ports"))
            {
                if ((port.Number("nodePort") ?? 0) == 0)
                {
                    var before = old?.Spec.Objects("ports").FirstOrDefault(p => p.Number("port") == port.Number("port")).Number("nodePort");
                    port["nodePort"] = before is > 0 ? before : TakeNodePort();
                }
            }
        }

        return [];
    }

    /// <summary>A port nobody listens on now, from the range of Kubernetes.</summary>
    int TakeNodePort()
    {
        lock (gate)
        {
            for (var port = 30000; port <= 32767; port++)
            {
                if (!nodePorts.Contains(port) && IsFree(port))
                {
                    nodePorts.Add(port);
                    return port;
                }
            }
        }

        throw new IOException("no node port is left");
    }

    static bool IsFree(int port)
    {
        using var probe = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            probe.Bind(new IPEndPoint(IPAddress.Loopback, port));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
