using System.Buffers.Text;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using Google.Protobuf.WellKnownTypes;
using Weir.Proxy.Http1;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Telemetry;

/// <summary>A log line's format, with Envoy's command operators, compiled. An operator that is not known is an error.</summary>
sealed class AccessLogFormat
{
    public const string Default =
        "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% "
        + "%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" "
        + "\"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n";

    delegate void Operator(ref HeadWriter writer, ILogSubject subject);

    /// <param name="IsNumber">In JSON it stands without quotation marks.</param>
    sealed record Part(byte[] Literal, Operator? Write, bool IsNumber);

    readonly List<Part> parts = [];
    readonly List<byte[]> responseHeaders = [];
    readonly bool isJson;

    AccessLogFormat(bool isJson) => this.isJson = isJson;

    /// <summary>The address is asked of the kernel, so only where a line shows it.</summary>
    public bool UsesUpstreamLocalAddress { get; private set; }

    /// <summary>Headers of responses, in lower case, whose values must be kept until the line is written.</summary>
    public IReadOnlyList<byte[]> ResponseHeaders => responseHeaders;

    /// <exception cref="FormatException">An operator is not known or not closed.</exception>
    public static AccessLogFormat Text(string format)
    {
        var result = new AccessLogFormat(isJson: false);
        result.Compile(format, asJson: false);
        return result;
    }

    /// <summary>One JSON object a line.</summary>
    /// <exception cref="FormatException">As <see cref="Text"/>; the message names the field.</exception>
    public static AccessLogFormat Json(Struct fields)
    {
        var result = new AccessLogFormat(isJson: true);
        result.CompileJson(Value.ForStruct(fields), "");
        result.Literal("\n");
        return result;
    }

    void CompileJson(Value value, string path)
    {
        switch (value.KindCase)
        {
            case Value.KindOneofCase.StructValue:
                var first = true;
                Literal("{");
                foreach (var (name, field) in value.StructValue.Fields)
                {
                    Literal((first ? "" : ",") + Quoted(name) + ":");
                    first = false;
                    CompileJson(field, path.Length == 0 ? name : $"{path}.{name}");
                }

                Literal("}");
                break;
            case Value.KindOneofCase.ListValue:
                Literal("[");
                for (var i = 0; i < value.ListValue.Values.Count; i++)
                {
                    Literal(i == 0 ? "" : ",");
                    CompileJson(value.ListValue.Values[i], $"{path}[{i}]");
                }

                Literal("]");
                break;
            case Value.KindOneofCase.StringValue:
                try
                {
                    CompileJsonString(value.StringValue);
                }
                catch (FormatException e)
                {
                    throw new FormatException($"{path}: {e.Message}");
                }

                break;
            case Value.KindOneofCase.NumberValue:
                Literal(value.NumberValue.ToString(CultureInfo.InvariantCulture));
                break;
            case Value.KindOneofCase.BoolValue:
                Literal(value.BoolValue ? "true" : "false");
                break;
            default:
                Literal("null");
                break;
        }
    }

    void CompileJsonString(string format)
    {
        var before = parts.Count;
        Literal("\"");
        Compile(format, asJson: true);
        Literal("\"");

        // A single operator that gives a number is one in JSON, too.
        if (parts.Count == before + 3 && parts[before + 1] is { IsNumber: true } number)
        {
            parts.RemoveRange(before, 3);
            parts.Add(number);
        }
    }

    void Compile(string format, bool asJson)
    {
        var at = 0;
        while (at < format.Length)
        {
            var percent = format.IndexOf('%', at);
            if (percent != at)
            {
                var literal = percent < 0 ? format[at..] : format[at..percent];
                Literal(asJson ? Quoted(literal)[1..^1] : literal);
                at += literal.Length;
                continue;
            }

            if (at + 1 < format.Length && format[at + 1] == '%')
            {
                Literal("%");
                at += 2;
                continue;
            }

            at = CompileOperator(format, at + 1);
        }
    }

