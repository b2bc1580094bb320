using System.Buffers.Binary;
using System.Security.Cryptography;
using Envoy.Service.Discovery.V3;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Weir.Xds;
using Weir.Xds.Client;

namespace Weir.Proxy.Lifecycle;

/// <summary>
/// The format of the file that the last good configuration is kept in: a mark, a version, the length and SHA-256 of what follows, and
/// then the resources as xDS has them, each with its length before it. Whatever is missing or changed is found out before anything is read.
/// </summary>
static class KeptResources
{
    public const int Version = 1;

    const int VersionAt = 8;
    const int LengthAt = VersionAt + sizeof(int);
    const int HashAt = LengthAt + sizeof(long);
    const int HeaderBytes = HashAt + SHA256.HashSizeInBytes;

    static ReadOnlySpan<byte> Mark => "weirkept"u8;

    /// <summary>Writes from the stream's beginning.</summary>
    public static void Write(Stream stream, IEnumerable<(string Type, ReceivedResource Resource)> resources)
    {
        var header = new byte[HeaderBytes];
        Mark.CopyTo(header);
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(VersionAt), Version);
        stream.Write(header);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        long length = 0;
        foreach (var (type, resource) in resources)
        {
            using var piece = new MemoryStream();
            new DeltaDiscoveryResponse
            {
                TypeUrl = type,
                Resources = { new Resource { Name = resource.Name, Version = resource.Version, Resource_ = new Any { TypeUrl = type, Value = resource.Value } } },
            }.WriteDelimitedTo(piece);
            var bytes = piece.GetBuffer().AsSpan(0, (int)piece.Length);
            hash.AppendData(bytes);
            stream.Write(bytes);
            length += bytes.Length;
        }

        BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(LengthAt), length);
        hash.AppendData(header, 0, HashAt);
        hash.GetHashAndReset(header.AsSpan(HashAt));
        stream.Position = 0;
        stream.Write(header);
    }

    /// <returns>Why it cannot be believed, or null.</returns>
    public static string? TryRead(byte[] file, out IReadOnlyList<(string Type, ReceivedResource Resource)> resources)
    {
        resources = [];
        if (file.Length < HeaderBytes || !file.AsSpan().StartsWith(Mark))
        {
            return "it is not of this program's making, or of an older version's";
        }

        var version = BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(VersionAt));
        var length = BinaryPrimitives.ReadInt64LittleEndian(file.AsSpan(LengthAt));
        if (length != file.Length - HeaderBytes)
        {
            return $"it should have {length} bytes, and has {file.Length - HeaderBytes}";
        }

        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(file, HeaderBytes, (int)length);
        hash.AppendData(file, 0, HashAt);
        if (!hash.GetHashAndReset().AsSpan().SequenceEqual(file.AsSpan(HashAt, SHA256.HashSizeInBytes)))
        {
            return "its checksum is wrong";
        }

        return version == Version ? Parse(file, out resources) : $"its format is version {version}, and {Version} is known";
    }

    static string? Parse(byte[] file, out IReadOnlyList<(string Type, ReceivedResource Resource)> resources)
    {
        var result = new List<(string, ReceivedResource)>();
        resources = [];
        try
        {
            using var payload = new MemoryStream(file, HeaderBytes, file.Length - HeaderBytes);
            while (payload.Position < payload.Length)
            {
                var message = DeltaDiscoveryResponse.Parser.ParseDelimitedFrom(payload);
                if (message.Resources is not [{ Resource_: { } any } resource] || !XdsTypes.PushOrder.Contains(message.TypeUrl))
                {
                    return $"a resource in it of type {message.TypeUrl} is not whole";
                }

                result.Add((message.TypeUrl, new ReceivedResource(resource.Name, resource.Version, any.Value)));
            }
        }
        catch (InvalidProtocolBufferException e)
        {
            return e.Message;
        }

        resources = result;
        return null;
    }
}
