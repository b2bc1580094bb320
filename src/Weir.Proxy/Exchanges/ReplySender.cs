using Weir.Proxy.Http;

namespace Weir.Proxy.Exchanges;

/// <summary>Sends an answer of the proxy's own.</summary>
struct ReplySender
{
    byte[] body;

    /// <summary>A status of 0 when there is none.</summary>
    public LocalReply Reply { get; private set; }

    /// <summary>Bytes of the body that were taken.</summary>
    public int Sent { get; private set; }

    public readonly bool HasReply => Reply.Status > 0;

    /// <summary>As the client was told: one that speaks gRPC is told of failures by other means than HTTP's.</summary>
    public readonly int StatusSent(int? grpc) => grpc is null ? Reply.Status : 200;

    public void Begin(ServerStream server, in LocalReply reply, int? grpc)
    {
        Reply = reply;
        Sent = 0;
        var isLast = !server.SkipContent();
        body = reply.WriteHead(server, grpc, isLast);
    }

    public readonly int Length => body.Length;

    /// <returns>As a pipe: that it has to wait, that all is passed on, or that the client is gone.</returns>
    public PipeStatus Run(ServerStream server)
    {
        while (Sent < body.Length)
        {
            var taken = server.Send(body.AsSpan(Sent));
            if (taken <= 0)
            {
                return taken < 0 ? PipeStatus.SinkFailed : PipeStatus.Wait;
            }

            Sent += taken;
        }

        server.End(null);
        return PipeStatus.End;
    }
}
