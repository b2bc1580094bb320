using Envoy.Config.Route.V3;
using Weir.Proxy.Routing;
using XdsRoute = Envoy.Config.Route.V3.Route;

namespace Weir.Proxy.Configuration;

/// <summary>Answers that a route gives by itself: direct responses and redirects.</summary>
static class DirectReplyTranslator
{
    public static DirectReply? Translate(string owner, XdsRoute route) => route.ActionCase switch
    {
        XdsRoute.ActionOneofCase.DirectResponse => Response($"{owner}: direct_response", route.DirectResponse),
        XdsRoute.ActionOneofCase.Redirect => Redirect($"{owner}: redirect", route.Redirect),
        _ => null,
    };

    static DirectReply Response(string field, DirectResponseAction direct)
    {
        if (direct.Status is < 200 or >= 600)
        {
            throw new ConfigException($"{field}.status: {direct.Status} is not 200 to 599");
        }

        // RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5.
        var body = Common.Bytes(direct.Body, $"{field}.body");
        return body.Length == 0 || direct.Status is not (204 or 205 or 304) ? new DirectReply((int)direct.Status, body, null)
            : throw new ConfigException($"{field}.body: an answer of status {direct.Status} has none");
    }

    static DirectReply Redirect(string field, RedirectAction redirect)
    {
        var code = redirect.ResponseCode switch
        {
            RedirectAction.Types.RedirectResponseCode.Found => 302,
            RedirectAction.Types.RedirectResponseCode.SeeOther => 303,
            RedirectAction.Types.RedirectResponseCode.TemporaryRedirect => 307,
            RedirectAction.Types.RedirectResponseCode.PermanentRedirect => 308,
            _ => 301,
        };
        if (redirect.PathRedirect.Length > 0 && redirect.PrefixRewrite.Length > 0)
        {
            throw new ConfigException($"{field}: path_redirect and prefix_rewrite exclude each other");
        }

        if (redirect.SchemeRedirect is not ("" or "http" or "https"))
        {
            throw new ConfigException($"{field}.scheme_redirect: \"{redirect.SchemeRedirect}\" is neither http nor https");
        }

        if (redirect.PortRedirect > ushort.MaxValue)
        {
            throw new ConfigException($"{field}.port_redirect: {redirect.PortRedirect} is no port");
        }

        static string? Given(string text) => text.Length == 0 ? null : text;
        return new DirectReply(code, [], new RedirectRule(
            Given(redirect.SchemeRedirect), Given(UrlParts.Authority($"{field}.host_redirect", redirect.HostRedirect)), redirect.PortRedirect,
            Given(UrlParts.Path($"{field}.path_redirect", redirect.PathRedirect)), Given(UrlParts.Path($"{field}.prefix_rewrite", redirect.PrefixRewrite))));
    }
}

/// <summary>Parts of URLs that configuration gives, and that become parts of lines on the wire.</summary>
static class UrlParts
{
    /// <summary>Without a slash first, it would be read as part of the host before it.</summary>
    public static string Path(string field, string path) => path.Length == 0 || (path[0] == '/' && !path.Any(c => c is <= ' ' or > '~' or '#')) ? path
        : throw new ConfigException($"{field}: \"{path}\" must begin with /, and have no space, # or character beyond ASCII in it");

    public static string Authority(string field, string host) => host.Length == 0 || Http1.Authority.IsValid(System.Text.Encoding.UTF8.GetBytes(host)) ? host
        : throw new ConfigException($"{field}: \"{host}\" is no host, nor a host and port");
}
