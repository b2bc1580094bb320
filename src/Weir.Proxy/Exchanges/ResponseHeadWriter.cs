using Weir.Proxy.Filters;
using Weir.Proxy.Http;
using Weir.Proxy.Routing;

namespace Weir.Proxy.Exchanges;

/// <summary>What the client is sent as the answer's head.</summary>
readonly ref struct ResponseHeadWriter(MessageHead response, ReadOnlySpan<byte> bytes, in RouteChoice choice)
{
    readonly MessageHead response = response;
    readonly ReadOnlySpan<byte> bytes = bytes;
    readonly Route route = choice.Route!;
    readonly Slice upgrade = choice.Upgrade;
    readonly HeaderRules targetRules = choice.Target!.Rules;

    /// <param name="cookie">That keeps the client at its endpoint; null for none.</param>
    /// <param name="isLast">No more of the request will be read.</param>
    /// <returns>False when it is too large to be sent.</returns>
    public bool Write(ServerStream server, byte[]? cookie, bool isLast)
    {
        server.BeginHead(response.Status, response.Reason.Of(bytes));
        WriteFields(server);
        if (response.Status == 101)
        {
            // As it was asked for, which is what the upstream has agreed to.
            server.Field("upgrade"u8, upgrade.Of(server.RequestBytes));
        }

        if (cookie is not null)
        {
            WriteCookie(server, cookie);
        }

        foreach (var (name, value) in route.Rules.AddedToResponse)
        {
            server.Field(name, value);
        }

        foreach (var (name, value) in targetRules.AddedToResponse)
        {
            server.Field(name, value);
        }

        var hasContent = response.Body != BodyKind.None;
        return server.EndHead(new ContentLength(response.Body is BodyKind.Chunked or BodyKind.UntilClose ? -1 : response.ContentLength, hasContent), isLast);
    }

    /// <summary>Sends an answer of 1xx, where the client knows such.</summary>
    public void WriteInterim(ServerStream server)
    {
        if (server.BeginInterim(response.Status))
        {
            WriteFields(server);
            server.EndHead(ContentLength.None, isLast: false);
        }
    }

    void WriteFields(ServerStream server)
    {
        for (var i = 0; i < response.Headers.Count; i++)
        {
            ref readonly var header = ref response.Headers[i];
            var name = header.Name.Of(bytes);
            if (header.Known is KnownHeader.Other or KnownHeader.Host or KnownHeader.Expect
                && !route.Rules.RemovesFromResponse(name) && !targetRules.RemovesFromResponse(name))
            {
                server.Field(name, header.Value.Of(bytes));
            }
        }
    }

    void WriteCookie(ServerStream server, byte[] value)
    {
        var policy = Array.Find(route.HashPolicies, p => p is { Source: HashSource.Cookie, CookieSeconds: not null })!;
        var text = $"{System.Text.Encoding.ASCII.GetString(policy.Name)}={System.Text.Encoding.ASCII.GetString(value)}"
            + (policy.CookieSeconds > 0 ? $"; Max-Age={policy.CookieSeconds}" : "")
            + (policy.CookiePath.Length > 0 ? $"; Path={policy.CookiePath}" : "") + "; HttpOnly";
        server.Field("set-cookie"u8, System.Text.Encoding.ASCII.GetBytes(text));
    }
}
