using System.Net.Sockets;
using System.Runtime.InteropServices;
using Weir.Proxy.App;
using Weir.Proxy.Configuration;
using Weir.Proxy.Lifecycle;
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
var log = new ProxyLog(time, Console.Error) { Level = options.LogLevel };
using var stopping = new CancellationTokenSource();
var stopped = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
void OnSignal(PosixSignalContext context)
{
    context.Cancel = true;
    stopped.TrySetResult();
}

using var sigterm = PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal);
using var sigint = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal);

var engine = new ProxyEngine(options.Engine, new StatsRegistry(options.Engine.Concurrency), time, log);
var store = new ConfigStore(engine, options.Identity);
var kept = options.StateDirectory is null ? null : new LastGoodConfiguration(Path.Combine(options.StateDirectory, "last-good.bin"), store, log, time);
var trimmer = new MemoryTrimmer(time, log);
var predecessor = options.HandoverSocket is null ? null : Handover.Take(options.HandoverSocket);
engine.IsReady = () => store.IsReady;
engine.OnQuit = () => stopped.TrySetResult();
engine.OnQuiet = trimmer.Touch;
try
{
    engine.Start(predecessor?.Sockets);
    kept?.Load();
}
catch (IOException e)
{
    Console.Error.WriteLine(e.Message);
    return 1;
}

log.Info($"{options.Identity.Id} started, control plane {(options.ControlPlaneSocket is { } unix ? $"unix:{unix}" : options.ControlPlane)}");
var handover = Task.CompletedTask;
void TakeOver()
{
    if (predecessor is { } before && store.IsReady)
    {
        predecessor = null;
        before.Confirm();
        engine.CloseInherited();
        log.Info("took over from the running proxy");
    }

    if (predecessor is null && options.HandoverSocket is { } path && handover.IsCompleted)
    {
        handover = Handover.OfferAsync(path, engine.ListeningSockets, () => stopped.TrySetResult(), log, stopping.Token);
    }
}

store.OnApplied = _ =>
{
    kept?.Touch();
    trimmer.Touch();
    TakeOver();
};
TakeOver();
var ads = new AdsClient(ConnectAsync, options.ControlPlane.Authority, options.Identity.ToNode(), store, time, log.Warning);
var following = Task.Run(() => ads.RunAsync(stopping.Token));
var keeping = kept?.RunAsync(stopping.Token) ?? Task.CompletedTask;
trimmer.Touch();
var trimming = trimmer.RunAsync(stopping.Token);
await stopped.Task;
log.Info("draining");
await stopping.CancelAsync();
await following;
await keeping;
await trimming;
await handover;
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
    catch (SocketException) when (options.ControlPlaneSocket is { } path && !File.Exists(path))
    {
        socket.Dispose();
        throw new IOException($"there is no socket {path}");
    }
    catch
    {
        socket.Dispose();
        throw;
    }
}
