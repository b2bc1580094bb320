using System.Text;
using Weir.Proxy.Http;
using Weir.Proxy.Http1;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Inspection;

namespace Weir.Proxy.Tests;

/// <summary>
/// Bytes made by mutation of valid messages, read by everything that reads bytes of strangers. Short here; WEIR_FUZZ_SECONDS makes it
/// as long as wanted. A failure names the seed that repeats it.
/// </summary>
public class FuzzTests
{
    static readonly TimeSpan Duration = TimeSpan.FromSeconds(
        double.TryParse(Environment.GetEnvironmentVariable("WEIR_FUZZ_SECONDS"), System.Globalization.CultureInfo.InvariantCulture, out var seconds) ? seconds : 2);

    static readonly byte[][] Seeds =
    [
        .. SmugglingCases.Refused().Concat(SmugglingCases.Harmless()).Select(Encoding.Latin1.GetBytes),
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"u8.ToArray(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nT: v\r\n\r\n"u8.ToArray(),
        "HTTP/1.0 204 No Content\r\n\r\n"u8.ToArray(),
        "PROXY TCP4 1.2.3.4 5.6.7.8 99 80\r\n"u8.ToArray(),
        Convert.FromHexString("0d0a0d0a000d0a515549540a2111000c7f0000017f000001c3500050"),
        Hello("a.example", "h2", "http/1.1"),
    ];

    static readonly string[] Dictionary =
    [
        "\r\n", "\n", "\r", "\r\n\r\n", ":", ": ", " ", "\t", "\0", "Transfer-Encoding: chunked\r\n", "Content-Length: 5\r\n", "Content-Length: 0\r\n", "Host: a\r\n", "Connection: ", "HTTP/1.1", "HTTP/1.0", "0\r\n\r\n",
        "ffffffffffffffff", "5\r\n", ";", "chunked", "GET ", "CONNECT ", "*", "http://", "\x16\x03\x01", "PROXY ", "%2e%2e", "Expect: 100-continue\r\n",
    ];

