using Weir.Proxy.Http;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;
using Weir.Proxy.Upstream;

namespace Weir.Proxy.Exchanges;

/// <summary>A request that the proxy makes of its own accord.</summary>
/// <param name="Timeout">Milliseconds for all of it.</param>
sealed record SideRequest(
    Cluster Cluster, string Method, string Authority, string Path, IReadOnlyList<(byte[] Name, byte[] Value)> Fields, byte[] Body, int Timeout);

/// <summary>
/// An exchange without a client: through the same pools, TLS and limits as those of clients. One request at a time; reused. The answer's
/// content is read over.
/// </summary>
sealed class SideCall : LoopHandler
{
    /// <summary>Of an answer that nobody will read.</summary>
    const long MaximumAnswer = 1024 * 1024;

    readonly EventLoop loop;
    readonly Attempt attempt;
    readonly MessageHead response = new();
    SideRequest? request;
    Action<int> onDone = _ => { };
    int sent;
    long received;
    bool isSent;
    bool hasHead;

    public SideCall(Upstreams upstreams)
    {
        loop = upstreams.Loop;
        attempt = new Attempt(upstreams, this);
    }

    public bool IsBusy => request is not null;

    /// <param name="done">Called once, with the answer's status when it has come whole, or 0 when it did not. Never from within this call.</param>
    public void Send(SideRequest next, Action<int> done)
    {
        request = next;
        onDone = done;
        sent = 0;
        received = 0;
        isSent = hasHead = false;
        loop.Timers.Set(this, loop.Now + next.Timeout);
        attempt.Start(new AttemptTarget(next.Cluster, null, null, null, IsRaw: false, IsHttp2: false), null, isFresh: false);
        loop.Defer(this);
    }

    public override void OnReady()
    {
        switch (request is null ? AttemptState.None : attempt.State)
        {
            case AttemptState.Ready:
                Step(attempt.Stream!);
                break;
            case AttemptState.Failed:
                End(0);
                break;
        }
    }

    void Step(ClientStream stream)
    {
        if (!isSent)
        {
            isSent = true;
            SendHead(stream);
        }

        if (sent < request!.Body.Length)
        {
            var taken = stream.Send(request.Body.AsSpan(sent));
            sent += Math.Max(taken, 0);
            if (sent == request.Body.Length)
            {
                stream.End(null);
            }
        }

        stream.Flush();
        while (!hasHead)
        {
            switch (stream.ReadHead(response))
            {
                case HeadStatus.Wait:
                    return;
                case HeadStatus.Failed:
                    End(0);
                    return;
                case HeadStatus.Final:
                    hasHead = true;
                    break;
            }
        }

        while (true)
        {
            switch (stream.Read(out var content))
            {
                case ReadStatus.Content when (received += content.Length) <= MaximumAnswer:
                    stream.Consume(content.Length);
                    break;
                case ReadStatus.Wait:
                    return;
                case ReadStatus.End:
                    End(response.Status);
                    return;
                default:
                    End(0);
                    return;
            }
        }
    }

    void SendHead(ClientStream stream)
    {
        static byte[] Bytes(string text) => System.Text.Encoding.ASCII.GetBytes(text);

        stream.BeginHead(Bytes(request!.Method), Bytes(request.Authority), Bytes(request.Path), default);
        foreach (var (name, value) in request.Fields)
        {
            stream.Field(name, value);
        }

        stream.EndHead(new ContentLength(request.Body.Length, request.Body.Length > 0));
    }

    public override void OnDue() => End(0);

    void End(int status)
    {
        if (request is null)
        {
            return;
        }

        request = null;
        TimerWheel.Clear(this);
        attempt.Release();
        onDone(status);
    }

    public override void Abandon() => End(0);
}
