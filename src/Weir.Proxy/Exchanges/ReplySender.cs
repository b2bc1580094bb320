using Weir.Proxy.Http;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Exchanges;

/// <summary>Sends an answer of the proxy's own.</summary>
struct ReplySender
{
    byte[] body;
    LocalReply reply;

    /// <summary>What a client that speaks gRPC is told; null for others.</summary>
    public int? GrpcStatus { get; private set; }

    /// <summary>Bytes of the body that were taken.</summary>
    public int Sent { get; private set; }

    public readonly int Length => body.Length;

    public readonly bool HasReply => reply.Status > 0;

    public readonly ResponseFlag Flag => reply.Flag;

    /// <summary>As the client was told: one that speaks gRPC is told of failures by other means than HTTP's.</summary>
    public readonly int StatusSent => GrpcStatus is null ? reply.Status : 200;

    public void Begin(ServerStream server, in LocalReply answer)
    {
        reply = answer;
        GrpcStatus = answer.GrpcStatusTo(server);
        Sent = 0;
        var isLast = !server.SkipContent();
        body = answer.WriteHead(server, GrpcStatus, isLast);
    }

    public AnswerStatus Run(ServerStream server)
    {
        while (Sent < body.Length)
        {
            var taken = server.Send(body.AsSpan(Sent));
            if (taken <= 0)
            {
                return taken < 0 ? AnswerStatus.Failed : AnswerStatus.Wait;
            }

            Sent += taken;
        }

        server.End(null);
        return AnswerStatus.Done;
    }
}
