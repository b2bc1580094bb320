using System.Diagnostics;
using System.Text;
using Weir.Proxy.Http;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Tracing;

namespace Weir.Proxy.Exchanges;

/// <summary>What is kept of an exchange: counters, log lines, a span. Reused with its exchange.</summary>
sealed class ExchangeRecord(ExchangeServices services) : ILogSubject
{
    public LogFacts Facts;
    public TraceContext Trace;
    ServerStream server = null!;
    HttpOptions options = null!;

    /// <summary>Headers of the answer that log lines ask for, by name: the buffer they came in is used again.</summary>
    Dictionary<byte[], byte[]>? captured;
    byte[]? traceText;

    /// <summary>The loop's turn in which the upstream's answer began.</summary>
    long responseTurn;

    ref readonly LogFacts ILogSubject.Facts => ref Facts;

    Downstream ILogSubject.Downstream => server.Downstream;

    ReadOnlySpan<byte> ILogSubject.TraceId => Trace.IsValid ? (traceText ??= new byte[32]).AsSpan(0, Trace.FormatTraceId(traceText)) : default;

    public void Begin(ServerStream stream, HttpOptions settings)
    {
        (server, options) = (stream, settings);
        Facts = LogFacts.Begin(options.AccessLogs.Length > 0 || options.Tracing is not null ? services.Loop.Time.GetUtcNow() : default);
        Trace = default;
        responseTurn = -1;
        captured?.Clear();
    }

    ReadOnlySpan<byte> ILogSubject.RequestHeader(ReadOnlySpan<byte> name)
    {
        var request = server.Request;
        ReadOnlySpan<byte> head = server.RequestBytes;
        if (name[0] != ':')
        {
            return request.Headers.TryGet(head, name, out var value) ? value.Of(head) : default;
        }

        return name.SequenceEqual(":method"u8) ? request.Method.Of(head)
            : name.SequenceEqual(":path"u8) ? request.Method.Length > 0 && request.Target.Length == 0 ? "/"u8 : request.Target.Of(head)
            : name.SequenceEqual(":authority"u8) ? request.Authority.Of(head)
            : name.SequenceEqual(":scheme"u8) ? server.Downstream.IsSecure ? "https"u8 : "http"u8
            : default;
    }

    ReadOnlySpan<byte> ILogSubject.ResponseHeader(ReadOnlySpan<byte> name)
    {
        if (captured is not null)
        {
            foreach (var (known, value) in captured)
            {
                if (name.SequenceEqual(known))
                {
                    return value;
                }
            }
        }

        return default;
    }

    /// <summary>Takes part in the client's trace, or begins one.</summary>
    public void BeginTrace()
    {
        if (options.Tracing is not { } tracing)
        {
            return;
        }

        var (balancer, ids) = (services.Upstreams.Balancer, services.RequestIds);
        Trace = TraceContext.Read(server.Request, server.RequestBytes);
        if (!Trace.HasDecision)
        {
            Trace.IsSampled = balancer.Next(1_000_000) < tracing.RandomShare;
        }

        if (!Trace.IsValid)
        {
            Trace.TraceHigh = ids.NextNumber();
            Trace.TraceLow = ids.NextNumber() | 1;
        }

        Trace.IsSampled &= balancer.Next(1_000_000) < tracing.OverallShare;
        Trace.SpanId = ids.NextNumber() | 1;
    }

    /// <summary>Keeps what will be asked of the answer's head.</summary>
    public void OnResponse(MessageHead response, ClientStream upstream)
    {
        Facts.ResponseStartTicks = Stopwatch.GetTimestamp();
        Facts.Details = "via_upstream";
        responseTurn = services.Loop.Turn;
        var bytes = upstream.HeadBytes;
        if (response.Body == BodyKind.None && response.Headers.TryGet(bytes, "grpc-status"u8, out var grpc))
        {
            // Trailers-only: the head is all there is.
            Facts.GrpcStatus = GrpcStatuses.Parse(grpc.Of(bytes));
        }

        foreach (var log in options.AccessLogs)
        {
            foreach (var name in log.Format.ResponseHeaders)
            {
                if (response.Headers.TryGet(bytes, name, out var value))
                {
                    (captured ??= [])[name] = value.Of(bytes).ToArray();
                }
            }

            if (log.Format.UsesUpstreamLocalAddress)
            {
                Facts.UpstreamLocalAddress = upstream.LocalAddress;
            }
        }
    }

    /// <summary>The proxy answers by itself.</summary>
    public void OnReply(int? grpcStatus, int length)
    {
        Facts.GrpcStatus = grpcStatus;
        Facts.BytesSent = length;
        Facts.ResponseStartTicks = Stopwatch.GetTimestamp();
    }

