using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using Weir.Node.Injection;
using Weir.Resources;

namespace Weir.Node.Pods;

/// <summary>One attempt at a probe: did the container answer as it should?</summary>
public sealed class Prober : IDisposable
{
    readonly HttpClient http = new(new SocketsHttpHandler
    {
        UseProxy = false,
        AllowAutoRedirect = false,
        PooledConnectionLifetime = TimeSpan.Zero,
    })
    { Timeout = Timeout.InfiniteTimeSpan };

    /// <param name="address">Where the container itself listens: probes go past the sidecar.</param>
    /// <returns>Null on success, or what went wrong.</returns>
    public async Task<string?> ProbeAsync(JsonObject probe, JsonObject container, string address, ContainerCommand command, CancellationToken cancel)
    {
        try
        {
            return probe switch
            {
                _ when probe["httpGet"] is JsonObject get => await HttpAsync(get, container, address, cancel),
                _ when probe["tcpSocket"] is JsonObject tcp => await TcpAsync(tcp, container, address, cancel),
                _ when probe["exec"] is JsonObject exec => await ExecAsync(exec, command, cancel),
                _ when probe["grpc"] is JsonObject grpc => await GrpcAsync(grpc, address, cancel),
                _ => null,
            };
        }
        catch (OperationCanceledException)
        {
            return "context deadline exceeded";
        }
        catch (Exception e) when (e is HttpRequestException or SocketException or IOException or System.ComponentModel.Win32Exception)
        {
            return (e.InnerException ?? e).Message;
        }
    }

    async Task<string?> HttpAsync(JsonObject get, JsonObject container, string address, CancellationToken cancel)
    {
        var path = get.Text("path") ?? "/";
        var uri = $"{get.Text("scheme")?.ToLowerInvariant() ?? "http"}://{get.Text("host") ?? address}:{Port(get, container)}{(path.StartsWith('/') ? path : "/" + path)}";
        using var request = new HttpRequestMessage(HttpMethod.Get, uri);
        request.Headers.TryAddWithoutValidation("User-Agent", "kube-probe/1.33");
        foreach (var header in get.Objects("httpHeaders"))
        {
            request.Headers.TryAddWithoutValidation(header.Text("name") ?? "", header.Text("value"));
        }

        using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancel);
        return (int)response.StatusCode is >= 200 and < 400 ? null : $"HTTP probe failed with statuscode: {(int)response.StatusCode}";
    }

    static async Task<string?> TcpAsync(JsonObject tcp, JsonObject container, string address, CancellationToken cancel)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(IPAddress.Parse(tcp.Text("host") ?? address), Port(tcp, container), cancel);
        return null;
    }

    static async Task<string?> ExecAsync(JsonObject exec, ContainerCommand command, CancellationToken cancel)
    {
        var output = new MemoryStream();
        var code = await CommandRunner.RunAsync([.. exec.Texts("command")], command, null, output, output, cancel);
        return code == 0 ? null : System.Text.Encoding.UTF8.GetString(output.ToArray()).Trim();
    }

    /// <summary>grpc.health.v1.Health/Check: the answer's field 1 must be SERVING (1).</summary>
    async Task<string?> GrpcAsync(JsonObject grpc, string address, CancellationToken cancel)
    {
        var service = System.Text.Encoding.UTF8.GetBytes(grpc.Text("service") ?? "");
        byte[] message = service.Length == 0 ? [] : [0x0a, (byte)service.Length, .. service];
        using var request = new HttpRequestMessage(HttpMethod.Post, $"http://{address}:{grpc.Number("port")}/grpc.health.v1.Health/Check")
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = new ByteArrayContent([0, 0, 0, 0, (byte)message.Length, .. message]),
        };
        request.Headers.TE.Add(new TransferCodingWithQualityHeaderValue("trailers"));
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/grpc");
        using var response = await http.SendAsync(request, cancel);
        var answer = await response.Content.ReadAsByteArrayAsync(cancel);
        return answer is [_, _, _, _, _, 0x08, 1, ..] ? null : "service unhealthy";
    }

    static int Port(JsonObject handler, JsonObject container)
    {
        var port = handler.Text("port") ?? "";
        return int.TryParse(port, out var number) ? number
            : (int)(container.Objects("ports").FirstOrDefault(p => p.Text("name") == port).Number("containerPort") ?? 0);
    }

    /// <summary>The proxy's own probe is for the pod's address; an injected application's for its private one.</summary>
    public static string AddressOf(Resource pod, JsonObject container, string podAddress) =>
        ContainerEnvironment.IsInjected(pod) && container.Text("name") != SidecarInjector.ContainerName
            ? Addresses.NodeNetwork.ApplicationAddress(podAddress) : podAddress;

    public void Dispose() => http.Dispose();
}

/// <summary>Runs a command beside a container, in its directory and with its environment.</summary>
static class CommandRunner
{
    public static async Task<int> RunAsync(
        IReadOnlyList<string> arguments, ContainerCommand container, Stream? input, Stream output, Stream error, CancellationToken cancel)
    {
        var path = container.Environment.GetValueOrDefault("PATH") ?? "";
        var start = new ProcessStartInfo(Find(arguments[0], path, container.Directory))
        {
            WorkingDirectory = container.Directory,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var argument in arguments.Skip(1))
        {
            start.ArgumentList.Add(argument);
        }

        start.Environment.Clear();
        foreach (var (name, value) in container.Environment)
        {
            start.Environment[name] = value;
        }

        using var process = Process.Start(start)!;
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        var writing = CopyInputAsync(input, process, ended.Token);
        try
        {
            await Task.WhenAll(
                process.StandardOutput.BaseStream.CopyToAsync(output, cancel), process.StandardError.BaseStream.CopyToAsync(error, cancel));
            await process.WaitForExitAsync(cancel);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }
        finally
        {
            await ended.CancelAsync();
            await writing;
        }

        return process.ExitCode;
    }

    static string Find(string program, string path, string directory) =>
        program.Contains('/') ? Path.GetFullPath(Path.Combine(directory, program))
        : path.Split(':').Select(d => Path.Combine(d, program)).FirstOrDefault(File.Exists)
            ?? throw new IOException($"exec: \"{program}\": executable file not found in $PATH");

    static async Task CopyInputAsync(Stream? input, Process process, CancellationToken cancel)
    {
        try
        {
            if (input is not null)
            {
                await input.CopyToAsync(process.StandardInput.BaseStream, cancel);
            }
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            // The program has closed its input or ended.
        }

        try
        {
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // Likewise.
        }
    }
}
