using System.Buffers.Binary;
using Google.Protobuf;

namespace Weir.Xds;

/// <summary>gRPC's length-prefixed messages: one flag byte (0: not compressed), four bytes of length, the message.</summary>
public static class GrpcFraming
{
    public const string ContentType = "application/grpc";
    public const string DeltaMethod = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
    public const string StateOfTheWorldMethod = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";

    /// <summary>A message larger than this is refused before memory is taken for it.</summary>
    public const int MaximumMessage = 64 * 1024 * 1024;

    const int PrefixLength = 5;

    public static byte[] Encode(IMessage message)
    {
        var size = message.CalculateSize();
        var frame = new byte[PrefixLength + size];
        BinaryPrimitives.WriteInt32BigEndian(frame.AsSpan(1), size);
        message.WriteTo(frame.AsSpan(PrefixLength));
        return frame;
    }

    /// <summary>The next message's bytes, or null at the end of the stream.</summary>
    /// <exception cref="InvalidDataException">The peer does not keep to the framing.</exception>
    public static async ValueTask<byte[]?> ReadAsync(Stream stream, CancellationToken cancel)
    {
        var prefix = new byte[PrefixLength];
        var read = await stream.ReadAtLeastAsync(prefix, PrefixLength, throwOnEndOfStream: false, cancel).ConfigureAwait(false);
        if (read == 0)
        {
            return null;
        }

        var length = BinaryPrimitives.ReadInt32BigEndian(prefix.AsSpan(1));
        if (read < PrefixLength || prefix[0] != 0 || length is < 0 or > MaximumMessage)
        {
            throw new InvalidDataException("the gRPC frame is cut short, compressed or too large");
        }

        var message = new byte[length];
        await stream.ReadExactlyAsync(message, cancel).ConfigureAwait(false);
        return message;
    }
}
