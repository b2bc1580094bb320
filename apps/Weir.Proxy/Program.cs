using System.Runtime.InteropServices;
using Weir.Proxy.Admin;
using Weir.Proxy.App;
using Weir.Proxy.Configuration;
using Weir.Proxy.Lifecycle;
using Weir.Proxy.Listeners;
using Weir.Proxy.Overload;
using Weir.Proxy.Reactor;
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

// How long the end waits for whoever reads the log.
var logPatience = TimeSpan.FromSeconds(2);
var time = TimeProvider.System;
using var lines = QueuedWriter.StandardError();
var log = new ProxyLog(time, lines) { Level = options.LogLevel };
using var stopping = new CancellationTokenSource();
var stopped = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
void OnSignal(PosixSignalContext context)
{
    context.Cancel = true;
    stopped.TrySetResult();
}

using var sigterm = PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal);
using var sigint = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal);

DescriptorLimit.Raise();
var engine = new ProxyEngine(options.Engine, new StatsRegistry(options.Engine.Concurrency), time, log);
AdminListeners.Add(engine, options.Admin);
var store = new ConfigStore(engine, options.Identity);
var kept = options.StateDirectory is null ? null : new LastGoodConfiguration(Path.Combine(options.StateDirectory, "last-good.bin"), store, log, time);
var trimmer = new MemoryTrimmer(time, log);
var predecessor = options.HandoverSocket is null ? null : Handover.Take(options.HandoverSocket, log);
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
    lines.Flush(logPatience);
    Console.Error.WriteLine(Failure.Describe(e));
    return 1;
}

log.Info($"{options.Identity.Id} started, control plane {options.ControlPlane.Server}");
foreach (var warning in options.ControlPlane.Warnings)
{
    log.Warning(warning);
}

var handover = Task.CompletedTask;
void TakeOver()
{
    if (predecessor is { } before && store.IsReady && engine.ServesInherited)
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
var ads = new AdsClient(
    options.ControlPlane.Server, options.ControlPlane.Node ?? options.Identity.ToNode(), store, options.ControlPlane.Client, time,
    new Random(Entropy.NextSeed()), log.Warning);
store.OnRecovered = ads.Recover;
engine.ControlPlane = ads.Status;
var following = Task.Run(() => ads.RunAsync(stopping.Token));
var keeping = kept?.RunAsync(stopping.Token) ?? Task.CompletedTask;
trimmer.Touch();
var trimming = trimmer.RunAsync(stopping.Token);

// None of these ends before it is told to. One that does leaves a proxy that looks well and is not.
var retrying = BusyListeners.RunAsync(store, time, stopping.Token);
Task[] parts = kept is null ? [following, trimming, retrying] : [following, trimming, retrying, keeping];
var ended = await Task.WhenAny([stopped.Task, .. parts]);
var hasFailed = ended != stopped.Task;
if (hasFailed)
{
    log.Error($"a task of the proxy has ended, which ends the proxy: {ended.Exception?.GetBaseException().ToString().ReplaceLineEndings(" ")}");
}

log.Info("draining");
await stopping.CancelAsync();
foreach (var task in parts.Append(handover))
{
    await task.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
}

await engine.DrainAsync(options.DrainLimit, time);
lines.Flush(logPatience);
return hasFailed ? 70 : 0;
