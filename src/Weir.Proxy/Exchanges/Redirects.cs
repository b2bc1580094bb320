using System.Text;
using Weir.Proxy.Filters;
using Weir.Proxy.Http;
using Weir.Proxy.Routing;

namespace Weir.Proxy.Exchanges;

/// <summary>Where a redirect leads, and the phrases of status lines.</summary>
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

    public static ReadOnlySpan<byte> ReasonOf(int status) => status switch
    {
        200 => "OK"u8,
        301 => "Moved Permanently"u8,
        302 => "Found"u8,
        303 => "See Other"u8,
        307 => "Temporary Redirect"u8,
        308 => "Permanent Redirect"u8,
        400 => "Bad Request"u8,
        403 => "Forbidden"u8,
        404 => "Not Found"u8,
        408 => "Request Timeout"u8,
        431 => "Request Header Fields Too Large"u8,
        501 => "Not Implemented"u8,
        502 => "Bad Gateway"u8,
        503 => "Service Unavailable"u8,
        504 => "Gateway Timeout"u8,
        505 => "HTTP Version Not Supported"u8,
        _ => "Unknown"u8,
    };
}
