using Weir.Proxy.Http1;
using Weir.Proxy.Routing;
using Weir.Proxy.Upstream;

namespace Weir.Proxy.Listeners;

/// <summary>The head of an answer: found among interim ones, and written for the client.</summary>
sealed partial class HttpExchange
{
    int searched;
    bool hasInterim;

    /// <summary>
    /// Whether a final head is there. Interim ones before it are collected for the client; only 100 is dropped, since the proxy has
    /// sent its own.
    /// </summary>
    bool HasResponseHead(out Cause cause)
    {
        cause = Cause.None;
        var bytes = upstream!.Buffer!;
        while (true)
        {
            var available = bytes.AsSpan(upstream.Start, upstream.End - upstream.Start);
            var length = available.IsEmpty ? -1 : HeadParser.FindEnd(available, searched);
            if (length < 0)
            {
                searched = available.Length;
                if (upstream.End == bytes.Length && !MakeRoomForHead())
                {
                    cause = Cause.UpstreamHeadTooLarge;
                }

                return false;
            }

            searched = 0;
            if (HeadParser.ParseResponse(available, length, response, request.IsHead) != ParseError.None)
            {
                cause = Cause.UpstreamProtocol;
                return false;
            }

            if (response.Status >= 200 || (response.Status == 101 && hasUpgrade && !request.IsConnect))
            {
                if (request.IsConnect && response.Status < 300)
                {
                    response.Body = BodyKind.None;
                }

                return true;
            }

            if (response.Status == 101)
            {
                cause = Cause.UpstreamProtocol;
                return false;
            }

            hasInterim = true;

            // HTTP/1.0 clients know no interim answers (RFC 9110 section 15.2).
            if (response.Status != 100 && !request.IsHttp10)
            {
                interim.Add(available[..length].ToArray());
            }

            upstream.Start += length;
            if (interim.Count > MaximumInterim)
            {
                cause = Cause.UpstreamProtocol;
                return false;
            }
        }
    }

    const int MaximumInterim = 16;
    readonly List<byte[]> interim = [];

    bool MakeRoomForHead()
    {
        if (upstream!.Start == 0)
        {
            if (upstream.Buffer!.Length >= HttpOptions.DefaultHeadBytes)
            {
                return false;
            }

            var larger = GC.AllocateUninitializedArray<byte>(HttpOptions.DefaultHeadBytes, pinned: true);
            upstream.Buffer.AsSpan(0, upstream.End).CopyTo(larger);
            loop.Buffers.Return(upstream.Buffer);
            upstream.Buffer = larger;
            return true;
        }

        upstream.Buffer.AsSpan(upstream.Start, upstream.End - upstream.Start).CopyTo(upstream.Buffer);
        upstream.End -= upstream.Start;
        upstream.Start = 0;
        return true;
    }

    /// <summary>What follows the head is no longer HTTP.</summary>
    bool IsSwitch => response.Status == 101 || (request.IsConnect && response.Status is >= 200 and < 300);

    async ValueTask<Step> PassInterimAsync() => await SendInterimAsync() ? Waiting(Wait.ResponseHead) : Failed(Cause.ClientGone);

    async ValueTask<Step> PassInterimAndRelayAsync() => await SendInterimAsync() ? Relay() : Failed(Cause.ClientGone);

    async ValueTask<bool> SendInterimAsync()
    {
        foreach (var head in interim)
        {
            if (await client.WriteAsync(head, IdleMilliseconds) < 0)
            {
                return false;
            }
        }

        interim.Clear();
        return true;
    }

    int WriteResponseHead(byte[] output, bool keepAlive, bool removesChunks)
    {
        ReadOnlySpan<byte> bytes = upstream!.Buffer.AsSpan(upstream.Start);
        var writer = new HeadWriter(output);
        writer.Write("HTTP/1.1 "u8);
        writer.Write(response.Status);
        writer.Write(" "u8);
        writer.Write(response.Reason.Of(bytes));
        writer.Write("\r\n"u8);
        for (var i = 0; i < response.Headers.Count; i++)
        {
            ref readonly var header = ref response.Headers[i];
            var name = header.Name.Of(bytes);
            if ((header.Known is KnownHeader.Other or KnownHeader.Host or KnownHeader.Expect || (header.Known == KnownHeader.ContentLength && !IsSwitch))
                && !route!.Rules.RemovesFromResponse(name) && !target!.Rules.RemovesFromResponse(name))
            {
                writer.WriteHeader(name, header.Value.Of(bytes));
            }
        }

        if (response.Status == 101)
        {
            writer.Write("connection: upgrade\r\n"u8);
            writer.WriteHeader("upgrade"u8, response.Upgrade.Of(bytes));
        }
        else if (response.Body == BodyKind.Chunked && !removesChunks)
        {
            writer.Write("transfer-encoding: chunked\r\n"u8);
        }

        if (givesCookie)
        {
            WriteCookie(ref writer);
        }

        route!.Rules.WriteResponse(ref writer);
        target!.Rules.WriteResponse(ref writer);
        if (!keepAlive && !IsSwitch)
        {
            writer.Write("connection: close\r\n"u8);
        }
        else if (request.IsHttp10)
        {
            writer.Write("connection: keep-alive\r\n"u8);
        }

        writer.Write("\r\n"u8);
        return writer.IsFull ? -1 : writer.Length;
    }

    void WriteCookie(ref HeadWriter writer)
    {
        var policy = Array.Find(route!.HashPolicies, p => p is { Source: HashSource.Cookie, CookieSeconds: not null })!;
        writer.Write("set-cookie: "u8);
        writer.Write(policy.Name);
        writer.Write("="u8);
        writer.Write(cookieValue);
        if (policy.CookieSeconds > 0)
        {
            writer.Write("; Max-Age="u8);
            writer.Write(policy.CookieSeconds.Value);
        }

        if (policy.CookiePath.Length > 0)
        {
            writer.Write("; Path="u8);
            writer.Write(System.Text.Encoding.ASCII.GetBytes(policy.CookiePath));
        }

        writer.Write("; HttpOnly\r\n"u8);
    }
}
