using Envoy.Config.Endpoint.V3;
using Envoy.Extensions.TransportSockets.Tls.V3;
using Google.Protobuf;
using Weir.Xds;
using Weir.Xds.Client;

namespace Weir.Proxy.Configuration;

/// <summary>
/// Endpoints and secrets: what clusters and listeners are built from, and built anew with when it changes. One that somebody cannot be
/// built with is refused, and all are built again with the one before.
/// </summary>
sealed class Dependencies(HeldResources held, ClusterSet clusters, ListenerSet listeners, Refusals refusals)
{
    public void ApplyEndpoints(ReceivedResource resource)
    {
        _ = ClusterLoadAssignment.Parser.ParseFrom(resource.Value);
        Replace(XdsTypes.Endpoints, resource, rebuild => EachCluster(XdsTypes.Endpoints, resource.Name, rebuild));
    }

    public void ApplySecret(ReceivedResource resource)
    {
        if (Secret.Parser.ParseFrom(resource.Value).TypeCase is Secret.TypeOneofCase.SessionTicketKeys)
        {
            throw new ConfigException($"secret {resource.Name}: session_ticket_keys are not supported as a secret");
        }

        Replace(XdsTypes.Secret, resource, rebuild =>
        {
            EachCluster(XdsTypes.Secret, resource.Name, rebuild);
            foreach (var name in listeners.Using(resource.Name))
            {
                rebuild(() => listeners.Rebuild(name));
            }
        });
    }

    /// <summary>There are none of them, which is an answer too: routes need not wait for it.</summary>
    public void RemoveEndpoints(string name)
    {
        held.Set(XdsTypes.Endpoints, new ReceivedResource(name, "", ByteString.Empty));
        EachCluster(XdsTypes.Endpoints, name, rebuild => _ = refusals.Try($"what uses {name}", rebuild));
    }

    void EachCluster(string type, string used, Action<Action> rebuild)
    {
        foreach (var name in clusters.Using(type, used))
        {
            rebuild(() => clusters.Rebuild(name));
        }
    }

    void Replace(string type, ReceivedResource resource, Action<Action<Action>> eachUser)
    {
        var before = held.Find(type, resource.Name);
        held.Set(type, resource);
        try
        {
            eachUser(rebuild => rebuild());
        }
        catch (Exception)
        {
            held.Restore(type, resource.Name, before);
            eachUser(rebuild => _ = refusals.Try($"what uses {resource.Name}", rebuild));
            throw;
        }
    }
}
