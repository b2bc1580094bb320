using Envoy.Config.Core.V3;
using Google.Protobuf.WellKnownTypes;
using Weir.Mesh.Services;
using Weir.Mesh.Workloads;

namespace Weir.ProxyConfig.Clusters;

/// <summary>Who is behind a cluster or an endpoint, for the labels of metrics; under the key <c>istio</c>.</summary>
static class IstioMetadata
{
    public static Metadata OfService(MeshService service) =>
        Of(("host", service.Host), ("name", service.Name), ("namespace", service.Namespace));

    public static Metadata OfWorkload(Workload workload) =>
        Of(("workload", workload.Owner), ("namespace", workload.Namespace), ("app", workload.App), ("version", workload.Version));

    static Metadata Of(params (string Name, string Value)[] fields)
    {
        var values = new Struct();
        foreach (var (name, value) in fields)
        {
            values.Fields.Add(name, Value.ForString(value));
        }

        var metadata = new Metadata();
        metadata.FilterMetadata.Add("istio", values);
        return metadata;
    }
}
