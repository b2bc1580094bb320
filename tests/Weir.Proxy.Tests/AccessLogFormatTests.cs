using System.Text;
using System.Text.Json.Nodes;
using Google.Protobuf.WellKnownTypes;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Tls;

namespace Weir.Proxy.Tests;

public class AccessLogFormatTests
{
    const string Cut = "...(cut)";

    sealed class Subject : ILogSubject
    {
        LogFacts facts = LogFacts.Begin(DateTimeOffset.UnixEpoch);

        public Dictionary<string, byte[]> Headers { get; } = [];

        public ref LogFacts Changeable => ref facts;

        public ref readonly LogFacts Facts => ref facts;

        public Downstream Downstream { get; set; } = new(1, SocketAddressV4.Parse("127.0.0.1", 1), SocketAddressV4.Parse("127.0.0.1", 2), SocketAddressV4.Parse("127.0.0.1", 3), "", null);

        public ReadOnlySpan<byte> RequestHeader(ReadOnlySpan<byte> name)
        {
            foreach (var (known, value) in Headers)
            {
                if (Ascii.Equals(known, name))
                {
                    return value;
                }
            }

            return default;
        }

        public ReadOnlySpan<byte> ResponseHeader(ReadOnlySpan<byte> name) => default;

        public ReadOnlySpan<byte> TraceId => default;
    }

    static string Write(AccessLogFormat format, ILogSubject subject)
    {
        var target = new byte[AccessLogFormat.MaximumLine];
        return new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(target, 0, format.Write(target, subject));
    }

    static AccessLogFormat Json(params (string Name, string Format)[] fields)
    {
        var message = new Struct();
        foreach (var (name, format) in fields)
        {
            message.Fields[name] = Value.ForString(format);
        }

        return AccessLogFormat.Json(message);
    }

    [Fact]
    public void A_long_line_is_cut_where_it_is_long_and_never_missing()
    {
        var subject = new Subject { Headers = { ["x-a"] = Encoding.ASCII.GetBytes(new string('a', 60_000)) } };
        var format = AccessLogFormat.Text(string.Concat(Enumerable.Repeat("%REQ(X-A)% ", 20)) + "%RESPONSE_CODE%\n");
        subject.Changeable.Status = 200;

        var line = Write(format, subject);

        var values = line.Split(' ');
        Assert.Equal(21, values.Length);
        Assert.Equal("200\n", values[^1]);
        Assert.All(values[..^1], v => Assert.EndsWith(Cut, v));
        Assert.Equal(AccessLogFormat.MaximumValue, values[0].Length);
        Assert.InRange(line.Length, AccessLogFormat.MaximumLine - 200, AccessLogFormat.MaximumLine);
    }

    [Fact]
    public void A_long_value_in_json_is_cut_and_not_empty()
    {
        var subject = new Subject { Headers = { ["x-a"] = Encoding.ASCII.GetBytes(new string('a', 5000)), ["x-b"] = Encoding.ASCII.GetBytes(new string('"', 50_000)) } };

        var line = JsonNode.Parse(Write(Json(("a", "%REQ(X-A)%"), ("b", "%REQ(X-B)%")), subject))!;

        Assert.Equal(new string('a', 5000), (string)line["a"]!);
        Assert.Matches("^\"{4090,4096}\\.\\.\\.\\(cut\\)$", (string)line["b"]!);
    }

    /// <summary>Whatever bytes, in whatever length: the line is JSON, each value is that of the client or its beginning.</summary>
    [Fact]
    public void Every_line_is_json()
    {
        for (var seed = 0; seed < 500; seed++)
        {
            var random = new Random(seed);
            var value = new byte[random.Next(1, seed % 2 == 0 ? 40 : 20_000)];
            random.NextBytes(value);
            if (random.Next(3) == 0)
            {
                value = Encoding.UTF8.GetBytes(string.Concat(value.Select(b => (char)(b < 200 ? b : b * 50))));
            }

            IsJson(value, random.Next(1, 300), seed);
        }
    }

    static void IsJson(byte[] value, int limit, int seed)
    {
        var subject = new Subject { Headers = { ["x-a"] = value } };
        var format = Json(("a", "%REQ(X-A)%"), ("b", $"<%REQ(X-A):{limit}%>"), ("c", "%REQ(X-A)%"), ("d", "%REQ(X-A)%"), ("e", "%REQ(X-A)%%REQ(X-A)%"), ("f", "%RESPONSE_CODE%"));

        var line = JsonNode.Parse(Write(format, subject))!;

        Assert.Equal(0, (int)line["f"]!);
        Assert.True(((string)line["b"]!).Length <= limit + 2, $"seed {seed}");
        var text = (string)line["a"]!;
        Assert.True(text.EndsWith(Cut, StringComparison.Ordinal) || text.Length == Expected(value).Length);
        Assert.StartsWith(text.EndsWith(Cut, StringComparison.Ordinal) ? text[..^Cut.Length] : text, Expected(value), StringComparison.Ordinal);
    }

