using System.Text;
using Weir.Proxy.Http;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Exchanges;

/// <summary>An answer of the proxy's own: the one place where statuses, flags, details and texts of such answers are made.</summary>
readonly record struct LocalReply(int Status, ResponseFlag Flag, string Details, byte[] Body)
{
    public static readonly byte[] PlainText = "text/plain"u8.ToArray();
    static readonly byte[] ConnectUnsupported = "CONNECT is not supported by this listener"u8.ToArray();

    public byte[] ContentType { get; init; } = PlainText;

    /// <summary>Of a redirect; null for none.</summary>
    public byte[]? Location { get; init; }

    /// <summary>Of the route that asked for this answer; null for none.</summary>
    public Filters.HeaderRules? Rules { get; init; }

    /// <summary>Where the client speaks gRPC; null for what follows from the status.</summary>
    public int? GrpcStatus { get; init; }

    /// <summary>A status of 0 means that there is nobody left to answer.</summary>
    /// <param name="text">In the place of the cause's own.</param>
    public static LocalReply Of(Cause cause, byte[]? text = null)
    {
        ref readonly var description = ref CauseDescription.Of(cause);
        return new LocalReply(description.Status, description.Flag, description.Details, text ?? description.Body)
        {
            GrpcStatus = cause is Cause.RouteTimeout or Cause.StreamIdle ? Http.GrpcStatus.DeadlineExceeded : null,
        };
    }

    public static LocalReply NoConnect => new(501, ResponseFlag.None, "connect_unsupported", ConnectUnsupported);

    public static LocalReply Redirect(int status, string location) =>
        new(status, ResponseFlag.None, "direct_response", []) { Location = Encoding.Latin1.GetBytes(location) };

    /// <summary>What this is to a client that speaks gRPC; null where it does not.</summary>
    public int? GrpcStatusTo(ServerStream server) => GrpcStatuses.IsGrpc(server.Request, server.RequestBytes) ? GrpcStatus ?? GrpcStatuses.OfHttp(Status) : null;

    /// <summary>Writes the head. A gRPC client gets its status in the head, which is then all there is (trailers-only).</summary>
    /// <param name="grpc">As <see cref="GrpcStatusTo"/>.</param>
    /// <returns>What of the body is to follow.</returns>
    public byte[] WriteHead(ServerStream server, int? grpc, bool isLast)
    {
        server.BeginHead(grpc is null ? Status : 200, default);
        if (Location is not null)
        {
            server.Field("location"u8, Location);
        }

        if (grpc is { } status)
        {
            server.Field("content-type"u8, "application/grpc"u8);
            Span<byte> digits = stackalloc byte[4];
            System.Buffers.Text.Utf8Formatter.TryFormat(status, digits, out var length);
            server.Field("grpc-status"u8, digits[..length]);
            GrpcStatuses.WriteMessage(server, Body);
        }
        else if (Body.Length > 0)
        {
            server.Field("content-type"u8, ContentType);
        }

        foreach (var (name, value) in Rules?.AddedToResponse ?? [])
        {
            server.Field(name, value);
        }

        var hasContent = grpc is null && Body.Length > 0 && !server.Request.IsHead;
        server.EndHead(grpc is not null ? ContentLength.None : new ContentLength(Status is < 200 or 204 ? -1 : Body.Length, hasContent), isLast);
        return hasContent ? Body : [];
    }
}