    /// <returns>Where the format goes on.</returns>
    int CompileOperator(string format, int at)
    {
        var start = at;
        while (at < format.Length && (char.IsAsciiLetterUpper(format[at]) || char.IsAsciiDigit(format[at]) || format[at] == '_'))
        {
            at++;
        }

        var name = format[start..at];
        var argument = "";
        if (at < format.Length && format[at] == '(')
        {
            var close = format.IndexOf(')', at);
            if (close < 0)
            {
                throw new FormatException($"%{name}( is not closed");
            }

            argument = format[(at + 1)..close];
            at = close + 1;
        }

        var limit = int.MaxValue;
        if (at < format.Length && format[at] == ':')
        {
            var digits = at + 1;
            while (digits < format.Length && char.IsAsciiDigit(format[digits]))
            {
                digits++;
            }

            if (!int.TryParse(format.AsSpan(at + 1, digits - at - 1), out limit))
            {
                throw new FormatException($"%{name}: the length after the colon is no number");
            }

            at = digits;
        }

        if (at >= format.Length || format[at] != '%')
        {
            throw new FormatException($"%{name} has no closing percent sign");
        }

        var (write, isNumber) = Find(name, argument);
        parts.Add(new Part([], limit == int.MaxValue ? write : Limited(write, limit), isNumber));
        return at + 1;
    }

    void Literal(string text)
    {
        if (text.Length > 0)
        {
            parts.Add(new Part(Encoding.UTF8.GetBytes(text), null, false));
        }
    }

    static string Quoted(string text)
    {
        var escaped = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping.Encode(text);
        return $"\"{escaped}\"";
    }

    /// <summary>The line, or as much of it as fits.</summary>
    public int Write(Span<byte> target, ILogSubject subject)
    {
        var writer = new HeadWriter(target);
        foreach (var part in parts)
        {
            if (part.Write is null)
            {
                writer.Write(part.Literal);
            }
            else if (!isJson)
            {
                part.Write(ref writer, subject);
            }
            else
            {
                WriteEscaped(ref writer, part, subject);
            }
        }

        return writer.IsFull ? 0 : writer.Length;
    }

    static void WriteEscaped(ref HeadWriter writer, Part part, ILogSubject subject)
    {
        Span<byte> scratch = stackalloc byte[2048];
        var value = new HeadWriter(scratch);
        part.Write!(ref value, subject);
        var text = scratch[..value.Length];
        if (part.IsNumber)
        {
            writer.Write(text.SequenceEqual("-"u8) ? "null"u8 : text);
            return;
        }

        foreach (var c in text)
        {
            switch (c)
            {
                case (byte)'"':
                    writer.Write("\\\""u8);
                    break;
                case (byte)'\\':
                    writer.Write("\\\\"u8);
                    break;
                case < 32 or >= 127:
                    // Bytes beyond ASCII are taken for Latin-1, so that the line is valid whatever a client sends.
                    writer.Write("\\u00"u8);
                    writer.Write([Hex(c >> 4), Hex(c & 15)]);
                    break;
                default:
                    writer.Write([c]);
                    break;
            }
        }
    }

    static byte Hex(int digit) => (byte)(digit < 10 ? '0' + digit : 'a' + digit - 10);

    static Operator Limited(Operator write, int limit) => (ref HeadWriter writer, ILogSubject subject) =>
    {
        Span<byte> scratch = stackalloc byte[2048];
        var value = new HeadWriter(scratch);
        write(ref value, subject);
        writer.Write(scratch[..Math.Min(value.Length, limit)]);
    };