    static void Run(Action<byte[], Random> check)
    {
        var watch = System.Diagnostics.Stopwatch.StartNew();
        var first = Environment.TickCount;
        for (var i = 0; watch.Elapsed < Duration; i++)
        {
            var seed = unchecked((first * 31) + i);
            var random = new Random(seed);
            var bytes = Mutate(random);
            try
            {
                check(bytes, random);
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"seed {seed}, bytes {Convert.ToHexString(bytes)}: {e.Message}", e);
            }
        }
    }

    static byte[] Mutate(Random random)
    {
        var bytes = Seeds[random.Next(Seeds.Length)].ToList();
        for (var n = random.Next(6); n >= 0; n--)
        {
            var at = random.Next(bytes.Count + 1);
            switch (random.Next(6))
            {
                case 0 when at < bytes.Count:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 1 when at < bytes.Count:
                    bytes.RemoveRange(at, Math.Min(random.Next(1, 8), bytes.Count - at));
                    break;
                case 2:
                    bytes.InsertRange(at, Encoding.Latin1.GetBytes(Dictionary[random.Next(Dictionary.Length)]));
                    break;
                case 3 when bytes.Count > 0:
                    var from = random.Next(bytes.Count);
                    bytes.InsertRange(at, bytes.GetRange(from, Math.Min(random.Next(1, 40), bytes.Count - from)));
                    break;
                case 4:
                    bytes.AddRange(Seeds[random.Next(Seeds.Length)]);
                    break;
                case 5 when at < bytes.Count:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
            }
        }

        return [.. bytes];
    }

    /// <summary>Everything a reader of requests makes of bytes that come in these pieces: each message, as text, and how it ended.</summary>
    static List<string> ReadRequests(byte[] bytes, Random? cuts)
    {
        var result = new List<string>();
        var head = new MessageHead();
        var available = 0;
        var start = 0;
        var searched = 0;
        BodyReader? body = null;
        var trailers = new TrailerReader(new BufferPool());
        var content = new StringBuilder();
        while (result.Count < 50)
        {
            if (body is { } reader)
            {
                var status = ReadStatus.Content;
                while (status == ReadStatus.Content)
                {
                    status = reader.Read(bytes.AsSpan(start, available - start), out var framing, out var length, ref trailers);
                    content.Append(Encoding.Latin1.GetString(bytes, start + framing, length));
                    if (status == ReadStatus.Content)
                    {
                        reader.Consume(length);
                    }

                    start += framing + length;
                }

                body = reader;
                if (status == ReadStatus.Failed)
                {
                    result.Add("broken body");
                    return result;
                }

                if (reader.IsDone)
                {
                    result.Add($"body {content}");
                    content.Clear();
                    body = null;
                    continue;
                }
            }
            else
            {
                if (HeadParser.LeadingEmptyLines(bytes.AsSpan(start, available - start)) is > 0 and var skipped)
                {
                    start += skipped;
                    searched = 0;
                }

                var length = HeadParser.FindEnd(bytes.AsSpan(start, available - start), searched);
                if (length > 0)
                {
                    var error = HeadParser.ParseRequest(bytes.AsSpan(start), length, head);
                    if (error != ParseError.None)
                    {
                        result.Add("refused");
                        return result;
                    }

                    result.Add(Describe(head, bytes.AsSpan(start)));
                    start += length;
                    searched = 0;
                    body = head.Body == BodyKind.None ? null : new BodyReader(head.Body, head.ContentLength);
                    continue;
                }

                searched = available - start;
            }

            if (available == bytes.Length)
            {
                result.Add(body is null ? "waits for a head" : $"waits for a body after {content}");
                return result;
            }

            available += cuts is null ? bytes.Length - available : Math.Min(cuts.Next(1, 20), bytes.Length - available);
        }

        return result;
    }

    static string Describe(MessageHead head, ReadOnlySpan<byte> bytes)
    {
        var text = new StringBuilder($"{Encoding.Latin1.GetString(head.Method.Of(bytes))} {Encoding.Latin1.GetString(head.Target.Of(bytes))} {Encoding.Latin1.GetString(head.Authority.Of(bytes))} {head.Body} {head.ContentLength} {head.KeepAlive}");
        for (var i = 0; i < head.Headers.Count; i++)
        {
            text.Append($"|{Encoding.Latin1.GetString(head.Headers[i].Name.Of(bytes))}={Encoding.Latin1.GetString(head.Headers[i].Value.Of(bytes))}");
        }

        return text.ToString();
    }

    [Fact]
    public void However_the_bytes_are_split_into_reads_the_result_is_the_same() => Run((bytes, random) =>
    {
        var whole = ReadRequests(bytes, null);
        Assert.Equal(whole, ReadRequests(bytes, random));
        Assert.Equal(whole, ReadRequests(bytes, new Random(1)));
    });

    static void WriteHeader(MemoryStream target, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        target.Write(name);
        target.Write(": "u8);
        target.Write(value);
        target.Write("\r\n"u8);
    }

    [Fact]
    public void What_is_written_is_read_as_what_was_read() => Run((bytes, _) =>
    {
        var head = new MessageHead();
        var length = HeadParser.FindEnd(bytes, 0);
        if (length < 0 || HeadParser.ParseRequest(bytes, length, head) != ParseError.None || head.IsConnect)
        {
            return;
        }

        using var writer = new MemoryStream();
        writer.Write(head.Method.Of(bytes));
        writer.Write(" "u8);
        writer.Write(head.Target.Length == 0 ? "/"u8 : head.Target.Of(bytes)[0] == '?' ? "/?"u8 : head.Target.Of(bytes));
        writer.Write(head.IsHttp10 ? " HTTP/1.0\r\n"u8 : " HTTP/1.1\r\n"u8);
        if (head.Authority.Length > 0)
        {
            WriteHeader(writer, "Host"u8, head.Authority.Of(bytes));
        }

        for (var i = 0; i < head.Headers.Count; i++)
        {
            if (head.Headers[i].Known != KnownHeader.Host)
            {
                WriteHeader(writer, head.Headers[i].Name.Of(bytes), head.Headers[i].Value.Of(bytes));
            }
        }

        writer.Write("\r\n"u8);
        var output = writer.ToArray();
        var again = new MessageHead();
        Assert.Equal(ParseError.None, HeadParser.ParseRequest(output, output.Length, again));
        Assert.Equal((head.Body, head.ContentLength, head.KeepAlive, head.IsHttp10), (again.Body, again.ContentLength, again.KeepAlive, again.IsHttp10));
        Assert.Equal(head.Authority.Of(bytes).ToArray(), again.Authority.Of(output).ToArray());
    });

    [Fact]
    public void Responses_and_the_first_bytes_of_connections_never_throw_and_never_read_too_far() => Run((bytes, random) =>
    {
        var head = new MessageHead();
        var length = HeadParser.FindEnd(bytes, 0);
        if (length > 0)
        {
            _ = HeadParser.ParseResponse(bytes, length, head, random.Next(2) == 0);
        }

        for (var size = 0; size <= bytes.Length; size += random.Next(1, 16))
        {
            var part = bytes.AsSpan(0, size);
            _ = ClientHello.TryParse(part, out _);
            _ = HttpSniffer.IsHttp1(part);
            if (ProxyProtocolHeader.TryParse(part, out var header, out var isBroken) == Verdict.Yes && !isBroken)
            {
                Assert.InRange(header.Length, 1, part.Length);
            }
        }
    });

    [Fact]
    public void A_client_hello_is_known_whole_and_never_mistaken_in_part()
    {
        var hello = Hello("www.example.com", "h2", "http/1.1");
        for (var size = 0; size < hello.Length; size++)
        {
            Assert.Equal(Verdict.NeedsMore, ClientHello.TryParse(hello.AsSpan(0, size), out _));
        }

        Assert.Equal(Verdict.Yes, ClientHello.TryParse(hello, out var read));
        Assert.Equal("www.example.com", read!.ServerName);
        Assert.Equal(["h2", "http/1.1"], read.Alpn);

        // Spread over records of one byte each, as RFC 8446 section 5.1 allows.
        var spread = hello[5..].SelectMany(b => new byte[] { 22, 3, 1, 0, 1, b }).ToArray();
        Assert.Equal(Verdict.Yes, ClientHello.TryParse(spread, out read));
        Assert.Equal("www.example.com", read!.ServerName);
    }

    static byte[] Hello(string name, params string[] protocols)
    {
        static byte[] Sized(int bytes, IEnumerable<byte> content)
        {
            var body = content.ToArray();
            return [.. Enumerable.Range(0, bytes).Select(i => (byte)(body.Length >> ((bytes - 1 - i) * 8))), .. body];
        }

        var server = Sized(2, [0, .. Sized(2, Encoding.ASCII.GetBytes(name))]);
        var alpn = Sized(2, protocols.SelectMany(p => Sized(1, Encoding.ASCII.GetBytes(p))));
        byte[] extensions = [0, 0, .. Sized(2, server), 0, 16, .. Sized(2, alpn)];
        byte[] body = [3, 3, .. new byte[32], .. Sized(1, []), .. Sized(2, [0x13, 0x01]), .. Sized(1, [0]), .. Sized(2, extensions)];
        byte[] message = [1, .. Sized(3, body)];
        return [22, 3, 1, .. Sized(2, message)];
    }
}
