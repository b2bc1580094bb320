using System.Buffers.Binary;
using System.Text;

namespace Weir.Proxy.Tests.Grpc;

/// <summary>gRPC's messages on a stream: a flag, a length, and so many bytes.</summary>
static class GrpcFraming
{
    public static async Task WriteAsync(Stream stream, byte[] message, CancellationToken cancellation)
    {
        var framed = new byte[message.Length + 5];
        BinaryPrimitives.WriteInt32BigEndian(framed.AsSpan(1), message.Length);
        message.CopyTo(framed, 5);
        await stream.WriteAsync(framed, cancellation);
        await stream.FlushAsync(cancellation);
    }

    /// <returns>Null at the end.</returns>
    public static async Task<byte[]?> ReadAsync(Stream stream, CancellationToken cancellation)
    {
        var head = new byte[5];
        var read = await stream.ReadAtLeastAsync(head, 5, throwOnEndOfStream: false, cancellation);
        if (read == 0)
        {
            return null;
        }

        Assert.Equal(5, read);
        var message = new byte[BinaryPrimitives.ReadInt32BigEndian(head.AsSpan(1))];
        await stream.ReadExactlyAsync(message, cancellation);
        return message;
    }

    /// <summary>As <c>grpc-message</c> wants it: UTF-8, percent-encoded but for printable ASCII.</summary>
    public static string Encode(string message) =>
        string.Concat(Encoding.UTF8.GetBytes(message).Select(b => b is >= 0x20 and <= 0x7e and not (byte)'%' ? ((char)b).ToString() : $"%{b:X2}"));
}
