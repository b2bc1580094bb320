using System.Text.Json;
using Envoy.Config.Core.V3;
using Weir.Xds.Client;
using Weir.Xds.Transport;

namespace Weir.Xds.Bootstrap;

/// <summary>What a proxy takes from a bootstrap file in Envoy's JSON form: who it is, and where and how it gets its configuration.</summary>
/// <param name="Admin">Where administration is to listen: an address and a port.</param>
/// <param name="Warnings">What the file says and is not carried out, each with its path.</param>
public sealed record XdsBootstrap(
    Node Node, XdsServer Server, AdsClientOptions Client, (string Host, int Port)? Admin, IReadOnlyList<string> Warnings)
{
    /// <summary>A larger file is not what it says it is.</summary>
    const long LargestFile = 4 << 20;

    /// <param name="nodeId">In place of the file's.</param>
    /// <param name="nodeCluster">In place of the file's.</param>
    /// <exception cref="FormatException">The file cannot be used; the message says all that is wrong, with the file's and the fields' names.</exception>
    public static XdsBootstrap Load(string path, string? nodeId, string? nodeCluster)
    {
        byte[] bytes;
        try
        {
            bytes = new FileInfo(path) switch
            {
                { Exists: false } => throw new FormatException($"{path}: there is no such file"),
                { Length: > LargestFile } => throw new FormatException($"{path}: the file is larger than {LargestFile >> 20} MiB"),
                _ => File.ReadAllBytes(path),
            };
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new FormatException($"{path}: the file cannot be read");
        }

        try
        {
            return Parse(bytes, nodeId, nodeCluster);
        }
        catch (FormatException e)
        {
            throw new FormatException($"{path}: {e.Message}");
        }
    }

    /// <exception cref="FormatException">As <see cref="Load"/>, without the file's name.</exception>
    public static XdsBootstrap Parse(ReadOnlyMemory<byte> json, string? nodeId, string? nodeCluster)
    {
        try
        {
            using var document = JsonDocument.Parse(json);
            var findings = new Findings();
            var bootstrap = new BootstrapReader(findings).Read(new JsonField(document.RootElement, "", findings), nodeId, nodeCluster);
            return findings.Errors.Count == 0 && bootstrap is not null ? bootstrap : throw new FormatException(string.Join("; ", findings.Errors));
        }
        catch (JsonException e)
        {
            throw new FormatException($"line {e.LineNumber + 1}, byte {e.BytePositionInLine + 1}: not JSON");
        }
    }
}
