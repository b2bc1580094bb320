using Google.Protobuf;

namespace Weir.Proxy.Tests.Grpc;

/// <summary>The messages of gRPC's interoperability tests (<c>grpc/testing/messages.proto</c>), as far as the cases use them.</summary>
/// <param name="ResponseSize">Of the payload that is asked for; streaming requests may ask for several.</param>
/// <param name="Payload">How long the payload is.</param>
sealed record InteropRequest(int[] ResponseSize, int Payload, int StatusCode = 0, string StatusMessage = "")
{
    const int SizeInSimple = 2;
    const int ParametersInStreaming = 2;

    /// <summary>As a <c>SimpleRequest</c>.</summary>
    public byte[] ToSimple() => Write(output => output.WriteInt(SizeInSimple, ResponseSize.Length == 0 ? 0 : ResponseSize[0]));

    /// <summary>As a <c>StreamingOutputCallRequest</c>.</summary>
    public byte[] ToStreaming() => Write(output =>
    {
        foreach (var size in ResponseSize)
        {
            output.WriteMessage(ParametersInStreaming, Bytes(parameters => parameters.WriteInt(1, size)));
        }
    });

    /// <summary>As a <c>StreamingInputCallRequest</c>, or an answer with a payload.</summary>
    public static byte[] OnlyPayload(int length) => Bytes(output => output.WriteMessage(1, PayloadOf(length)));

    /// <summary>As a <c>StreamingInputCallResponse</c>.</summary>
    public static byte[] Aggregated(int size) => Bytes(output => output.WriteInt(1, size));

    byte[] Write(Action<CodedOutputStream> sizes) => Bytes(output =>
    {
        sizes(output);
        output.WriteMessage(3, PayloadOf(Payload));
        if (StatusCode != 0)
        {
            output.WriteMessage(7, Bytes(status =>
            {
                status.WriteInt(1, StatusCode);
                status.WriteTag(2, WireFormat.WireType.LengthDelimited);
                status.WriteString(StatusMessage);
            }));
        }
    });

    static byte[] PayloadOf(int length) => Bytes(payload => payload.WriteMessage(2, new byte[length]));

    static byte[] Bytes(Action<CodedOutputStream> write)
    {
        using var buffer = new MemoryStream();
        using (var output = new CodedOutputStream(buffer, leaveOpen: true))
        {
            write(output);
        }

        return buffer.ToArray();
    }

    public static InteropRequest ParseSimple(byte[] message) => Parse(message, isStreaming: false);

    public static InteropRequest ParseStreaming(byte[] message) => Parse(message, isStreaming: true);

    static InteropRequest Parse(byte[] message, bool isStreaming)
    {
        var sizes = new List<int>();
        var (payload, code, text) = (0, 0, "");
        var input = new CodedInputStream(message);
        while (input.ReadTag() is not 0 and var tag)
        {
            switch (WireFormat.GetTagFieldNumber(tag))
            {
                case 2 when isStreaming:
                    sizes.Add(FirstNumber(input.ReadBytes().ToByteArray()));
                    break;
                case 2:
                    sizes.Add(input.ReadInt32());
                    break;
                case 3:
                    payload = PayloadLength(input.ReadBytes().ToByteArray());
                    break;
                case 7:
                    (code, text) = Status(input.ReadBytes().ToByteArray());
                    break;
                default:
                    input.SkipLastField();
                    break;
            }
        }

        return new InteropRequest([.. sizes], payload, code, text);
    }

    static (int Code, string Message) Status(byte[] message)
    {
        var (code, text) = (0, "");
        var input = new CodedInputStream(message);
        while (input.ReadTag() is not 0 and var tag)
        {
            switch (WireFormat.GetTagFieldNumber(tag))
            {
                case 1:
                    code = input.ReadInt32();
                    break;
                case 2:
                    text = input.ReadString();
                    break;
                default:
                    input.SkipLastField();
                    break;
            }
        }

        return (code, text);
    }

    /// <summary>The first field, when it is a number.</summary>
    public static int FirstNumber(byte[] message)
    {
        var input = new CodedInputStream(message);
        return input.ReadTag() >> 3 == 1 ? input.ReadInt32() : 0;
    }

    /// <summary>Of the payload in an answer's, or a streaming request's, first field.</summary>
    public static int PayloadIn(byte[] message)
    {
        var input = new CodedInputStream(message);
        return input.ReadTag() >> 3 == 1 ? PayloadLength(input.ReadBytes().ToByteArray()) : 0;
    }

    static int PayloadLength(byte[] payload)
    {
        var input = new CodedInputStream(payload);
        while (input.ReadTag() is not 0 and var tag)
        {
            if (tag >> 3 == 2)
            {
                return input.ReadBytes().Length;
            }

            input.SkipLastField();
        }

        return 0;
    }
}

static class CodedOutput
{
    public static void WriteInt(this CodedOutputStream output, int field, int value)
    {
        output.WriteTag(field, WireFormat.WireType.Varint);
        output.WriteInt32(value);
    }

    public static void WriteMessage(this CodedOutputStream output, int field, byte[] message)
    {
        output.WriteTag(field, WireFormat.WireType.LengthDelimited);
        output.WriteBytes(ByteString.CopyFrom(message));
    }
}
