using Weir.Proxy.Http1;
using Weir.Proxy.Tracing;

namespace Weir.Proxy.Listeners;

/// <summary>What an upstream is sent for the request's head: the client's lines, those of the routing rules, and the proxy's own.</summary>
sealed partial class HttpExchange
{
    /// <returns>The length, or -1 if it does not fit.</returns>
    int WriteRequestHead(byte[] output)
    {
        ReadOnlySpan<byte> head = Head;
        var writer = new HeadWriter(output);
        writer.Write(request.Method.Of(head));
        writer.Write(" "u8);
        if (request.IsConnect)
        {
            writer.Write(request.Authority.Of(head));
        }
        else
        {
            WriteTarget(ref writer, head);
        }

        writer.Write(" HTTP/1.1\r\nhost: "u8);
        writer.Write(route!.HostRewrite.Length > 0 ? route.HostRewrite : request.Authority.Of(head));
        writer.Write("\r\n"u8);
        var hasRequestId = !options.GeneratesRequestId;
        for (var i = 0; i < request.Headers.Count; i++)
        {
            ref readonly var header = ref request.Headers[i];
            if (header.Known is not KnownHeader.Other)
            {
                continue;
            }

            var name = header.Name.Of(head);
            if (route.Rules.RemovesFromRequest(name) || target!.Rules.RemovesFromRequest(name) || (name.Length is >= 2 and <= 23 && IsReplaced(name)))
            {
                continue;
            }

            hasRequestId |= name.Length == 12 && Ascii.EqualsLower(name, "x-request-id"u8);
            writer.WriteHeader(name, header.Value.Of(head));
        }

        if (request.Body == BodyKind.Chunked)
        {
            writer.Write("transfer-encoding: chunked\r\n"u8);
        }
        else if (request.ContentLength >= 0)
        {
            writer.Write("content-length: "u8);
            writer.Write(request.ContentLength);
            writer.Write("\r\n"u8);
        }

        if (hasUpgrade && !request.IsConnect)
        {
            writer.Write("connection: upgrade\r\n"u8);
            writer.WriteHeader("upgrade"u8, request.Upgrade.Of(head));
        }

        WriteForwarding(ref writer, head);
        if (!hasRequestId)
        {
            Span<byte> id = stackalloc byte[36];
            worker.RequestIds.Next(id);
            writer.WriteHeader("x-request-id"u8, id);
        }

        route.Rules.WriteRequest(ref writer);
        target!.Rules.WriteRequest(ref writer);
        writer.Write("\r\n"u8);
        return writer.IsFull ? -1 : writer.Length;
    }

    /// <summary>Headers that say who the client is, how it was reached and traced: they are the proxy's to write.</summary>
    bool IsReplaced(ReadOnlySpan<byte> name)
    {
        if ((name[0] | 0x20) is (byte)'x')
        {
            switch (name.Length)
            {
                case 15 when options.IsEdge && Ascii.EqualsLower(name, "x-forwarded-for"u8):
                case 17 when options.IsEdge && Ascii.EqualsLower(name, "x-forwarded-proto"u8):
                    return true;
                case 23 when Ascii.EqualsLower(name, "x-forwarded-client-cert"u8):
                    return !KeepsClientCertificate;
            }
        }

        return options.Tracing is not null && TraceContext.IsTraceHeader(name);
    }

    /// <summary>What a client says of another's certificate is believed only of a client that has shown its own.</summary>
    bool KeepsClientCertificate => options.ClientCertificate switch
    {
        ClientCertificateForwarding.ForwardOnly => connection.Downstream.Tls?.Peer is not null,
        ClientCertificateForwarding.AlwaysForwardOnly => true,
        _ => false,
    };

    void WriteForwarding(ref HeadWriter writer, ReadOnlySpan<byte> head)
    {
        if (options.IsEdge)
        {
            Span<byte> address = stackalloc byte[24];
            var length = connection.Downstream.Peer.Format(address, false);
            writer.Write("x-forwarded-for: "u8);
            if (options.TrustedHops > 0 && request.Headers.TryGet(head, "x-forwarded-for"u8, out var before))
            {
                writer.Write(before.Of(head));
                writer.Write(options.AppendsForwardedFor ? ", "u8 : ""u8);
                length = options.AppendsForwardedFor ? length : 0;
            }

            writer.Write(address[..length]);
            writer.Write(connection.Downstream.IsSecure ? "\r\nx-forwarded-proto: https\r\n"u8 : "\r\nx-forwarded-proto: http\r\n"u8);
        }

        if (options.ClientCertificate is ClientCertificateForwarding.SanitizeSet or ClientCertificateForwarding.AppendForward
            && connection.Downstream.Tls?.Peer is not null)
        {
            WriteClientCertificate(ref writer, head);
        }

        if (options.Via.Length > 0)
        {
            writer.Write("via: 1.1 "u8);
            writer.Write(options.Via);
            writer.Write("\r\n"u8);
        }

        if (trace.IsValid)
        {
            trace.WriteHeaders(ref writer, withB3: options.Tracing!.Protocol == SpanProtocol.Zipkin);
        }
    }

    void WriteClientCertificate(ref HeadWriter writer, ReadOnlySpan<byte> head)
    {
        writer.Write("x-forwarded-client-cert: "u8);
        if (options.ClientCertificate == ClientCertificateForwarding.AppendForward && request.Headers.TryGet(head, "x-forwarded-client-cert"u8, out var before))
        {
            writer.Write(before.Of(head));
            writer.Write(","u8);
        }

        writer.Write(ClientCertificateHeader.Of(connection.Downstream, options));
        writer.Write("\r\n"u8);
    }

    void WriteTarget(ref HeadWriter writer, ReadOnlySpan<byte> head)
    {
        var original = request.Target.Length == 0 ? "/"u8 : request.Target.Of(head);
        if (original[0] == '?')
        {
            writer.Write("/"u8);
        }

        if (route!.PrefixRewrite.Length == 0 || original.Length < route.PathLength)
        {
            writer.Write(original);
            return;
        }

        writer.Write(route.PrefixRewrite);
        writer.Write(original[route.PathLength..]);
    }
}
