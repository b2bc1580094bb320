using System.Diagnostics;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using Weir.Proxy.Lifecycle;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests;

/// <summary>The program itself, started with a kept configuration and no control plane.</summary>
public sealed class ProgramTests : IDisposable
{
    const string Ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    const string Get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    readonly string directory = Directory.CreateTempSubdirectory("weir-program").FullName;
    readonly List<Process> processes = [];

    public void Dispose()
    {
        foreach (var process in processes.Where(p => !p.HasExited))
        {
            process.Kill();
            process.WaitForExit();
        }

        Directory.Delete(directory, recursive: true);
    }

    static string Program([CallerFilePath] string path = "") => Environment.GetEnvironmentVariable("WEIR_PROXY")
        ?? $"dotnet {Path.Combine(Path.GetDirectoryName(path)!, "../../apps/Weir.Proxy/bin/Release/net10.0/weir-proxy.dll")}";

    Process Start(string arguments, int descriptors = 1024)
    {
        var process = Process.Start(new ProcessStartInfo(
            "sh", ["-c", $"ulimit -n {descriptors}; exec {Program()} router --xds unix:{directory}/none.sock --state {directory} {arguments} 2>>{directory}/log"]))!;
        processes.Add(process);
        return process;
    }

    /// <summary>Leaves a configuration as a proxy would that has had it from its control plane.</summary>
    static async Task<int> KeepAsync(string directory, ProxyHarness scripts)
    {
        await using var proxy = new ProxyHarness();
        var kept = new LastGoodConfiguration(Path.Combine(directory, "last-good.bin"), proxy.Store, proxy.Engine.Log, TimeProvider.System);
        proxy.Store.OnApplied = _ => kept.Touch();
        using var stop = new CancellationTokenSource();
        var keeping = kept.RunAsync(stop.Token);
        proxy.Clusters(("c", [scripts.Answering(Ok)]));
        proxy.Routes(To("c"));
        Assert.True(SpinWait.SpinUntil(() => File.Exists(Path.Combine(directory, "last-good.bin")), TimeSpan.FromSeconds(10)));
        await stop.CancelAsync();
        await keeping;
        return proxy.Port;
    }

    static async Task<NetworkStream?> TryConnectAsync(int port)
    {
        var client = new TcpClient { NoDelay = true };
        try
        {
            await client.ConnectAsync("127.0.0.1", port);
            return client.GetStream();
        }
        catch (SocketException)
        {
            client.Dispose();
            return null;
        }
    }

    static async Task<string> AskAsync(Stream stream)
    {
        await WriteAsync(stream, Get);
        return await ReadAsync(stream, t => t.EndsWith("ok", StringComparison.Ordinal));
    }

    static async Task<NetworkStream> WaitForAsync(int port)
    {
        for (var watch = Stopwatch.StartNew(); watch.Elapsed < TimeSpan.FromSeconds(20);)
        {
            if (await TryConnectAsync(port) is { } stream)
            {
                return stream;
            }

            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System);
        }

        throw new TimeoutException("the proxy did not start");
    }

    [Theory]
    [InlineData("")]
    [InlineData("--max-memory 4096")]
    public async Task With_no_descriptor_left_those_served_are_unharmed_and_it_recovers(string watched)
    {
        await using var scripts = new ProxyHarness();
        var port = await KeepAsync(directory, scripts);
        var process = Start($"--concurrency 1 {watched}", descriptors: 120);
        await using var held = await WaitForAsync(port);
        Assert.EndsWith("ok", await AskAsync(held));

        // The kernel takes these, the proxy cannot.
        var flood = new List<NetworkStream>();
        for (var i = 0; i < 200; i++)
        {
            if (await TryConnectAsync(port) is { } stream)
            {
                flood.Add(stream);
            }
        }

        for (var watch = Stopwatch.StartNew(); watch.Elapsed < TimeSpan.FromSeconds(1);)
        {
            Assert.EndsWith("ok", await AskAsync(held));
        }

        flood.ForEach(f => f.Dispose());
        await using var after = await WaitForAsync(port);
        Assert.EndsWith("ok", await AskAsync(after));
        Assert.False(process.HasExited);
    }

    [Fact]
    public async Task A_new_process_takes_over_from_the_old_one()
    {
        await using var scripts = new ProxyHarness();
        var port = await KeepAsync(directory, scripts);
        var socket = Path.Combine(directory, "handover.sock");
        var old = Start($"--handover {socket}");
        await using (var stream = await WaitForAsync(port))
        {
            Assert.EndsWith("ok", await AskAsync(stream));
        }

        Assert.True(SpinWait.SpinUntil(() => File.Exists(socket), TimeSpan.FromSeconds(10)));
        var young = Start($"--handover {socket}");
        for (var watch = Stopwatch.StartNew(); !old.HasExited && watch.Elapsed < TimeSpan.FromSeconds(20);)
        {
            await using var stream = await TryConnectAsync(port);
            Assert.True(stream is not null, "a connection was refused");
            Assert.EndsWith("ok", await AskAsync(stream));
        }

        Assert.True(old.HasExited, await File.ReadAllTextAsync(Path.Combine(directory, "log")));
        Assert.Equal(0, old.ExitCode);
        await using var after = await WaitForAsync(port);
        Assert.EndsWith("ok", await AskAsync(after));
        Assert.False(young.HasExited);
    }
}
