using System.Text;
using Google.Protobuf;
using Weir.Resources.Kinds;

namespace Weir.ApiServer.Discovery;

/// <summary>
/// The OpenAPI v2 document in protobuf (gnostic's openapi.v2.Document), as far as kubectl before 1.29 asks for it: that PATCH of
/// every kind takes <c>fieldValidation</c>, so that the server, not the client, checks fields.
/// </summary>
static class OpenApiV2
{
    public const string ContentType = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

    public static byte[] Document(KindCatalog catalog)
    {
        var paths = new List<byte[]>();
        foreach (var kind in catalog.All)
        {
            foreach (var version in kind.Versions)
            {
                paths.Add(Field(2, Path(kind, version)));
            }
        }

        // Document: swagger 1, info 2 (title 1, version 2), paths 8 (path 2).
        return [.. Field(1, "2.0"), .. Field(2, [.. Field(1, "Weir"), .. Field(2, DiscoveryHandler.KubernetesVersion)]), .. Field(8, [.. paths.SelectMany(p => p)])];
    }

    /// <summary>NamedPathItem: name 1, value 2; PathItem: patch 8; Operation: parameters 8, vendor_extension 13.</summary>
    static byte[] Path(ResourceKind kind, string version)
    {
        var gvk = $"group: {(kind.Group.Length == 0 ? "\"\"" : kind.Group)}\nkind: {kind.Kind}\nversion: {version}\n";
        byte[] operation =
        [
            .. Field(8, QueryParameter("fieldValidation")), .. Field(8, QueryParameter("dryRun")),
            .. Field(13, [.. Field(1, "x-kubernetes-group-version-kind"), .. Field(2, Field(2, gvk))]),
        ];
        return [.. Field(1, kind.Path(kind.IsNamespaced ? "{namespace}" : null, version) + "/{name}"), .. Field(2, Field(8, operation))];
    }

    /// <summary>ParametersItem 1 → Parameter 2 → NonBodyParameter 3 → QueryParameterSubSchema: in 2, name 4, type 6.</summary>
    static byte[] QueryParameter(string name) =>
        Field(1, Field(2, Field(3, [.. Field(2, "query"), .. Field(4, name), .. Field(6, "string")])));

    static byte[] Field(int number, string text) => Field(number, Encoding.UTF8.GetBytes(text));

    static byte[] Field(int number, byte[] content)
    {
        var tag = WireFormat.MakeTag(number, WireFormat.WireType.LengthDelimited);
        var bytes = new byte[CodedOutputStream.ComputeTagSize(number) + CodedOutputStream.ComputeLengthSize(content.Length) + content.Length];
        var output = new CodedOutputStream(bytes);
        output.WriteTag(tag);
        output.WriteLength(content.Length);
        output.Flush();
        content.CopyTo(bytes, bytes.Length - content.Length);
        return bytes;
    }
}
