using Weir.Proxy.Filters;
using Weir.Proxy.Http;

namespace Weir.Proxy.Exchanges;

enum DecisionStatus
{
    /// <summary>For a filter that has to ask somebody.</summary>
    Wait,

    /// <summary>The proxy answers it itself: <see cref="Decision.Reply"/>.</summary>
    Reply,

    /// <summary>An upstream is to answer it: <see cref="Decision.Choice"/>.</summary>
    Forward,
}

/// <summary>
/// What becomes of a request: it is refused, answered by a filter or by its route, or sent to an upstream. Reused with its exchange.
/// </summary>
sealed class Decision(ExchangeServices services, FilterRun filters, ExchangeRecord record)
{
    ServerStream server = null!;
    HttpOptions options = null!;
    RouteChoice choice;
    byte[]? cookie;

    public LocalReply Reply { get; private set; }

    public ref readonly RouteChoice Choice => ref choice;

    /// <summary>That the client is to be given, to keep it at its endpoint; null for none.</summary>
    public byte[]? Cookie => choice.GivesCookie ? cookie : null;

    /// <param name="refusal">Why it cannot be served whatever the filters say; none where it can.</param>
    /// <param name="text">To be told with the refusal; null for what is always told.</param>
    public DecisionStatus Begin(ServerStream stream, HttpOptions settings, Cause refusal, byte[]? text)
    {
        (server, options) = (stream, settings);
        choice = default;
        filters.Begin(stream, settings.Filters);
        return refusal != Cause.None ? ReplyWith(LocalReply.Of(refusal, text))
            : services.IsOverloaded() && !options.IsOwn ? ReplyWith(LocalReply.Of(Cause.Overload))
            : OnFilter(FilterVerdict.Continue);
    }

    /// <summary>A filter has decided, or all those before the first are through.</summary>
    public DecisionStatus OnFilter(FilterVerdict verdict) => (verdict == FilterVerdict.Continue ? filters.Run() : verdict) switch
    {
        FilterVerdict.Reply => ReplyWith(filters.Reply),
        FilterVerdict.Wait => DecisionStatus.Wait,
        _ => Route(),
    };

    DecisionStatus Route()
    {
        choice = RouteChoice.Make(server, options, services.RequestIds, ref cookie, out var answer);
        record.Facts.Route = choice.Route?.Name ?? "";
        if (answer is { } own)
        {
            return ReplyWith(own);
        }

        record.Facts.Cluster = choice.Cluster!.NameBytes;
        record.BeginTrace();
        return DecisionStatus.Forward;
    }

    DecisionStatus ReplyWith(in LocalReply reply)
    {
        Reply = reply;
        return DecisionStatus.Reply;
    }
}