    public void OnTrailers(FieldBlock? trailers)
    {
        if (trailers is not null && trailers.TryGet("grpc-status"u8, out var grpc))
        {
            Facts.GrpcStatus = GrpcStatuses.Parse(grpc);
        }
    }

    /// <param name="cluster">That it was for; null where that was not decided.</param>
    /// <param name="endpoint">Of the last attempt.</param>
    /// <param name="status">As the client was told; 0 for no answer.</param>
    public void Write(Cluster? cluster, Endpoint? endpoint, int status, ResponseFlag flag)
    {
        if (options.IsOwn)
        {
            return;
        }

        // Over in the turn in which its answer began: the clock need not be asked again.
        var loop = services.Loop;
        Facts.EndTicks = responseTurn == loop.Turn ? Facts.ResponseStartTicks : Stopwatch.GetTimestamp();
        Facts.Status = status;
        Facts.Flag = flag;
        if (((Facts.Attempts > 0 ? endpoint?.Scope : null) ?? cluster?.Scope) is { } scope)
        {
            if (scope.Labels.Reporter == "destination" && server.Downstream.Principal.Length > 0)
            {
                scope = ScopeOfPeer(scope, server.Downstream);
            }

            scope.Get(loop.Index, status, flag, Facts.GrpcStatus).Record(
                Stopwatch.GetElapsedTime(Facts.StartTicks, Facts.EndTicks).TotalMilliseconds, Facts.BytesReceived, Facts.BytesSent);
        }

        if (options.AccessLogs.Length > 0)
        {
            Facts.Protocol = server.Protocol;
            foreach (var log in options.AccessLogs)
            {
                log.Write(loop, this);
            }
        }

        if (Trace.IsSampled)
        {
            EndTrace(options.Tracing!);
        }
    }

    /// <summary>The counters of requests with this client's proven identity.</summary>
    StatsScope ScopeOfPeer(StatsScope scope, Downstream downstream)
    {
        if (downstream.Scope.Key != scope)
        {
            downstream.Scope = new(scope, services.Stats.Get(
                scope.Labels with { SourcePrincipal = downstream.Principal, DestinationPrincipal = downstream.Tls!.LocalPrincipal, IsMutualTls = true }));
        }

        return downstream.Scope.Value;
    }

    void EndTrace(TracingOptions tracing)
    {
        var request = server.Request;
        ReadOnlySpan<byte> head = server.RequestBytes;
        var path = request.Target.Length == 0 ? "/" : Encoding.Latin1.GetString(request.Target.Of(head));
        var authority = Encoding.Latin1.GetString(request.Authority.Of(head));
        var culture = System.Globalization.CultureInfo.InvariantCulture;
        var tags = new List<KeyValuePair<string, string>>
        {
            new("component", "proxy"),
            new("http.method", Encoding.Latin1.GetString(request.Method.Of(head))),
            new("http.url", $"{(server.Downstream.IsSecure ? "https" : "http")}://{authority}{(path.Length > tracing.MaximumPathLength ? path[..tracing.MaximumPathLength] : path)}"),
            new("http.protocol", Encoding.ASCII.GetString(server.Protocol)),
            new("http.status_code", Facts.Status.ToString(culture)),
            new("response_flags", Encoding.ASCII.GetString(ResponseFlags.NameOf(Facts.Flag))),
            new("upstream_cluster", Facts.Cluster.Length > 0 ? Encoding.UTF8.GetString(Facts.Cluster) : "-"),
            new("request_size", Facts.BytesReceived.ToString(culture)),
            new("response_size", Facts.BytesSent.ToString(culture)),
        };
        foreach (var tag in tracing.Tags)
        {
            var value = tag.Header.Length > 0 && request.Headers.TryGet(head, tag.Header, out var found) ? Encoding.Latin1.GetString(found.Of(head)) : tag.Value;
            if (value.Length > 0)
            {
                tags.Add(new(tag.Name, value));
            }
        }

        if (Facts.GrpcStatus is { } grpc)
        {
            tags.Add(new("grpc.status_code", grpc.ToString(culture)));
            tags.Add(new("rpc.grpc.status_code", grpc.ToString(culture)));
        }

        var start = (Facts.StartedAt - DateTimeOffset.UnixEpoch).Ticks * 100;
        var duration = (long)(Stopwatch.GetElapsedTime(Facts.StartTicks, Facts.EndTicks).TotalMilliseconds * 1e6);
        services.ExporterFor(tracing).Add(new Span(Trace, options.IsInbound, authority, start, start + duration, Facts.Status is 0 or >= 500 || GrpcStatuses.IsServerError(Facts.GrpcStatus), tags));
    }
}
