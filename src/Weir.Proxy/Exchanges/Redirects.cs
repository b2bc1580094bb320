using System.Text;
using Weir.Proxy.Filters;
using Weir.Proxy.Http;
using Weir.Proxy.Routing;

namespace Weir.Proxy.Exchanges;

/// <summary>Where a redirect leads.</summary>
static class Redirects
{
    public static string Location(RedirectRule rule, MessageHead head, ReadOnlySpan<byte> buffer, Route route, bool isSecure)
    {
        var authority = Encoding.Latin1.GetString(head.Authority.Of(buffer));
        var colon = authority.LastIndexOf(':');
        var host = rule.Host ?? (colon > 0 ? authority[..colon] : authority);
        var port = rule.Port > 0 ? $":{rule.Port}" : rule.Host is null && rule.Scheme is null && colon > 0 ? authority[colon..] : "";
        var rewritten = PathRewrite.Of(head.Target.Of(buffer), Encoding.Latin1.GetBytes(rule.PrefixRewrite ?? ""), route.PathLength);
        var path = rule.Path ?? (rewritten.Rest.SequenceEqual("*"u8) ? "/" : Encoding.Latin1.GetString(rewritten.First) + Encoding.Latin1.GetString(rewritten.Rest));
        return $"{rule.Scheme ?? (isSecure ? "https" : "http")}://{host}{port}{path}";
    }
}
