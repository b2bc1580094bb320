using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using Google.Protobuf.WellKnownTypes;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Telemetry;

/// <summary>
/// A log line's format, with Envoy's command operators, compiled. An operator that is not known is an error. Every subject gets a line:
/// a value that is too long is cut and says so (<see cref="LogLine.Mark"/>).
/// </summary>
sealed class AccessLogFormat
{
    /// <summary>Bytes of a line at most.</summary>
    public const int MaximumLine = 32 * 1024;

    /// <summary>Bytes of a value at most, with its escapes; less when many long values share a line.</summary>
    public const int MaximumValue = 8 * 1024;

    /// <summary>What is kept for each value however long those before it are: enough for every number, address and time.</summary>
    const int MinimumValue = 128;

    public const string Default =
        "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% "
        + "%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" "
        + "\"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n";

    /// <param name="Operator">Null for fixed text.</param>
    readonly record struct Part(byte[] Literal, LogOperator? Operator, int Limit);

    readonly List<Part> parts = [];
    readonly bool isJson;
    int reserved;

    AccessLogFormat(bool isJson) => this.isJson = isJson;

    public bool UsesUpstreamLocalAddress { get; private set; }

    /// <summary>Headers of responses, in lower case, whose values must be kept until the line is written.</summary>
    public IReadOnlyList<byte[]> ResponseHeaders { get; private set; } = [];

    /// <exception cref="FormatException">An operator is not known or not closed, or the format is too long.</exception>
    public static AccessLogFormat Text(string format)
    {
        var result = new AccessLogFormat(isJson: false);
        result.Compile(format);
        return result.Close();
    }

    /// <summary>One JSON object a line.</summary>
    /// <exception cref="FormatException">As <see cref="Text"/>; the message names the field.</exception>
    public static AccessLogFormat Json(Struct fields)
    {
        var result = new AccessLogFormat(isJson: true);
        result.CompileJson(Value.ForStruct(fields), "");
        result.Literal("\n");
        return result.Close();
    }

    /// <summary>The line. It always fits.</summary>
    /// <param name="target">Of <see cref="MaximumLine"/> at least.</param>
    public int Write(Span<byte> target, ILogSubject subject)
    {
        var line = new LogLine(target, isJson);
        var left = reserved;
        foreach (var part in parts)
        {
            if (part.Operator is not { } value)
            {
                line.Literal(part.Literal);
                left -= part.Literal.Length;
                continue;
            }

            left -= MinimumValue;
            line.BeginValue(Math.Min(MaximumValue, MaximumLine - line.Length - left), part.Limit, value.IsNumber);
            value.Write(ref line, subject);
        }

        return line.Length;
    }

    void CompileJson(Value value, string path)
    {
        switch (value.KindCase)
        {
            case Value.KindOneofCase.StructValue:
                var before = "{";
                foreach (var (name, field) in value.StructValue.Fields)
                {
                    Literal($"{before}\"{Escaped(name)}\":");
                    before = ",";
                    CompileJson(field, path.Length == 0 ? name : $"{path}.{name}");
                }

                Literal(before == "{" ? "{}" : "}");
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
        Compile(format);
        Literal("\"");

        // A single operator that gives a number is one in JSON, too. In a longer text its absence is a dash.
        if (parts.Count == before + 3 && parts[before + 1].Operator is { IsNumber: true })
        {
            parts.RemoveAt(before + 2);
            parts.RemoveAt(before);
            return;
        }

        for (var i = before; i < parts.Count; i++)
        {
            parts[i] = parts[i] with { Operator = parts[i].Operator is { } known ? known with { IsNumber = false } : null };
        }
    }

    void Compile(string format)
    {
        foreach (var piece in CommandFormat.Parse(format))
        {
            if (piece.Name.Length == 0)
            {
                Literal(isJson ? Escaped(piece.Text) : piece.Text);
                continue;
            }

            var found = LogOperators.Find(piece.Name, piece.Argument);
            parts.Add(new Part([], found, piece.Limit));
            UsesUpstreamLocalAddress |= found.UsesUpstreamLocalAddress;
            ResponseHeaders = [.. ResponseHeaders, .. found.ResponseHeaders ?? []];
        }
    }

    AccessLogFormat Close()
    {
        reserved = parts.Sum(p => p.Operator is null ? p.Literal.Length : MinimumValue);
        return reserved <= MaximumLine ? this : throw new FormatException($"the format is too long: a line has at most {MaximumLine} bytes");
    }

    void Literal(string text)
    {
        if (text.Length > 0)
        {
            parts.Add(new Part(Encoding.UTF8.GetBytes(text), null, 0));
        }
    }

    static string Escaped(string text) => JavaScriptEncoder.UnsafeRelaxedJsonEscaping.Encode(text);
}