    (Operator Write, bool IsNumber) Find(string name, string argument) => name switch
    {
        "START_TIME" => (StartTime(argument), false),
        "REQ" => (RequestHeader(argument), false),
        "RESP" => (ResponseHeader(argument), false),
        "PROTOCOL" => ((ref HeadWriter w, ILogSubject s) => OrDash(ref w, s.Facts.Protocol), false),
        "RESPONSE_CODE" => ((ref HeadWriter w, ILogSubject s) => w.Write(s.Facts.Status), true),
        "RESPONSE_CODE_DETAILS" => (OfText(s => s.Facts.Details), false),
        "RESPONSE_FLAGS" => ((ref HeadWriter w, ILogSubject s) => w.Write(ResponseFlags.NameOf(s.Facts.Flag)), false),
        "RESPONSE_FLAGS_LONG" => (OfText(s => ResponseFlags.LongNameOf(s.Facts.Flag)), false),
        "BYTES_RECEIVED" => ((ref HeadWriter w, ILogSubject s) => w.Write(s.Facts.BytesReceived), true),
        "BYTES_SENT" => ((ref HeadWriter w, ILogSubject s) => w.Write(s.Facts.BytesSent), true),
        "DURATION" => (Milliseconds(f => f.StartTicks, f => f.EndTicks), true),
        "REQUEST_DURATION" => (Milliseconds(f => f.StartTicks, f => f.RequestDoneTicks), true),
        "RESPONSE_DURATION" => (Milliseconds(f => f.StartTicks, f => f.ResponseStartTicks), true),
        "RESPONSE_TX_DURATION" => (Milliseconds(f => f.ResponseStartTicks, f => f.EndTicks), true),
        "UPSTREAM_HOST" or "UPSTREAM_REMOTE_ADDRESS" => (OfAddress(s => s.Facts.UpstreamAddress, true), false),
        "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => (OfAddress(s => s.Facts.UpstreamAddress, false), false),
        "UPSTREAM_LOCAL_ADDRESS" => (OfUpstreamLocalAddress(), false),
        "UPSTREAM_CLUSTER" or "UPSTREAM_CLUSTER_RAW" => ((ref HeadWriter w, ILogSubject s) => OrDash(ref w, s.Facts.Cluster), false),
        "UPSTREAM_TRANSPORT_FAILURE_REASON" => (OfText(s => s.Facts.TransportFailure), false),
        "UPSTREAM_REQUEST_ATTEMPT_COUNT" => ((ref HeadWriter w, ILogSubject s) => w.Write(s.Facts.Attempts), true),
        "DOWNSTREAM_REMOTE_ADDRESS" => (OfAddress(s => s.Downstream.Peer, true), false),
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => (OfAddress(s => s.Downstream.Peer, false), false),
        "DOWNSTREAM_REMOTE_PORT" => ((ref HeadWriter w, ILogSubject s) => w.Write(s.Downstream.Peer.Port), true),
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS" => (OfAddress(s => s.Downstream.Direct, true), false),
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT" => (OfAddress(s => s.Downstream.Direct, false), false),
        "DOWNSTREAM_LOCAL_ADDRESS" => (OfAddress(s => s.Downstream.Local, true), false),
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => (OfAddress(s => s.Downstream.Local, false), false),
        "DOWNSTREAM_LOCAL_PORT" => ((ref HeadWriter w, ILogSubject s) => w.Write(s.Downstream.Local.Port), true),
        "DOWNSTREAM_PEER_URI_SAN" => (OfText(s => string.Join(',', s.Downstream.Tls?.Peer?.Uris ?? [])), false),
        "DOWNSTREAM_PEER_DNS_SAN" => (OfText(s => string.Join(',', s.Downstream.Tls?.Peer?.DnsNames ?? [])), false),
        "DOWNSTREAM_PEER_SUBJECT" => (OfText(s => s.Downstream.Tls?.Peer?.Subject ?? ""), false),
        "DOWNSTREAM_PEER_FINGERPRINT_256" => (OfText(s => s.Downstream.Tls?.Peer?.Hash ?? ""), false),
        "DOWNSTREAM_TLS_VERSION" => (OfText(s => s.Downstream.Tls?.Version ?? ""), false),
        "DOWNSTREAM_TLS_CIPHER" => (OfText(s => s.Downstream.Tls?.Cipher ?? ""), false),
        "REQUESTED_SERVER_NAME" => (OfText(s => s.Downstream.ServerName), false),
        "ROUTE_NAME" => (OfText(s => s.Facts.Route), false),
        "CONNECTION_ID" => ((ref HeadWriter w, ILogSubject s) => w.Write((long)s.Downstream.Id), true),
        "TRACE_ID" => ((ref HeadWriter w, ILogSubject s) => OrDash(ref w, s.TraceId), false),
        "STREAM_ID" => ((ref HeadWriter w, ILogSubject s) => OrDash(ref w, s.RequestHeader("x-request-id"u8)), false),
        "HOSTNAME" => (OfText(Fixed(Environment.MachineName)), false),
        "ENVIRONMENT" => (OfText(Fixed(Environment.GetEnvironmentVariable(argument) ?? "")), false),

        // What other filters would have left behind; there are none that do.
        "DYNAMIC_METADATA" or "FILTER_STATE" or "CLUSTER_METADATA" or "UPSTREAM_METADATA" or "TRAILER" or "CONNECTION_TERMINATION_DETAILS"
            or "GRPC_STATUS" or "UPSTREAM_FILTER_STATE" => (OfText(_ => ""), false),
        _ => throw new FormatException($"%{name}% is not supported"),
    };

    static Func<ILogSubject, string> Fixed(string text) => _ => text;

    static Operator OfText(Func<ILogSubject, string> read) => (ref HeadWriter writer, ILogSubject subject) =>
    {
        var text = read(subject);
        if (string.IsNullOrEmpty(text))
        {
            writer.Write("-"u8);
            return;
        }

        Span<byte> bytes = stackalloc byte[Math.Min(text.Length, 1024)];
        writer.Write(bytes[..Encoding.Latin1.GetBytes(text.AsSpan(0, bytes.Length), bytes)]);
    };

