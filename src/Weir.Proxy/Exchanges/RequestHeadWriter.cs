using Weir.Proxy.Filters;
using Weir.Proxy.Http;
using Weir.Proxy.Routing;
using Weir.Proxy.Tracing;

namespace Weir.Proxy.Exchanges;

/// <summary>What an upstream is sent as the request's head: the client's fields, those of the routing rules, and the proxy's own.</summary>
readonly ref struct RequestHeadWriter(ServerStream server, HttpOptions options, in RouteChoice choice, RequestIdSource ids, in TraceContext trace)
{
    readonly MessageHead request = server.Request;
    readonly ReadOnlySpan<byte> bytes = server.RequestBytes;
    readonly Route route = choice.Route!;
    readonly HeaderRules targetRules = choice.Target!.Rules;
    readonly Slice upgrade = choice.Upgrade;
    readonly TraceContext trace = trace;

    /// <returns>False when it is too large to be sent.</returns>
    public bool Write(ClientStream target)
    {
        var authority = route.HostRewrite.Length > 0 ? route.HostRewrite : request.Authority.Of(bytes);
        if (request.IsConnect)
        {
            target.BeginHead(request.Method.Of(bytes), authority, request.Authority.Of(bytes), default);
        }
        else
        {
            WriteWithPath(target, authority);
        }

        var hasRequestId = WriteFields(target);
        WriteForwarding(target);
        if (!hasRequestId)
        {
            Span<byte> id = stackalloc byte[36];
            ids.Next(id);
            target.Field("x-request-id"u8, id);
        }

        if (request.AcceptsTrailers && target.IsHttp2)
        {
            target.Field("te"u8, "trailers"u8);
        }

        if (request.IsExtendedConnect && !target.IsHttp2 && Ascii.EqualsLower(upgrade.Of(bytes), "websocket"u8))
        {
            // HTTP/1.1 wants a key, of which HTTP/2 knows nothing (RFC 8441 section 5).
            Span<byte> key = stackalloc byte[24];
            ids.NextWebSocketKey(key);
            target.Field("sec-websocket-key"u8, key);
        }

        foreach (var (name, value) in route.Rules.AddedToRequest)
        {
            target.Field(name, value);
        }

        foreach (var (name, value) in targetRules.AddedToRequest)
        {
            target.Field(name, value);
        }

        // Without content there is no length but 0, whatever was declared.
        var length = request.Body == BodyKind.Length || request.ContentLength == 0 ? request.ContentLength : -1;
        return target.EndHead(new ContentLength(length, request.Body != BodyKind.None));
    }

    void WriteWithPath(ClientStream target, ReadOnlySpan<byte> authority)
    {
        var original = request.Target.Length == 0 ? "/"u8 : request.Target.Of(bytes);
        var needsSlash = original[0] == '?';
        if (route.PrefixRewrite.Length == 0 && !needsSlash)
        {
            target.BeginHead(request.Method.Of(bytes), authority, original, upgrade.Of(bytes));
            return;
        }

        var rewritten = PathRewrite.Of(request.Target.Of(bytes), route.PrefixRewrite, route.PathLength);
        var rented = rewritten.Length > 1024 ? System.Buffers.ArrayPool<byte>.Shared.Rent(rewritten.Length) : null;
        var path = rented ?? stackalloc byte[1024];
        rewritten.First.CopyTo(path);
        rewritten.Rest.CopyTo(path[rewritten.First.Length..]);
        target.BeginHead(request.Method.Of(bytes), authority, path[..rewritten.Length], upgrade.Of(bytes));
        if (rented is not null)
        {
            System.Buffers.ArrayPool<byte>.Shared.Return(rented);
        }
    }

    /// <returns>Whether a request id was among them.</returns>
    bool WriteFields(ClientStream target)
    {
        var hasRequestId = !options.GeneratesRequestId;
        for (var i = 0; i < request.Headers.Count; i++)
        {
            ref readonly var header = ref request.Headers[i];
            if (header.Known is not KnownHeader.Other)
            {
                continue;
            }

            var name = header.Name.Of(bytes);
            if (route.Rules.RemovesFromRequest(name) || targetRules.RemovesFromRequest(name) || IsReplaced(name))
            {
                continue;
            }

            hasRequestId |= name.Length == 12 && Ascii.EqualsLower(name, "x-request-id"u8);
            target.Field(name, header.Value.Of(bytes));
        }

        return hasRequestId;
    }

    /// <summary>Headers that say who the client is, how it was reached and traced: they are the proxy's to write.</summary>
    bool IsReplaced(ReadOnlySpan<byte> name)
    {
        if ((name[0] | 0x20) is (byte)'x' && name.Length > 2 && name[1] == '-')
        {
            switch (name.Length)
            {
                case 15 when options.IsEdge && Ascii.EqualsLower(name, "x-forwarded-for"u8):
                case 17 when options.IsEdge && Ascii.EqualsLower(name, "x-forwarded-proto"u8):
                case 12 when options.IsEdge && options.GeneratesRequestId && Ascii.EqualsLower(name, "x-request-id"u8):
                    return true;
                case 23 when Ascii.EqualsLower(name, "x-forwarded-client-cert"u8):
                    return !KeepsClientCertificate;
            }

            // What proxies of a mesh tell each other is nothing for a stranger to say.
            if (options.IsEdge && name.Length > 8 && Ascii.EqualsLower(name[..8], "x-envoy-"u8))
            {
                return true;
            }
        }

        return options.Tracing is not null && TraceContext.IsTraceHeader(name);
    }

    /// <summary>What a client says of another's certificate is believed only of a client that has shown its own.</summary>
    bool KeepsClientCertificate => options.ClientCertificate switch
    {
        ClientCertificateForwarding.ForwardOnly => server.Downstream.Tls?.Peer is not null,
        ClientCertificateForwarding.AlwaysForwardOnly => true,
        _ => false,
    };

    void WriteForwarding(ClientStream target)
    {
        if (options.IsEdge)
        {
            WriteForwardedFor(target);
            target.Field("x-forwarded-proto"u8, server.Downstream.IsSecure ? "https"u8 : "http"u8);
        }

        if (options.ClientCertificate is ClientCertificateForwarding.SanitizeSet or ClientCertificateForwarding.AppendForward
            && server.Downstream.Tls?.Peer is not null)
        {
            var own = ClientCertificateHeader.Of(server.Downstream, options);
            if (options.ClientCertificate == ClientCertificateForwarding.AppendForward)
            {
                WriteAppended(target, "x-forwarded-client-cert"u8, ","u8, own);
            }
            else
            {
                target.Field("x-forwarded-client-cert"u8, own);
            }
        }

        if (options.Via.Length > 0)
        {
            target.Field("via"u8, options.Via);
        }

        if (trace.IsValid)
        {
            trace.WriteHeaders(target, withB3: options.Tracing!.Protocol == SpanProtocol.Zipkin);
        }
    }

    void WriteForwardedFor(ClientStream target)
    {
        Span<byte> address = stackalloc byte[24];
        var length = options.AppendsForwardedFor ? server.Downstream.Peer.Format(address, false) : 0;
        WriteAppended(target, "x-forwarded-for"u8, ", "u8, address[..length]);
    }

    /// <summary>What the request has under this name, in however many lines, and then what is to be added.</summary>
    void WriteAppended(ClientStream target, ReadOnlySpan<byte> name, ReadOnlySpan<byte> separator, ReadOnlySpan<byte> own)
    {
        var most = own.Length;
        for (var i = 0; i < request.Headers.Count; i++)
        {
            most += IsNamed(request.Headers[i], name) ? request.Headers[i].Value.Length + separator.Length : 0;
        }

        if (most == own.Length)
        {
            if (most > 0)
            {
                target.Field(name, own);
            }

            return;
        }

        var rented = System.Buffers.ArrayPool<byte>.Shared.Rent(most);
        var length = 0;
        for (var i = 0; i < request.Headers.Count; i++)
        {
            if (IsNamed(request.Headers[i], name))
            {
                Append(rented, ref length, separator, request.Headers[i].Value.Of(bytes));
            }
        }

        Append(rented, ref length, separator, own);
        if (length > 0)
        {
            target.Field(name, rented.AsSpan(0, length));
        }

        System.Buffers.ArrayPool<byte>.Shared.Return(rented);
    }

    bool IsNamed(in Header header, ReadOnlySpan<byte> name) => header.Name.Length == name.Length && Ascii.EqualsLower(header.Name.Of(bytes), name);

    static void Append(byte[] target, ref int length, ReadOnlySpan<byte> separator, ReadOnlySpan<byte> value)
    {
        if (value.IsEmpty)
        {
            return;
        }

        if (length > 0)
        {
            separator.CopyTo(target.AsSpan(length));
            length += separator.Length;
        }

        value.CopyTo(target.AsSpan(length));
        length += value.Length;
    }
}
