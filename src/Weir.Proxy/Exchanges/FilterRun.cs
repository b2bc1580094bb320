using System.Text;
using Weir.Proxy.Filters;
using Weir.Proxy.Http;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Exchanges;

/// <summary>An exchange as its filters see it, and where in their order it stands. Reused with its exchange.</summary>
sealed class FilterRun(Exchange exchange, ExchangeRecord record, UpstreamRequest upstream) : IFilteredExchange
{
    ServerStream server = null!;
    FilterPlan plan = FilterPlan.None;
    int next;
    uint lastTicket;
    bool isWaiting;

    /// <summary>What a filter has answered.</summary>
    public LocalReply Reply { get; private set; }

    public void Begin(ServerStream stream, FilterPlan filters) => (server, plan, next, isWaiting) = (stream, filters, 0, false);

    /// <summary>Calls those that have not been called.</summary>
    public FilterVerdict Run()
    {
        while (next < plan.OnRequest.Length)
        {
            var verdict = plan.OnRequest[next++].OnRequest(this);
            if (verdict == FilterVerdict.Wait && !isWaiting)
            {
                throw new InvalidOperationException($"{plan.OnRequest[next - 1].GetType().Name} waits for nothing");
            }

            if (verdict != FilterVerdict.Continue)
            {
                return verdict;
            }
        }

        return FilterVerdict.Continue;
    }

    public void OnResponse()
    {
        foreach (var filter in plan.OnResponse)
        {
            filter.OnResponse(this);
        }
    }

    public void OnOutcome()
    {
        isWaiting = false;
        foreach (var filter in plan.OnOutcome)
        {
            filter.OnOutcome(this);
        }
    }

    MessageHead IFilteredExchange.Request => server.Request;

    Span<byte> IFilteredExchange.RequestBytes => server.RequestBytes;

    Downstream IFilteredExchange.Downstream => server.Downstream;

    MessageHead IFilteredExchange.Response => upstream.Response;

    ReadOnlySpan<byte> IFilteredExchange.ResponseBytes => upstream.Stream is { } stream ? stream.HeadBytes : default;

    ref readonly LogFacts IFilteredExchange.Facts => ref record.Facts;

    void IFilteredExchange.Reply(Cause cause) => Reply = LocalReply.Of(cause);

    void IFilteredExchange.Reply(int status, byte[] body, byte[] contentType, string? location) =>
        Reply = new LocalReply(status, ResponseFlag.None, "direct_response", body)
        {
            ContentType = contentType,
            Location = location is null ? null : Encoding.Latin1.GetBytes(location),
        };

    FilterTicket IFilteredExchange.Wait()
    {
        isWaiting = true;
        return new FilterTicket(this, ++lastTicket);
    }

    bool IFilteredExchange.IsWaiting(uint ticket) => isWaiting && ticket == lastTicket;

    void IFilteredExchange.Continue(FilterVerdict verdict)
    {
        isWaiting = false;
        exchange.OnFilter(verdict);
    }
}
