using System.Net.Sockets;
using System.Runtime.InteropServices;
using Weir.Proxy.App;
using Weir.Proxy.Configuration;
using Weir.Proxy.Listeners;
using Weir.Proxy.Telemetry;
using Weir.Xds.Client;

if (!ProxyOptions.TryParse(args, Environment.GetEnvironmentVariable, out var options, out var error))
{
    Console.Error.WriteLine(error);
    return 64;
}

if (options is null)
{
    Console.WriteLine(ProxyOptions.Help);
    return 0;
}

var time = TimeProvider.System;
void Log(string message) => Console.Error.WriteLine($"{time.GetUtcNow().UtcDateTime:yyyy-MM-dd'T'HH:mm:ss.fff'Z'} {message}");

using var stopping = new CancellationTokenSource();
var stopped = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
void OnSignal(PosixSignalContext context)
{
    context.Cancel = true;
    stopped.TrySetResult();
}

using var sigterm = PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal);
using var sigint = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal);

var stats = new StatsRegistry(options.Concurrency);
var engine = new ProxyEngine(options.Concurrency, stats, time, Environment.ProcessId, options.StatusAddress);
var store = new ConfigStore(new ConfigTranslator(stats, options.Identity), engine.Publish);
engine.IsReady = () => store.IsReady;
try
{
    engine.Start();
}
catch (IOException e)
{
    Console.Error.WriteLine(e.Message);
    return 1;
}

Log($"{options.Identity.Id} started, control plane {options.ControlPlane}");
var ads = new AdsClient(ConnectAsync, options.ControlPlane.Authority, options.Identity.ToNode(), store, time, Log);
var following = Task.Run(() => ads.RunAsync(stopping.Token));
await stopped.Task;
Log("draining");
await stopping.CancelAsync();
await following;
await engine.DrainAsync(options.DrainLimit, time);
return 0;

async Task<Stream> ConnectAsync(CancellationToken cancel)
{
    var socket = options.ControlPlaneSocket is null
        ? new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true } : new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    try
    {
        await (options.ControlPlaneSocket is { } path
            ? socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancel)
            : socket.ConnectAsync(options.ControlPlane.Host, options.ControlPlane.Port, cancel));
        return new NetworkStream(socket, ownsSocket: true);
    }
    catch
    {
        socket.Dispose();
        throw;
    }
}
