using System.Diagnostics;
using System.Net;
using System.Text;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests;

/// <summary>Runs where the program is installed.</summary>
sealed class ToolFactAttribute : FactAttribute
{
    public ToolFactAttribute(string program)
    {
        if (!(Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(d => File.Exists(Path.Combine(d, program))))
        {
            Skip = $"{program} is not installed";
        }
    }
}

/// <summary>Clients that others have written, on connections they keep: small answers, large bodies both ways, chunks, errors.</summary>
public class ClientsTests
{
    const int Large = 3_000_000;

    /// <summary>Answers /large with much, and a POST with how much came; kept open.</summary>
    static int Server(ProxyHarness proxy) => proxy.Upstream(async stream =>
    {
        string head;
        while ((head = await ReadHeadAsync(stream)).Length > 0)
        {
            long received = 0;
            if (head.Split("\r\n").FirstOrDefault(l => l.StartsWith("content-length:", StringComparison.OrdinalIgnoreCase)) is { } length)
            {
                var buffer = new byte[65536];
                for (var left = long.Parse(length.Split(':')[1], System.Globalization.CultureInfo.InvariantCulture); left > 0;)
                {
                    var read = await stream.ReadAsync(buffer.AsMemory(0, (int)Math.Min(left, buffer.Length)));
                    left -= read;
                    received += read;
                }
            }

            await WriteAsync(stream, head.StartsWith("GET /large", StringComparison.Ordinal) ? $"HTTP/1.1 200 OK\r\nContent-Length: {Large}\r\n\r\n{new string('x', Large)}"
                : head.StartsWith("GET /chunks", StringComparison.Ordinal) ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nchunk \r\n4\r\nwise\r\n0\r\n\r\n"
                : $"HTTP/1.1 200 OK\r\nContent-Length: {received.ToString(System.Globalization.CultureInfo.InvariantCulture).Length}\r\n\r\n{received}");
        }
    });

    static async Task<ProxyHarness> StartAsync()
    {
        var proxy = new ProxyHarness();
        Assert.Null(proxy.Clusters(("c", [Server(proxy)])));
        Assert.Null(proxy.Routes(To("c")));
        await Task.CompletedTask;
        return proxy;
    }

    static async Task<string> RunAsync(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return process.ExitCode == 0 ? output.Trim() : $"exit {process.ExitCode}: {output}{await errors}";
    }

    [ToolFact("curl")]
    public async Task Curl()
    {
        await using var proxy = await StartAsync();
        var url = $"http://127.0.0.1:{proxy.Port}";
        var file = Path.GetTempFileName();
        await File.WriteAllBytesAsync(file, new byte[Large]);

        var output = await RunAsync(
            "curl", "-s", "-S", "--max-time", "20", "-w", " %{http_code} %{size_download}\n", $"{url}/chunks", "--next", "-s", "-o", "/dev/null", "-w", "%{http_code} %{size_download}\n", $"{url}/large",
            "--next", "-s", "--data-binary", "@" + file, "-w", " %{http_code}\n", $"{url}/post");

        File.Delete(file);
        Assert.Equal($"chunk wise 200 10\n200 {Large}\n{Large} 200", output);
    }

    [ToolFact("python3")]
    public async Task Python()
    {
        await using var proxy = await StartAsync();

        Assert.Equal($"chunk wise {Large} b'{Large}'", await RunAsync("python3", "-c", $"""
            import http.client
            c = http.client.HTTPConnection("127.0.0.1", {proxy.Port}, timeout=20)
            def ask(method, path, body=None):
                c.request(method, path, body)
                return c.getresponse().read()
            print(ask("GET", "/chunks").decode(), len(ask("GET", "/large")), ask("POST", "/post", b"x" * {Large}))
            """));
    }

    [ToolFact("node")]
    public async Task Node()
    {
        await using var proxy = await StartAsync();

        Assert.Equal($"chunk wise {Large} {Large}", await RunAsync("node", "-e", $$"""
            (async () => {
              const url = "http://127.0.0.1:{{proxy.Port}}";
              const chunks = await (await fetch(url + "/chunks")).text();
              const large = (await (await fetch(url + "/large")).text()).length;
              const post = await (await fetch(url + "/post", { method: "POST", body: "x".repeat({{Large}}) })).text();
              console.log(chunks, large, post);
              process.exit(0);
            })().catch(e => { console.error(e); process.exit(1); });
            """));
    }

    [Fact]
    public async Task Dotnet()
    {
        await using var proxy = await StartAsync();
        using var client = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{proxy.Port}") };

        Assert.Equal("chunk wise", await client.GetStringAsync("/chunks"));
        Assert.Equal(Large, (await client.GetByteArrayAsync("/large")).Length);
        using var answer = await client.PostAsync("/post", new ByteArrayContent(new byte[Large]));
        Assert.Equal(Large.ToString(System.Globalization.CultureInfo.InvariantCulture), await answer.Content.ReadAsStringAsync());
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);

        // Many at once, each getting its own.
        var answers = await Task.WhenAll(Enumerable.Range(0, 200).Select(i => client.PostAsync("/post", new ByteArrayContent(new byte[i * 97]))));
        Assert.Equal(Enumerable.Range(0, 200).Select(i => (i * 97).ToString(System.Globalization.CultureInfo.InvariantCulture)), await Task.WhenAll(answers.Select(a => a.Content.ReadAsStringAsync())));
    }
}
