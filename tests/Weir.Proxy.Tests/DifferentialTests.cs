using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests;

/// <summary>Runs where both programs are installed; <c>check</c> installs them where it may.</summary>
sealed class ComparedFactAttribute : FactAttribute
{
    public ComparedFactAttribute()
    {
        if (!DifferentialTests.IsInstalled("nginx") || !DifferentialTests.IsInstalled("haproxy"))
        {
            Skip = "nginx and HAProxy are not both installed";
        }
    }
}

/// <summary>The same bytes through Weir, nginx and HAProxy: the same statuses, and the same requests at the upstream. Where not, the table says why.</summary>
public sealed class DifferentialTests : IDisposable
{
    readonly string directory = Directory.CreateTempSubdirectory("weir-compare").FullName;
    readonly List<Process> processes = [];

    public static bool IsInstalled(string program) =>
        new[] { "/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin" }.Any(d => File.Exists(Path.Combine(d, program)));

    public void Dispose()
    {
        foreach (var process in processes)
        {
            if (!process.HasExited)
            {
                process.Kill(entireProcessTree: true);
                process.WaitForExit();
            }

            process.Dispose();
        }

        Directory.Delete(directory, recursive: true);
    }

    /// <summary>What the client and the upstream saw. Headers that only one of them adds are not part of it.</summary>
    static readonly string[] Compared = ["content-length", "transfer-encoding", "x-kept", "x-empty", "te", "upgrade", "trailer", "x-named", "keep-alive"];

