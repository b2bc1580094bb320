using System.Diagnostics;
using System.Text;
using Weir.Proxy.Http1;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Tracing;

namespace Weir.Proxy.Listeners;

/// <summary>What is kept of a request: counters, log lines, a span.</summary>
sealed partial class HttpExchange
{
    static readonly byte[] Http10 = "HTTP/1.0"u8.ToArray();
    static readonly byte[] Http11 = "HTTP/1.1"u8.ToArray();

    /// <summary>Headers of the answer that log lines ask for, by name: the buffer they came in is used again.</summary>
    Dictionary<byte[], byte[]>? captured;
    byte[]? traceText;

    ref readonly LogFacts ILogSubject.Facts => ref facts;

    Downstream ILogSubject.Downstream => connection.Downstream;

    ReadOnlySpan<byte> ILogSubject.TraceId => trace.IsValid ? (traceText ??= new byte[32]).AsSpan(0, trace.FormatTraceId(traceText)) : default;

    ReadOnlySpan<byte> ILogSubject.RequestHeader(ReadOnlySpan<byte> name)
    {
        ReadOnlySpan<byte> head = Head;
        if (name[0] != ':')
        {
            return request.Headers.TryGet(head, name, out var value) ? value.Of(head) : default;
        }

        return name.SequenceEqual(":method"u8) ? request.Method.Of(head)
            : name.SequenceEqual(":path"u8) ? request.Method.Length > 0 && request.Target.Length == 0 ? "/"u8 : request.Target.Of(head)
            : name.SequenceEqual(":authority"u8) ? request.Authority.Of(head)
            : name.SequenceEqual(":scheme"u8) ? connection.Downstream.IsSecure ? "https"u8 : "http"u8
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

    void CaptureResponseHeaders()
    {
        foreach (var log in options.AccessLogs)
        {
            foreach (var name in log.Format.ResponseHeaders)
            {
                ReadOnlySpan<byte> bytes = upstream!.Buffer.AsSpan(upstream.Start);
                if (response.Headers.TryGet(bytes, name, out var value))
                {
                    (captured ??= [])[name] = value.Of(bytes).ToArray();
                }
            }

            if (log.Format.UsesUpstreamLocalAddress)
            {
                facts.UpstreamLocalAddress = upstream!.Socket.LocalAddress;
            }
        }
    }

    void Record(int status, ResponseFlag flag)
    {
        if (options.Pages != Pages.None)
        {
            return;
        }

        if (facts.EndTicks == 0)
        {
            facts.EndTicks = Stopwatch.GetTimestamp();
        }

        facts.Status = status;
        facts.Flag = flag;
        if ((endpoint?.Scope ?? cluster?.Scope) is { } scope)
        {
            if (scope.Labels.Reporter == "destination" && connection.Downstream.Principal.Length > 0)
            {
                scope = connection.ScopeFor(scope);
            }

            scope.Get(loop.Index, status, flag).Record(
                Stopwatch.GetElapsedTime(facts.StartTicks, facts.EndTicks).TotalMilliseconds, facts.BytesReceived, facts.BytesSent);
        }

        if (options.AccessLogs.Length > 0)
        {
            facts.Protocol = request.IsHttp10 ? Http10 : request.Method.Length > 0 ? Http11 : [];
            foreach (var log in options.AccessLogs)
            {
                log.Write(loop, this);
            }
        }

        if (trace.IsSampled)
        {
            EndTrace(options.Tracing!);
        }
    }

    /// <summary>Takes part in the client's trace, or begins one.</summary>
    void BeginTrace(TracingOptions tracing)
    {
        trace = TraceContext.Read(request, Head);
        if (!trace.HasDecision)
        {
            trace.IsSampled = worker.Balancer.Next(1_000_000) < tracing.RandomShare;
        }

        if (!trace.IsValid)
        {
            trace.TraceHigh = worker.RequestIds.NextNumber();
            trace.TraceLow = worker.RequestIds.NextNumber() | 1;
        }

        trace.IsSampled &= worker.Balancer.Next(1_000_000) < tracing.OverallShare;
        trace.SpanId = worker.RequestIds.NextNumber() | 1;
    }

    void EndTrace(TracingOptions tracing)
    {
        ReadOnlySpan<byte> head = Head;
        var path = request.Target.Length == 0 ? "/" : Text(request.Target);
        var authority = Text(request.Authority);
        var tags = new List<KeyValuePair<string, string>>
        {
            new("component", "proxy"),
            new("http.method", Text(request.Method)),
            new("http.url", $"{(connection.Downstream.IsSecure ? "https" : "http")}://{authority}{(path.Length > tracing.MaximumPathLength ? path[..tracing.MaximumPathLength] : path)}"),
            new("http.protocol", Encoding.ASCII.GetString(request.IsHttp10 ? Http10 : Http11)),
            new("http.status_code", facts.Status.ToString(System.Globalization.CultureInfo.InvariantCulture)),
            new("response_flags", Encoding.ASCII.GetString(ResponseFlags.NameOf(facts.Flag))),
            new("upstream_cluster", cluster?.Name ?? "-"),
            new("request_size", facts.BytesReceived.ToString(System.Globalization.CultureInfo.InvariantCulture)),
            new("response_size", facts.BytesSent.ToString(System.Globalization.CultureInfo.InvariantCulture)),
        };
        foreach (var tag in tracing.Tags)
        {
            var value = tag.Header.Length > 0 && request.Headers.TryGet(head, tag.Header, out var found) ? Text(found) : tag.Value;
            if (value.Length > 0)
            {
                tags.Add(new(tag.Name, value));
            }
        }

        var start = (facts.StartedAt - DateTimeOffset.UnixEpoch).Ticks * 100;
        var duration = (long)(Stopwatch.GetElapsedTime(facts.StartTicks, facts.EndTicks).TotalMilliseconds * 1e6);
        worker.ExporterFor(tracing).Add(new Span(trace, connection.Chain.IsInbound, authority, start, start + duration, facts.Status is 0 or >= 500, tags));
    }
}
