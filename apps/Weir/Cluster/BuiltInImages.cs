using Weir.Node.Images;

namespace Weir.App.Cluster;

/// <summary>The images that come with Weir, under the names that public manifests use.</summary>
public static class BuiltInImages
{
    public const string Proxy = "weir/proxy";

    public static IReadOnlyList<ImageEntry> All(string baseDirectory)
    {
        var images = Path.Combine(baseDirectory, "images");
        var native = Environment.GetEnvironmentVariable("WEIR_PROXY");
        var proxy = native is { Length: > 0 } && File.Exists(native)
            ? new ImageEntry(Proxy, Path.GetDirectoryName(Path.GetFullPath(native))!, ["./weir-proxy"])
            : new ImageEntry(Proxy, Path.Combine(images, "proxy"), ["./weir-proxy"]);
        var podinfo = Path.Combine(images, "podinfo");
        var loadtester = Path.Combine(images, "loadtester");
        return
        [
            proxy,
            .. new[] { "ghcr.io/stefanprodan/podinfo", "quay.io/stefanprodan/podinfo", "stefanprodan/podinfo" }
                .Select(name => new ImageEntry(name, podinfo, ["./podinfo"])),
            .. new[] { "ghcr.io/fluxcd/flagger-loadtester", "weaveworks/flagger-loadtester" }
                .Select(name => new ImageEntry(name, loadtester, ["./loadtester"])),
        ];
    }
}
