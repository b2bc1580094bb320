using Weir.Proxy.Http;

namespace Weir.Proxy.Exchanges;

/// <summary>Which requests may be sent again though it is not known what became of them.</summary>
static class Idempotence
{
    /// <summary>A request without a body whose method promises that doing it twice is doing it once (RFC 9110 section 9.2.2).</summary>
    public static bool IsSafeToRepeat(ServerStream server)
    {
        var method = server.Request.Method.Of(server.RequestBytes);
        return server.Request.Body == BodyKind.None
            && (method.SequenceEqual("GET"u8) || method.SequenceEqual("HEAD"u8) || method.SequenceEqual("OPTIONS"u8)
                || method.SequenceEqual("PUT"u8) || method.SequenceEqual("DELETE"u8) || method.SequenceEqual("TRACE"u8));
    }
}
