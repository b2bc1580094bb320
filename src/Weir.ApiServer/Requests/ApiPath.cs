using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.ApiServer.Requests;

/// <summary>A resource path taken apart: <c>/apis/apps/v1/namespaces/test/deployments/podinfo/status</c>.</summary>
public sealed record ApiPath(ResourceKind Kind, string Version, string Namespace, string Name, string Subresource)
{
    public ObjectKey Key => new(Namespace, Name);

    /// <summary>Null when the path names nothing that is served.</summary>
    public static ApiPath? Parse(KindCatalog catalog, string path)
    {
        var parts = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        var (group, rest) = parts switch
        {
            ["api", ..] when parts.Length > 1 => ("", parts[1..]),
            ["apis", ..] when parts.Length > 2 => (parts[1], parts[2..]),
            _ => ("", []),
        };
        if (rest.Length < 2)
        {
            return null;
        }

        var version = rest[0];
        rest = rest[1..];
        var ns = "";

        // /namespaces/NAME and its subresources are the namespace itself; anything longer lies in it.
        if (rest is ["namespaces", _, ..] && rest.Length > 2 && catalog.Find(group, rest[2]) is not null)
        {
            ns = Uri.UnescapeDataString(rest[1]);
            rest = rest[2..];
        }

        var kind = catalog.Find(group, rest[0]);
        if (kind is null || !kind.Versions.Contains(version) || rest.Length > 3 || (ns.Length > 0 && !kind.IsNamespaced))
        {
            return null;
        }

        return new ApiPath(kind, version, ns, rest.Length > 1 ? Uri.UnescapeDataString(rest[1]) : "", rest.Length > 2 ? rest[2] : "");
    }
}