    /// <summary>UTF-8 where it is, Latin-1 where it is not.</summary>
    static string Expected(ReadOnlySpan<byte> bytes)
    {
        var text = new StringBuilder();
        while (!bytes.IsEmpty)
        {
            var isCharacter = Rune.DecodeFromUtf8(bytes, out var rune, out var length) == System.Buffers.OperationStatus.Done;
            text.Append(isCharacter ? rune.ToString() : ((char)bytes[0]).ToString());
            bytes = bytes[(isCharacter ? length : 1)..];
        }

        return text.ToString();
    }

    [Fact]
    public void A_character_is_not_cut_in_the_middle()
    {
        var subject = new Subject { Headers = { ["x-a"] = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("€", 5000))) } };

        Assert.Matches("^€+\\.\\.\\.\\(cut\\)\n$", Write(AccessLogFormat.Text("%REQ(X-A)%\n"), subject));
        Assert.Equal("€\n", Write(AccessLogFormat.Text("%REQ(X-A):5%\n"), subject));
    }

    [Fact]
    public void A_name_in_a_certificate_cannot_begin_a_line_of_its_own()
    {
        var subject = new Subject();
        var peer = new PeerCertificate("CN=a", ["spiffe://a\n2026 forged"], [], "");
        subject.Downstream = subject.Downstream with { Tls = new TlsInfo("", "", "", "", peer) };

        Assert.Equal("spiffe://a\\x0a2026 forged\n", Write(AccessLogFormat.Text("%DOWNSTREAM_PEER_URI_SAN%\n"), subject));
    }

    [Theory]
    [InlineData(null, "- - - -\n", "null")]
    [InlineData(0, "OK OK 0 0\n", "0")]
    [InlineData(1, "Canceled CANCELLED 1 1\n", "1")]
    [InlineData(14, "Unavailable UNAVAILABLE 14 14\n", "14")]
    [InlineData(77, "77 77 77 77\n", "77")]
    public void The_status_of_grpc_is_written_as_asked_for(int? status, string text, string json)
    {
        var subject = new Subject();
        subject.Changeable.GrpcStatus = status;

        Assert.Equal(text, Write(AccessLogFormat.Text("%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS(NUMBER)% %GRPC_STATUS_NUMBER%\n"), subject));
        Assert.Equal($"{{\"s\":{json}}}\n", Write(Json(("s", "%GRPC_STATUS_NUMBER%")), subject));
    }

    [Theory]
    [InlineData("%NO_SUCH%", "%NO_SUCH% is not supported")]
    [InlineData("%lower%", "an operator needs a name|no closing")]
    [InlineData("%GRPC_STATUS(LOUD)%", "the form is CAMEL_STRING, SNAKE_STRING or NUMBER")]
    [InlineData("%REQ(A):x%", "the length after the colon is no number")]
    public void What_is_not_known_is_refused_by_name(string format, string reason) =>
        Assert.Matches(reason.Replace("(", "\\(", StringComparison.Ordinal).Replace(")", "\\)", StringComparison.Ordinal), Assert.Throws<FormatException>(() => AccessLogFormat.Text(format)).Message);

    [Fact]
    public void A_format_that_leaves_no_room_for_values_is_refused() =>
        Assert.Contains("too long", Assert.Throws<FormatException>(() => AccessLogFormat.Text(string.Concat(Enumerable.Repeat("%RESPONSE_CODE%", 300)))).Message);

    [Fact]
    public void Writing_a_line_allocates_nothing()
    {
        var subject = new Subject { Headers = { ["user-agent"] = "test é"u8.ToArray() } };
        subject.Downstream = subject.Downstream with { Tls = new TlsInfo("TLSv1.3", "x", "", "", new PeerCertificate("CN=a", ["spiffe://a"], ["b"], "h")) };
        AccessLogFormat[] formats =
        [
            AccessLogFormat.Text(AccessLogFormat.Default + "%DOWNSTREAM_PEER_URI_SAN% %GRPC_STATUS% %DOWNSTREAM_TLS_VERSION%"),
            Json(("a", "%REQ(USER-AGENT)%"), ("b", "%DURATION%"), ("c", "%START_TIME%"), ("d", "%UPSTREAM_HOST%"), ("e", "%DOWNSTREAM_REMOTE_ADDRESS%")),
        ];
        var target = new byte[AccessLogFormat.MaximumLine];
        void Rounds()
        {
            for (var i = 0; i < 1000; i++)
            {
                foreach (var format in formats)
                {
                    format.Write(target, subject);
                }
            }
        }

        Rounds();
        Rounds();
        var before = GC.GetAllocatedBytesForCurrentThread();
        Rounds();

        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1000);
    }
}
