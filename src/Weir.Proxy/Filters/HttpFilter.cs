using Weir.Proxy.Http;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Filters;

/// <summary>At which points of an exchange a filter is called. It is not called, and costs nothing, at the others.</summary>
[Flags]
enum FilterHooks
{
    None = 0,

    /// <summary>The request's head has come; it has not been routed.</summary>
    Request = 1,

    /// <summary>The answer's head has come from an upstream.</summary>
    Response = 2,

    /// <summary>The exchange is over.</summary>
    Outcome = 4,
}

enum FilterVerdict
{
    Continue,

    /// <summary>The filter has given an answer by <see cref="IFilteredExchange.Reply"/>.</summary>
    Reply,

    /// <summary>The filter has taken a <see cref="FilterTicket"/> by <see cref="IFilteredExchange.Wait"/>, and will use it on the exchange's loop.</summary>
    Wait,
}

/// <summary>
/// By what a filter that had to ask somebody lets its exchange go on. Of one wait of one exchange: used once, and whatever comes after
/// that or after the exchange's end does nothing, though the exchange may serve another request by then.
/// </summary>
readonly record struct FilterTicket(IFilteredExchange Exchange, uint Number)
{
    /// <summary>The exchange still waits for it.</summary>
    public bool IsGood => Exchange.IsWaiting(Number);

    public void Continue()
    {
        if (IsGood)
        {
            Exchange.Continue(FilterVerdict.Continue);
        }
    }

    public void Reply(Cause cause)
    {
        if (IsGood)
        {
            Exchange.Reply(cause);
            Exchange.Continue(FilterVerdict.Reply);
        }
    }
}

/// <summary>What a filter sees of an exchange: heads and outcome, no sockets and no bytes of content.</summary>
interface IFilteredExchange
{
    MessageHead Request { get; }

    /// <summary>What the slices of <see cref="Request"/> are of; may be changed in place.</summary>
    Span<byte> RequestBytes { get; }

    Downstream Downstream { get; }

    /// <summary>Of the upstream's answer; its slices are of <see cref="ResponseBytes"/>.</summary>
    MessageHead Response { get; }

    ReadOnlySpan<byte> ResponseBytes { get; }

    ref readonly LogFacts Facts { get; }

    /// <summary>Answers in the place of an upstream, once the filter has returned <see cref="FilterVerdict.Reply"/>.</summary>
    void Reply(Cause cause);

    void Reply(int status, byte[] body, byte[] contentType, string? location = null);

    /// <summary>Before <see cref="FilterVerdict.Wait"/> is returned.</summary>
    FilterTicket Wait();

    /// <summary>Asked and told by tickets alone.</summary>
    bool IsWaiting(uint ticket);

    void Continue(FilterVerdict verdict);
}

/// <summary>
/// One thing that is done to requests. Immutable, made from configuration, shared by all loops.
/// </summary>
abstract class HttpFilter
{
    public abstract FilterHooks Hooks { get; }

    public virtual FilterVerdict OnRequest(IFilteredExchange exchange) => FilterVerdict.Continue;

    public virtual void OnResponse(IFilteredExchange exchange)
    {
    }

    public virtual void OnOutcome(IFilteredExchange exchange)
    {
    }
}

/// <summary>The filters of one filter chain by the hooks they have, in their order. Compiled when configuration arrives.</summary>
sealed class FilterPlan
{
    public static readonly FilterPlan None = new([]);

    public FilterPlan(IReadOnlyList<HttpFilter> filters)
    {
        Filters = filters;
        OnRequest = With(FilterHooks.Request);
        OnResponse = With(FilterHooks.Response);
        OnOutcome = With(FilterHooks.Outcome);
    }

    public IReadOnlyList<HttpFilter> Filters { get; }

    public HttpFilter[] OnRequest { get; }

    public HttpFilter[] OnResponse { get; }

    public HttpFilter[] OnOutcome { get; }

    HttpFilter[] With(FilterHooks hook) => [.. Filters.Where(f => (f.Hooks & hook) != 0)];
}
