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

    /// <summary>Answers /large with much, and a POST with how much came, and speaks WebSocket; kept open.</summary>
    static int Server(ProxyHarness proxy, string page = "", TaskCompletionSource<string>? told = null) => proxy.Upstream(async stream =>
    {
        string head;
        while ((head = await ReadHeadAsync(stream)).Length > 0)
        {
            if (head.StartsWith("GET /socket", StringComparison.Ordinal))
            {
                await EchoWebSocketAsync(stream, head);
                return;
            }

            if (head.StartsWith("GET /told?", StringComparison.Ordinal))
            {
                told!.TrySetResult(Uri.UnescapeDataString(head.Split(' ')[1][6..]));
            }

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
                : head.StartsWith("GET /page ", StringComparison.Ordinal) ? $"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {page.Length}\r\n\r\n{page}"
                : head.StartsWith("GET /chunks", StringComparison.Ordinal) ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nchunk \r\n4\r\nwise\r\n0\r\n\r\n"
                : $"HTTP/1.1 200 OK\r\nContent-Length: {received.ToString(System.Globalization.CultureInfo.InvariantCulture).Length}\r\n\r\n{received}");
        }
    });

    static async Task<ProxyHarness> StartAsync(string page = "", TaskCompletionSource<string>? told = null)
    {
        var proxy = new ProxyHarness();
        Assert.Null(proxy.Clusters(("c", [Server(proxy, page, told)])));
        Assert.Null(proxy.Routes(AllowWebSockets, To("c")));
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

    [ToolFact("chromium")]
    public async Task Chromium()
    {
        var told = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var proxy = await StartAsync($$"""
            <script>
            (async () => {
              const text = async (path, options) => (await fetch(path, options)).text();
              const parallel = await Promise.all([...Array(40).keys()].map(i => text("/post", { method: "POST", body: "y".repeat(i) })));
              const socket = new WebSocket(`ws://${location.host}/socket`);
              const echo = new Promise((yes, no) => { socket.onmessage = m => yes(m.data.length); socket.onerror = no; });
              await new Promise((yes, no) => { socket.onopen = yes; socket.onclose = no; });
              socket.send("z".repeat(100000));
              return [await text("/chunks"), (await text("/large")).length, await text("/post", { method: "POST", body: "x".repeat({{Large}}) }),
                parallel.every((answer, i) => answer === String(i)), await echo].join(" ");
            })().catch(e => "failed: " + e).then(result => fetch("/told?" + encodeURIComponent(result)));
            </script>
            """.Replace("\r", "", StringComparison.Ordinal), told);
        var profile = Directory.CreateTempSubdirectory("weir-browser");
        using var browser = Process.Start(new ProcessStartInfo(
            "chromium", ["--headless", "--no-sandbox", "--disable-gpu", $"--user-data-dir={profile.FullName}", $"http://127.0.0.1:{proxy.Port}/page"])
        { RedirectStandardOutput = true, RedirectStandardError = true })!;
        _ = browser.StandardError.ReadToEndAsync();
        try
        {
            Assert.Equal($"chunk wise {Large} {Large} true 100000", await told.Task.WaitAsync(TimeSpan.FromSeconds(60)));
        }
        finally
        {
            browser.Kill(entireProcessTree: true);
            await browser.WaitForExitAsync();
            profile.Delete(recursive: true);
        }
    }

    [ToolFact("wrk")]
    public async Task Wrk()
    {
        await using var proxy = await StartAsync();

        var output = await RunAsync("wrk", "-t1", "-c32", "-d1s", $"http://127.0.0.1:{proxy.Port}/chunks");

        Assert.Matches("[1-9][0-9]* requests in ", output);
        Assert.DoesNotContain("Socket errors", output);
        Assert.DoesNotContain("Non-2xx", output);
    }

    [ToolFact("hey")]
    public async Task Hey()
    {
        await using var proxy = await StartAsync();

        var output = await RunAsync("hey", "-n", "2000", "-c", "20", "-m", "POST", "-d", "hello", $"http://127.0.0.1:{proxy.Port}/post");

        Assert.Contains("[200]\t2000 responses", output);
        Assert.DoesNotContain("Error distribution", output);
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
