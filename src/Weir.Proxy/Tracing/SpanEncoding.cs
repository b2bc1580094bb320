using System.Buffers;
using System.Buffers.Binary;
using System.Globalization;
using System.Text.Json;
using Google.Protobuf;
using OpenTelemetry.Proto;

namespace Weir.Proxy.Tracing;

/// <summary>Spans as collectors read them. Pure.</summary>
static class SpanEncoding
{
    public static (string ContentType, byte[] Body) Encode(TracingOptions options, IReadOnlyList<Span> spans) =>
        options.Protocol == SpanProtocol.Otlp ? ("application/x-protobuf", Otlp(options, spans)) : ("application/json", Zipkin(options, spans));

    static byte[] Otlp(TracingOptions options, IReadOnlyList<Span> spans)
    {
        var scope = new ScopeSpans { Scope = new InstrumentationScope { Name = "weir-proxy" } };
        foreach (var span in spans)
        {
            var message = new SpanMessage
            {
                TraceId = Id(span.Context.TraceHigh, span.Context.TraceLow),
                SpanId = Id(span.Context.SpanId),
                ParentSpanId = span.Context.ParentId == 0 ? ByteString.Empty : Id(span.Context.ParentId),
                Name = span.Name,
                Kind = span.IsServer ? SpanMessage.Types.SpanKind.Server : SpanMessage.Types.SpanKind.Client,
                StartTimeUnixNano = (ulong)span.StartNanoseconds,
                EndTimeUnixNano = (ulong)span.EndNanoseconds,
                Status = span.IsError ? new SpanStatus { Code = SpanStatus.Types.StatusCode.Error } : null,
            };
            message.Attributes.Add(span.Tags.Select(t => Attribute(t.Key, t.Value)));
            scope.Spans.Add(message);
        }

        var resource = new ResourceSpans { Resource = new ResourceAttributes() };
        resource.Resource.Attributes.Add(Attribute("service.name", options.ServiceName));
        resource.ScopeSpans.Add(scope);
        var request = new ExportTraceServiceRequest();
        request.ResourceSpans.Add(resource);
        return request.ToByteArray();
    }

    static KeyValue Attribute(string key, string value) => new() { Key = key, Value = new AnyValue { StringValue = value } };

    static ByteString Id(params ReadOnlySpan<ulong> parts)
    {
        Span<byte> bytes = stackalloc byte[parts.Length * 8];
        for (var i = 0; i < parts.Length; i++)
        {
            BinaryPrimitives.WriteUInt64BigEndian(bytes[(i * 8)..], parts[i]);
        }

        return ByteString.CopyFrom(bytes);
    }

    static byte[] Zipkin(TracingOptions options, IReadOnlyList<Span> spans)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartArray();
            foreach (var span in spans)
            {
                json.WriteStartObject();
                json.WriteString("traceId", Hex(span.Context.TraceHigh) + Hex(span.Context.TraceLow));
                json.WriteString("id", Hex(span.Context.SpanId));
                if (span.Context.ParentId != 0)
                {
                    json.WriteString("parentId", Hex(span.Context.ParentId));
                }

                json.WriteString("name", span.Name);
                json.WriteString("kind", span.IsServer ? "SERVER" : "CLIENT");
                json.WriteNumber("timestamp", span.StartNanoseconds / 1000);
                json.WriteNumber("duration", Math.Max((span.EndNanoseconds - span.StartNanoseconds) / 1000, 1));
                json.WriteStartObject("localEndpoint");
                json.WriteString("serviceName", options.ServiceName);
                json.WriteEndObject();
                json.WriteStartObject("tags");
                foreach (var (key, value) in span.Tags)
                {
                    json.WriteString(key, value);
                }

                if (span.IsError)
                {
                    json.WriteString("error", "true");
                }

                json.WriteEndObject();
                json.WriteEndObject();
            }

            json.WriteEndArray();
        }

        return buffer.WrittenSpan.ToArray();
    }

    static string Hex(ulong value) => value.ToString("x16", CultureInfo.InvariantCulture);
}
