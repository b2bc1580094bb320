using System.Buffers.Binary;

namespace Weir.Xds.Http2;

/// <summary>Puts gRPC's length-prefixed messages together from pieces of any size. Memory is taken as content comes, not as it is announced.</summary>
sealed class MessageAssembler
{
    const int PrefixLength = 5;
    const int FirstPiece = 64 * 1024;

    readonly byte[] prefix = new byte[PrefixLength];
    int prefixLength;
    byte[] message = [];
    int length;
    int filled;

    /// <summary>There is a message of which not all has come.</summary>
    public bool IsPartial => prefixLength > 0;

    /// <summary>Takes what it can of <paramref name="data"/>; call again with the rest.</summary>
    /// <returns>A whole message, or null when more has to come.</returns>
    /// <exception cref="InvalidDataException">The message is compressed, or too large.</exception>
    public byte[]? Add(ref ReadOnlySpan<byte> data)
    {
        if (prefixLength < PrefixLength)
        {
            Move(ref data, prefix, ref prefixLength, PrefixLength);
            if (prefixLength < PrefixLength)
            {
                return null;
            }

            Begin();
        }

        while (data.Length > 0 && filled < length)
        {
            if (filled == message.Length)
            {
                Array.Resize(ref message, (int)Math.Min(length, (long)message.Length * 2));
            }

            Move(ref data, message, ref filled, message.Length);
        }

        if (filled < length)
        {
            return null;
        }

        var whole = message;
        (message, prefixLength) = ([], 0);
        return whole;
    }

    void Begin()
    {
        var announced = BinaryPrimitives.ReadUInt32BigEndian(prefix.AsSpan(1));
        if (prefix[0] != 0 || announced > GrpcFraming.MaximumMessage)
        {
            throw new InvalidDataException("the control plane's message is compressed or too large");
        }

        (length, filled) = ((int)announced, 0);
        message = new byte[Math.Min(length, FirstPiece)];
    }

    static void Move(ref ReadOnlySpan<byte> data, byte[] target, ref int at, int end)
    {
        var size = Math.Min(data.Length, end - at);
        data[..size].CopyTo(target.AsSpan(at));
        data = data[size..];
        at += size;
    }
}
