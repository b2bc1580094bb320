using System.Buffers.Binary;
using System.Text;

namespace Weir.Xds.Http2;

/// <summary>The head of a call's request.</summary>
/// <param name="Metadata">Further headers, names in lower case.</param>
public sealed record CallRequest(bool IsTls, string Authority, string Path, string UserAgent, IReadOnlyList<(string Name, string Value)> Metadata);

/// <summary>The first bytes of a call: the preface, our settings, and the request's head.</summary>
static class CallOpening
{
    const byte HeaderTableSize = 1;
    const byte EnablePush = 2;
    const byte InitialWindowSize = 4;
    const byte MaximumHeaderListSize = 6;

    /// <summary>Whole fields of HPACK's static table.</summary>
    const byte PostMethod = 0x83;
    const byte HttpScheme = 0x86;
    const byte HttpsScheme = 0x87;

    /// <summary>Names in it.</summary>
    const int AuthorityName = 1;
    const int PathName = 4;
    const int ContentTypeName = 31;
    const int UserAgentName = 58;

    static ReadOnlySpan<byte> Preface => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8;

    public static byte[] Make(CallRequest request, int stream)
    {
        var head = new List<byte> { PostMethod, request.IsTls ? HttpsScheme : HttpScheme };
        AddLiteral(head, PathName, request.Path);
        AddLiteral(head, AuthorityName, request.Authority);
        AddLiteral(head, ContentTypeName, GrpcFraming.ContentType);
        AddLiteral(head, UserAgentName, request.UserAgent);
        foreach (var (name, value) in request.Metadata.Prepend(("te", "trailers")))
        {
            head.Add(0);
            AddText(head, name);
            AddText(head, value);
        }

        if (head.Count > Http2Frame.MaximumPayload)
        {
            throw new ArgumentException("the request's head is longer than one frame", nameof(request));
        }

        var start = new List<byte>();
        start.AddRange(Preface);
        AddFrame(
            start, FrameType.Settings, 0, 0,
            [
                .. Setting(HeaderTableSize, 0), .. Setting(EnablePush, 0), .. Setting(InitialWindowSize, FrameWriter.ReceiveWindow),
                .. Setting(MaximumHeaderListSize, HeaderBlockDecoder.MaximumFields),
            ]);
        AddFrame(start, FrameType.WindowUpdate, 0, 0, Number(FrameWriter.ReceiveWindow - SendWindow.Initial));
        AddFrame(start, FrameType.Headers, Http2Frame.EndHeaders, stream, [.. head]);
        return [.. start];
    }

    static void AddFrame(List<byte> target, FrameType type, byte flags, int stream, ReadOnlySpan<byte> payload)
    {
        Span<byte> header = stackalloc byte[Http2Frame.HeaderLength];
        new Http2Frame(type, flags, stream, payload.Length).WriteTo(header);
        target.AddRange(header);
        target.AddRange(payload);
    }

    static byte[] Number(int value)
    {
        var bytes = new byte[sizeof(int)];
        BinaryPrimitives.WriteInt32BigEndian(bytes, value);
        return bytes;
    }

    static byte[] Setting(byte id, int value) => [0, id, .. Number(value)];

    /// <summary>A literal field without indexing whose name is in the static table (RFC 7541 section 6.2.2).</summary>
    static void AddLiteral(List<byte> block, int nameIndex, string value)
    {
        AddNumber(block, 4, nameIndex);
        AddText(block, value);
    }

    static void AddText(List<byte> block, string text)
    {
        var bytes = Encoding.ASCII.GetBytes(text);
        AddNumber(block, 7, bytes.Length);
        block.AddRange(bytes);
    }

    /// <summary>An integer with this many bits in its first octet, the others being 0 (RFC 7541 section 5.1).</summary>
    static void AddNumber(List<byte> block, int prefix, int value)
    {
        var most = (1 << prefix) - 1;
        if (value < most)
        {
            block.Add((byte)value);
            return;
        }

        block.Add((byte)most);
        for (value -= most; value >= 0x80; value >>= 7)
        {
            block.Add((byte)(value | 0x80));
        }

        block.Add((byte)value);
    }
}