    static readonly (string Name, string Request)[] Cases =
    [
        ("get", "GET /a?b=c HTTP/1.1\r\nHost: h\r\nX-Kept: 1\r\n\r\n"),
        ("head", "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("delete", "DELETE /a HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("options", "OPTIONS /a HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("own method", "BREW /a HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("post with length", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"),
        ("post of nothing", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"),
        ("post in chunks", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"),
        ("get with a body", "GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"),
        ("two pipelined", "GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("post, then get", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("chunks, then get", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("version 1.0", "GET /a HTTP/1.0\r\nHost: h\r\n\r\n"),
        ("version 1.0, kept", "GET /a HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n"),
        ("close", "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
        ("named header", "GET /a HTTP/1.1\r\nHost: h\r\nConnection: X-Named\r\nX-Named: 1\r\n\r\n"),
        ("keep-alive header", "GET /a HTTP/1.1\r\nHost: h\r\nKeep-Alive: timeout=5\r\nConnection: keep-alive\r\n\r\n"),
        ("te", "GET /a HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nConnection: TE\r\n\r\n"),
        ("upgrade to h2c", "GET /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"),
        ("empty header", "GET /a HTTP/1.1\r\nHost: h\r\nX-Empty:\r\n\r\n"),
        ("spaces around a value", "GET /a HTTP/1.1\r\nHost: h\r\nX-Kept: \t x \t\r\n\r\n"),
        ("absolute form", "GET http://h/a HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("absolute form, another host", "GET http://h/a HTTP/1.1\r\nHost: other\r\n\r\n"),
        ("port in host", "GET /a HTTP/1.1\r\nHost: h:81\r\n\r\n"),
        ("empty lines first", "\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("expect", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello"),
        ("query alone", "GET /?a HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("escapes", "GET /%41%2fb%20c HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("no host", "GET /a HTTP/1.1\r\n\r\n"),
        ("two hosts", "GET /a HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n"),
        ("two lengths", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
        ("the same length twice", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
        ("length and chunks", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("unknown coding", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n"),
        ("a coding, then chunked", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        ("chunked twice", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
        ("space before colon", "GET /a HTTP/1.1\r\nHost: h\r\nX-Kept : 1\r\n\r\n"),
        ("folded header", "GET /a HTTP/1.1\r\nHost: h\r\nX-Kept: 1\r\n 2\r\n\r\n"),
        ("nul in value", "GET /a HTTP/1.1\r\nHost: h\r\nX-Kept: a\0b\r\n\r\n"),
        ("line feed alone", "GET /a HTTP/1.1\nHost: h\n\n"),
        ("no version", "GET /a\r\n\r\n"),
        ("version 3", "GET /a HTTP/3.0\r\nHost: h\r\n\r\n"),
        ("two spaces", "GET  /a HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("bad chunk size", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n0\r\n\r\n"),
        ("negative length", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n"),
        ("trailer", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n"),
        ("connect", "CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n"),
        ("fragment", "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("path without slash", "GET a HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("chunks in 1.0", "POST /a HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ];

    /// <summary>Where they differ, and why ours does what it does. Checked: a case that does not differ must not stand here.</summary>
    static readonly Dictionary<string, string> Explained = DifferentialTable.Explained;

    [ComparedFact]
    public async Task The_same_requests_give_the_same_answers_or_the_table_says_why_not()
    {
        await using var proxy = new ProxyHarness();
        var seen = new ConcurrentQueue<string>();
        var upstream = proxy.Upstream(s => ServeAsync(s, seen));
        proxy.Clusters(("c", [upstream]));
        proxy.Routes(To("c"));
        var (nginx, haproxy) = await StartAsync(upstream);
        var wrong = new List<string>();
        foreach (var (name, request) in Cases)
        {
            var outcomes = new[] { await OutcomeAsync(proxy.Port, request, seen), await OutcomeAsync(nginx, request, seen), await OutcomeAsync(haproxy, request, seen) };
            var differs = outcomes.Distinct().Count() > 1;
            if (differs != Explained.ContainsKey(name))
            {
                wrong.Add($"{name}: {(differs ? "differs and is not explained" : "is explained and does not differ")}\n  weir    {outcomes[0]}\n  nginx   {outcomes[1]}\n  haproxy {outcomes[2]}");
            }
        }

        Assert.True(wrong.Count == 0, string.Join("\n", wrong));
    }

    async Task<(int Nginx, int Haproxy)> StartAsync(int upstream)
    {
        var (nginx, haproxy) = (FreePort(), FreePort());
        await File.WriteAllTextAsync($"{directory}/nginx.conf", $$"""
            worker_processes 1; daemon off; pid {{directory}}/nginx.pid; error_log /dev/null;
            events { worker_connections 256; }
            http {
              access_log off; client_body_temp_path {{directory}}/1; proxy_temp_path {{directory}}/2; fastcgi_temp_path {{directory}}/3; uwsgi_temp_path {{directory}}/4; scgi_temp_path {{directory}}/5;
              upstream u { server 127.0.0.1:{{upstream}}; keepalive 16; }
              server { listen 127.0.0.1:{{nginx}}; location / { proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host; proxy_request_buffering off; } }
            }
            """);
        await File.WriteAllTextAsync($"{directory}/haproxy.cfg", $"""
            defaults
              mode http
              timeout connect 5s
              timeout client 30s
              timeout server 30s
            frontend f
              bind 127.0.0.1:{haproxy}
              default_backend b
            backend b
              server s 127.0.0.1:{upstream}

            """);
        foreach (var (program, arguments) in new[] { ("nginx", $"-p {directory} -c {directory}/nginx.conf"), ("haproxy", $"-f {directory}/haproxy.cfg -db") })
        {
            processes.Add(Process.Start(new ProcessStartInfo("sh", ["-c", $"PATH=$PATH:/usr/sbin exec {program} {arguments} >/dev/null 2>&1"]))!);
        }

        foreach (var port in new[] { nginx, haproxy })
        {
            for (var watch = Stopwatch.StartNew(); ; await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System))
            {
                try
                {
                    using var client = new TcpClient();
                    await client.ConnectAsync(IPAddress.Loopback, port);
                    break;
                }
                catch (SocketException) when (watch.Elapsed < TimeSpan.FromSeconds(10))
                {
                }
            }
        }

        return (nginx, haproxy);
    }

    /// <summary>Answers with what it was asked, and keeps it in a form that can be compared.</summary>
    static async Task ServeAsync(NetworkStream stream, ConcurrentQueue<string> seen)
    {
        string head;
        while ((head = await ReadHeadAsync(stream)).Length > 0)
        {
            var lines = head.Split("\r\n");
            var fields = lines.Skip(1).Where(l => l.Contains(':', StringComparison.Ordinal)).Select(l => (Name: l[..l.IndexOf(':', StringComparison.Ordinal)].ToLowerInvariant(), Value: l[(l.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim())).ToList();
            var body = "";
            if (fields.Exists(f => f.Name == "transfer-encoding"))
            {
                body = await ReadChunksAsync(stream);
            }
            else if (fields.Find(f => f.Name == "content-length").Value is { } length)
            {
                var bytes = new byte[int.Parse(length, System.Globalization.CultureInfo.InvariantCulture)];
                await stream.ReadExactlyAsync(bytes);
                body = Encoding.Latin1.GetString(bytes);
            }

            var request = lines[0].Split(' ');
            seen.Enqueue($"{request[0]} {request[1]} host={fields.Find(f => f.Name == "host").Value} [{body}] "
                + string.Join(",", fields.Where(f => Compared.Contains(f.Name) && f.Name is not ("content-length" or "transfer-encoding")).Select(f => $"{f.Name}={f.Value}").Order()));
            await WriteAsync(stream, $"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{(request[0] == "HEAD" ? "" : "ok")}");
        }
    }

    /// <summary>Statuses, whether the connection stays open, and what reached the upstream.</summary>
    static async Task<string> OutcomeAsync(int port, string request, ConcurrentQueue<string> seen)
    {
        seen.Clear();
        using var client = new TcpClient { NoDelay = true };
        await client.ConnectAsync(IPAddress.Loopback, port);
        var stream = client.GetStream();
        await WriteAsync(stream, request);
        var text = new StringBuilder();
        var buffer = new byte[65536];
        var isOpen = true;
        using var quiet = new CancellationTokenSource();
        try
        {
            quiet.CancelAfter(400);
            int read;
            while ((read = await stream.ReadAsync(buffer, quiet.Token)) > 0)
            {
                text.Append(Encoding.Latin1.GetString(buffer, 0, read));

                // After an answer a moment is enough to see whether the connection is closed behind it.
                quiet.CancelAfter(text.ToString().Contains("HTTP/1.1 100", StringComparison.Ordinal) && !text.ToString().Contains(" 200 ", StringComparison.Ordinal) ? 400 : 80);
            }

            isOpen = false;
        }
        catch (OperationCanceledException)
        {
            // Nothing more has come: it is kept.
        }
        catch (IOException)
        {
            isOpen = false;
        }

        var statuses = text.ToString().Split("HTTP/1.").Skip(1).Where(p => p.Length > 5).Select(p => p.Substring(2, 3)).ToList();
        return $"{string.Join(" ", statuses)} {(isOpen ? "kept" : "closed")}; upstream: {string.Join(" | ", seen)}";
    }
}
