using System.Buffers.Text;

namespace Weir.Proxy.Http;

/// <summary>The status codes of gRPC that the proxy uses itself.</summary>
static class GrpcStatus
{
    public const int Unknown = 2;
    public const int DeadlineExceeded = 4;
    public const int Unimplemented = 12;
    public const int Internal = 13;
    public const int Unavailable = 14;
    public const int DataLoss = 15;
}

/// <summary>What a proxy has to know of gRPC (the protocol over HTTP/2, as its PROTOCOL-HTTP2 document has it).</summary>
static class GrpcStatuses
{
    public static bool IsGrpc(MessageHead request, ReadOnlySpan<byte> bytes) =>
        request.Headers.TryGet(bytes, "content-type"u8, out var type) && IsGrpc(type.Of(bytes));

    static bool IsGrpc(ReadOnlySpan<byte> type) =>
        type.StartsWith("application/grpc"u8) && (type.Length == 16 || type[16] is (byte)'+' or (byte)';');

    /// <summary>The status that stands for an answer of HTTP (http-grpc-status-mapping).</summary>
    public static int OfHttp(int status) => status switch
    {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 or 502 or 503 or 504 => 14,
        _ => 2,
    };

    /// <summary>A failure of whoever served it, not of who asked (as Envoy's spans have it).</summary>
    public static bool IsServerError(int? status) => status
        is GrpcStatus.Unknown or GrpcStatus.DeadlineExceeded or GrpcStatus.Unimplemented or GrpcStatus.Internal or GrpcStatus.Unavailable or GrpcStatus.DataLoss;

    /// <summary>The value of <c>grpc-status</c>; null when it is no number.</summary>
    public static int? Parse(ReadOnlySpan<byte> value) =>
        Utf8Parser.TryParse(value, out int status, out var digits) && digits == value.Length && status >= 0 ? status : null;

    /// <summary>Adds <c>grpc-message</c>: percent-encoded but for printable ASCII.</summary>
    public static void WriteMessage(ContentStream target, ReadOnlySpan<byte> text)
    {
        if (text.IsEmpty)
        {
            return;
        }

        text = text[..Math.Min(text.Length, 256)];
        Span<byte> encoded = stackalloc byte[256 * 3];
        var length = 0;
        foreach (var c in text)
        {
            if (c is >= 0x20 and <= 0x7e and not (byte)'%')
            {
                encoded[length++] = c;
                continue;
            }

            encoded[length++] = (byte)'%';
            Utf8Formatter.TryFormat(c, encoded[length..], out var digits, new System.Buffers.StandardFormat('X', 2));
            length += digits;
        }

        target.Field("grpc-message"u8, encoded[..length]);
    }

    /// <summary>The value of <c>grpc-timeout</c> in milliseconds, at least 1; 0 when there is none, or it is malformed.</summary>
    public static long Timeout(MessageHead request, ReadOnlySpan<byte> bytes)
    {
        if (!request.Headers.TryGet(bytes, "grpc-timeout"u8, out var slice) || slice.Length is < 2 or > 9)
        {
            return 0;
        }

        var value = slice.Of(bytes);
        if (!Utf8Parser.TryParse(value[..^1], out long number, out var digits) || digits != value.Length - 1 || number < 0 || value[0] is (byte)'-' or (byte)'+')
        {
            return 0;
        }

        var milliseconds = value[^1] switch
        {
            (byte)'H' => number * 3_600_000,
            (byte)'M' => number * 60_000,
            (byte)'S' => number * 1000,
            (byte)'m' => number,
            (byte)'u' => number / 1000,
            (byte)'n' => number / 1_000_000,
            _ => -1,
        };
        return milliseconds < 0 ? 0 : Math.Max(milliseconds, 1);
    }
}
