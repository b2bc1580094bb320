using System.Text;
using Weir.Proxy.Filters;
using Weir.Proxy.Http;
using Weir.Proxy.Listeners;

namespace Weir.Proxy.Admin;

/// <summary>Pages that the proxy serves itself.</summary>
enum Pages
{
    /// <summary>Readiness and metrics, for probes and scrapers.</summary>
    Status,

    /// <summary>Everything, also what changes the proxy's state.</summary>
    Admin,
}

/// <summary>Answers with the proxy's own pages, whatever the routes.</summary>
sealed class PagesFilter(ProxyEngine engine, Pages pages) : HttpFilter
{
    public override FilterHooks Hooks => FilterHooks.Request;

    public override FilterVerdict OnRequest(IFilteredExchange exchange)
    {
        ReadOnlySpan<byte> bytes = exchange.RequestBytes;
        var request = exchange.Request;
        var answer = AdminPages.Answer(engine, pages, new PageRequest(
            Encoding.Latin1.GetString(request.Method.Of(bytes)), Encoding.Latin1.GetString(request.Target.Of(bytes)), Encoding.Latin1.GetString(request.Authority.Of(bytes)),
            request.Headers.TryGet(bytes, "origin"u8, out var origin) ? Encoding.Latin1.GetString(origin.Of(bytes)) : null,
            request.Headers.TryGet(bytes, "sec-fetch-site"u8, out var site) ? Encoding.Latin1.GetString(site.Of(bytes)) : null));
        exchange.Reply(answer.Status, answer.Body, Encoding.ASCII.GetBytes(answer.ContentType));
        return FilterVerdict.Reply;
    }
}