    static Operator OfAddress(Func<ILogSubject, SocketAddressV4?> read, bool withPort) => (ref HeadWriter writer, ILogSubject subject) =>
    {
        if (read(subject) is not { } address)
        {
            writer.Write("-"u8);
            return;
        }

        Span<byte> text = stackalloc byte[24];
        writer.Write(text[..address.Format(text, withPort)]);
    };

    Operator OfUpstreamLocalAddress()
    {
        UsesUpstreamLocalAddress = true;
        return OfAddress(s => s.Facts.UpstreamLocalAddress, true);
    }

    static Operator Milliseconds(Func<LogFacts, long> from, Func<LogFacts, long> to) => (ref HeadWriter writer, ILogSubject subject) =>
    {
        long start = from(subject.Facts), end = to(subject.Facts);
        if (start == 0 || end == 0)
        {
            writer.Write("-"u8);
        }
        else
        {
            writer.Write((long)Stopwatch.GetElapsedTime(start, end).TotalMilliseconds);
        }
    };

    static Operator RequestHeader(string argument)
    {
        var (name, alternative) = Names(argument);
        return (ref HeadWriter writer, ILogSubject subject) =>
        {
            var value = subject.RequestHeader(name);
            OrDash(ref writer, value.IsEmpty && alternative.Length > 0 ? subject.RequestHeader(alternative) : value);
        };
    }

    Operator ResponseHeader(string argument)
    {
        var (name, alternative) = Names(argument);
        if (name.AsSpan().SequenceEqual("x-envoy-upstream-service-time"u8))
        {
            // What Envoy adds to answers as a header: how long the upstream took.
            return Milliseconds(f => f.RequestDoneTicks, f => f.ResponseStartTicks);
        }

        responseHeaders.Add(name);
        if (alternative.Length > 0)
        {
            responseHeaders.Add(alternative);
        }

        return (ref HeadWriter writer, ILogSubject subject) =>
        {
            var value = subject.ResponseHeader(name);
            OrDash(ref writer, value.IsEmpty && alternative.Length > 0 ? subject.ResponseHeader(alternative) : value);
        };
    }

    static (byte[] Name, byte[] Alternative) Names(string argument)
    {
        var names = argument.ToLowerInvariant().Split('?', 2);
        if (names[0].Length == 0)
        {
            throw new FormatException("a header operator needs the header's name in parentheses");
        }

        return (Encoding.ASCII.GetBytes(names[0]), names.Length > 1 ? Encoding.ASCII.GetBytes(names[1]) : []);
    }

    /// <summary>Milliseconds in UTC unless a format of strftime's is given, of which the usual specifiers are known.</summary>
    static Operator StartTime(string format)
    {
        var net = StrftimeFormat.ToNet(format);
        return (ref HeadWriter writer, ILogSubject subject) =>
        {
            Span<byte> text = stackalloc byte[64];
            if (format is "%s")
            {
                writer.Write(subject.Facts.StartedAt.ToUnixTimeSeconds());
            }
            else if (subject.Facts.StartedAt.UtcDateTime.TryFormat(text, out var written, net, CultureInfo.InvariantCulture))
            {
                writer.Write(text[..written]);
            }
        };
    }

    static void OrDash(ref HeadWriter writer, ReadOnlySpan<byte> value) => writer.Write(value.IsEmpty ? "-"u8 : value);
}

/// <summary>Formats of strftime as those of .NET.</summary>
static class StrftimeFormat
{
    public static string ToNet(string format)
    {
        if (format.Length == 0)
        {
            return "yyyy-MM-dd'T'HH:mm:ss.fff'Z'";
        }

        var result = new StringBuilder();
        for (var i = 0; i < format.Length; i++)
        {
            if (format[i] != '%' || i + 1 == format.Length)
            {
                result.Append('\\').Append(format[i]);
                continue;
            }

            var digits = char.IsAsciiDigit(format[i + 1]) && i + 2 < format.Length ? format[++i] - '0' : 9;
            result.Append(format[++i] switch
            {
                'Y' => "yyyy",
                'm' => "MM",
                'd' => "dd",
                'H' => "HH",
                'M' => "mm",
                'S' => "ss",
                'F' => "yyyy-MM-dd",
                'T' => "HH:mm:ss",
                'b' => "MMM",
                'f' => new string('f', Math.Min(digits, 7)),
                'Z' => "'UTC'",
                'z' => "'+0000'",
                's' => "",
                '%' => "'%'",
                var other => throw new FormatException($"START_TIME: %{other} is not supported"),
            });
        }

        return result.ToString();
    }
}
