using System.Collections.Concurrent;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using Weir.Client;
using Weir.Controllers;
using Weir.Node.Addresses;
using Weir.Node.Injection;
using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.Node.Pods;

/// <param name="Directory">One sub-directory for each pod, named by its uid.</param>
public sealed record PodAgentOptions(string NodeName, string Directory)
{
    /// <summary>
    /// How long a pod keeps serving after it was told to go: the time in which every proxy hears of it, so that no request is sent
    /// to a closed door.
    /// </summary>
    public TimeSpan DrainDelay { get; init; } = TimeSpan.FromMilliseconds(1500);

    /// <summary>A sidecar that does not become ready holds its application back no longer than this.</summary>
    public TimeSpan SidecarStartLimit { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>A log that has grown beyond this many bytes starts anew.</summary>
    public long MaximumLogBytes { get; init; } = 10 * 1024 * 1024;
}

/// <summary>
/// The node's agent, as a kubelet is: makes pods into processes, keeps them going, reports on them, and ends them gracefully. All
/// work on a pod is done under its key; exits, probes and timers only queue the key.
/// </summary>
public sealed class PodAgent : Controller
{
    readonly KubeClient client;
    readonly ResourceKind pods;
    readonly ContainerEnvironment environments;
    readonly AddressPool addresses;
    readonly PodAgentOptions options;
    readonly EventRecorder events;
    readonly Prober prober = new();
    readonly Informer informer;
    readonly ConcurrentDictionary<ObjectKey, PodState> states = [];

    public PodAgent(
        KubeClient client, KindCatalog catalog, Informers informers, ContainerEnvironment environments, AddressPool addresses,
        PodAgentOptions options, TimeProvider time, ILogger log)
        : base(time, log)
    {
        this.client = client;
        this.environments = environments;
        this.addresses = addresses;
        this.options = options;
        pods = catalog.Get("", "Pod");
        events = new EventRecorder(client, catalog, time, "kubelet");
        informer = Watch(informers.For("", "Pod"));
    }

    protected override int Workers => 8;

    /// <summary>The processes of a pod's containers; for what measures them.</summary>
    public IEnumerable<int> ProcessesOf(ObjectKey key) =>
        states.TryGetValue(key, out var state)
            ? state.Containers.Select(c => c.Process?.ProgramPid).OfType<int>().ToList() : [];

    /// <summary>The directory and the command of a running container.</summary>
    public (string Directory, ContainerCommand? Command)? Find(Resource pod, string container) =>
        states.TryGetValue(pod.Key, out var state) && state.Uid == pod.Uid
            ? (state.Directory, state.Containers.Find(c => c.Name == container)?.Command) : null;

    /// <summary>Ends the processes of pods that no longer exist, before the first reconcile: what a crash may have left behind.</summary>
    public void RemoveStrangers()
    {
        var known = informer.All.Select(p => p.Uid).ToHashSet();
        foreach (var directory in Directory.Exists(options.Directory) ? Directory.GetDirectories(options.Directory) : [])
        {
            if (!known.Contains(Path.GetFileName(directory)))
            {
                PodRecords.Kill(directory);
                Directory.Delete(directory, recursive: true);
            }
        }
    }

    protected override async Task<TimeSpan?> ReconcileAsync(ObjectKey key, CancellationToken cancel)
    {
        var pod = await client.GetAsync(pods, key, cancel);
        if (states.TryGetValue(key, out var state) && state.Uid != pod?.Uid)
        {
            // Deleted by force, or replaced: there is nothing to wait for.
            await DiscardAsync(state, cancel);
            state = null;
        }

        if (pod is null)
        {
            return null;
        }

        state ??= await CreateStateAsync(pod, cancel);
        if (state is null)
        {
            return null;
        }

        state.Pod = pod;
        await CollectExitsAsync(state, cancel);
        var again = pod.IsDeleting ? Stop(state) : await RunAsync(state, cancel);
        await WriteStatusAsync(state, cancel);
        if (pod.IsDeleting && state.Containers.TrueForAll(c => c.Process is null))
        {
            await client.DeleteAsync(pods, key, cancel, pod.Uid, graceSeconds: 0);
            await DiscardAsync(state, cancel);
            return null;
        }

        return again;
    }

    async Task<PodState?> CreateStateAsync(Resource pod, CancellationToken cancel)
    {
        if (pod.Status.Text("phase") is "Succeeded" or "Failed" && !pod.IsDeleting)
        {
            return null;
        }

        if (pod.Spec.Text("nodeName") is null)
        {
            var bound = await client.PatchAsync(pods, pod.Key, new JsonObject { ["spec"] = new JsonObject { ["nodeName"] = options.NodeName } }, cancel);
            if (!bound.IsDone)
            {
                return null;
            }

            await events.RecordAsync(pod, false, "Scheduled", $"Successfully assigned {pod.Key} to {options.NodeName}", cancel);
        }

        var address = pod.Status.Text("podIP");
        if (address is null)
        {
            address = addresses.Take();
        }
        else
        {
            addresses.Reserve(address);
        }

        var state = new PodState(pod, address, Path.Combine(options.Directory, pod.Uid))
        {
            StartTime = pod.Status.Time("startTime") ?? Time.GetUtcNow(),
        };
        Directory.CreateDirectory(state.Directory);
        states[pod.Key] = state;
        await AdoptAsync(state, cancel);
        return state;
    }

    /// <summary>Finds the containers that an earlier node process started.</summary>
    async Task AdoptAsync(PodState state, CancellationToken cancel)
    {
        foreach (var container in state.Containers)
        {
            var record = ContainerProcess.ReadRecord(state.Directory, container.Name);
            if (record is null)
            {
                continue;
            }

            container.RestartCount = record.RestartCount;
            container.StartedAt = record.StartedAt;
            container.Process = ContainerProcess.Adopt(state.Directory, record, () => Queue.Add(state.Pod.Key));
            if (container.Process is null)
            {
                container.MarkExited(ContainerProcess.ReadExitCode(state.Directory, container.Name), Time.GetUtcNow());
                continue;
            }

            container.Command = await RebuildCommandAsync(state, container, cancel);
            container.Phase = ContainerPhase.Running;

            // It was ready before and has not stopped since: it stays so until a probe says otherwise.
            container.IsReady = container.IsStarted = state.Pod.Status.Objects("containerStatuses").Any(s => s.Text("name") == container.Name && s.Flag("ready"));
            StartProbes(state, container);
        }
    }

    /// <summary>For probes and exec. What the container was made from may be gone; it runs on all the same.</summary>
    async Task<ContainerCommand> RebuildCommandAsync(PodState state, ContainerState container, CancellationToken cancel)
    {
        try
        {
            return await environments.BuildAsync(state.Pod, container.Spec, state.Address, state.Directory, cancel);
        }
        catch (ContainerConfigException e)
        {
            Log.LogWarning("adopting {Pod} {Container}: {Error}", state.Pod.Key, container.Name, e.Message);
            return new ContainerCommand([], new Dictionary<string, string>(), state.Directory);
        }
    }

    async Task CollectExitsAsync(PodState state, CancellationToken cancel)
    {
        foreach (var container in state.Containers.Where(c => c.Process is { HasExited: true }))
        {
            await EndProbesAsync(container);
            container.Process!.KillGroup();
            container.MarkExited(ContainerProcess.ReadExitCode(state.Directory, container.Name), Time.GetUtcNow());
            if (!state.Pod.IsDeleting && container.ExitCode != 0)
            {
                var isFinal = state.Pod.Spec.Text("restartPolicy") == "Never";
                await events.RecordAsync(state.Pod, true, isFinal ? "Failed" : "BackOff", $"Container {container.Name} exited with code {container.ExitCode}", cancel);
            }
        }
    }

    /// <summary>Starts what should run and is not running.</summary>
    async Task<TimeSpan?> RunAsync(PodState state, CancellationToken cancel)
    {
        var now = Time.GetUtcNow();
        var policy = state.Pod.Spec.Text("restartPolicy") ?? "Always";
        DateTimeOffset? next = null;
        foreach (var container in state.Containers)
        {
            if (!container.IsInit && !state.IsInitialized)
            {
                break;
            }

            if (container.LivenessFailure is { } failure && container.Process is { } process)
            {
                await events.RecordAsync(state.Pod, false, "Killing",
                    $"Container {container.Name} failed liveness probe, will be restarted: {failure}", cancel);
                container.LivenessFailure = null;
                process.Kill();
                continue;
            }

            if (container.Phase == ContainerPhase.Terminated && ShouldRestart(container, policy))
            {
                container.MarkRestarting(now);
            }

            if (container.Phase == ContainerPhase.Waiting)
            {
                if (container.StartAgainAt > now)
                {
                    next = next is null || container.StartAgainAt < next ? container.StartAgainAt : next;
                }
                else if (IsHeldBack(state, container, now))
                {
                    next ??= state.StartTime + options.SidecarStartLimit;
                }
                else
                {
                    await StartAsync(state, container, cancel);
                    next = container.Phase == ContainerPhase.Waiting ? container.StartAgainAt : next;
                }
            }

            if (container.IsInit && !(container.Phase == ContainerPhase.Terminated && container.ExitCode == 0))
            {
                break;
            }
        }

        KeepLogsSmall(state);
        return next is { } time ? time - now + TimeSpan.FromMilliseconds(10) : null;
    }

    static bool ShouldRestart(ContainerState container, string policy) => container.IsInit
        ? container.ExitCode != 0 && policy != "Never"
        : policy == "Always" || (policy == "OnFailure" && container.ExitCode != 0);

    /// <summary>An application waits for its sidecar, so that its first request already finds the way.</summary>
    bool IsHeldBack(PodState state, ContainerState container, DateTimeOffset now) =>
        !container.IsInit && container.Name != SidecarInjector.ContainerName && ContainerEnvironment.IsInjected(state.Pod)
        && now - state.StartTime < options.SidecarStartLimit
        && state.Containers.Find(c => c.Name == SidecarInjector.ContainerName) is { RestartCount: 0, IsReady: false };

    async Task StartAsync(PodState state, ContainerState container, CancellationToken cancel)
    {
        try
        {
            container.Command = await environments.BuildAsync(state.Pod, container.Spec, state.Address, state.Directory, cancel);
            container.CountStart();
            container.Process = ContainerProcess.Start(
                state.Directory, container.Name, container.RestartCount, container.Command, Time.GetUtcNow(), () => Queue.Add(state.Pod.Key));
        }
        catch (ContainerConfigException e)
        {
            var wasTold = container.Message == e.Message;
            container.MarkNotStartable(wasTold && e.Reason == "ErrImagePull" ? "ImagePullBackOff" : e.Reason, e.Message, Time.GetUtcNow());
            await events.RecordAsync(state.Pod, true, "Failed", $"Error: {e.Reason}: {e.Message}", cancel);
            return;
        }

        container.Phase = ContainerPhase.Running;
        container.Message = "";
        container.StartedAt = container.Process.Record.StartedAt;
        await events.RecordAsync(state.Pod, false, "Started", $"Started container {container.Name}", cancel);
        StartProbes(state, container);
    }

    void StartProbes(PodState state, ContainerState container)
    {
        var end = container.ProbesEnd = new CancellationTokenSource();
        var loop = new ProbeLoop(prober, Time, () => Queue.Add(state.Pod.Key),
            error => Log.LogDebug("probe of {Pod} {Container}: {Error}", state.Pod.Key, container.Name, error));
        container.Probes = Task.Run(() => loop.RunAsync(container, Prober.AddressOf(state.Pod, container.Spec, state.Address), end.Token), CancellationToken.None);
    }

    static async Task EndProbesAsync(ContainerState container)
    {
        if (container.ProbesEnd is { } end)
        {
            container.ProbesEnd = null;
            await end.CancelAsync();
            await container.Probes;
            end.Dispose();
        }
    }

    /// <summary>
    /// The end of a pod: it serves on until every proxy has heard, then its applications are asked to end, then its sidecar, and
    /// what is left when the grace period is over is killed.
    /// </summary>
    TimeSpan? Stop(PodState state)
    {
        var now = Time.GetUtcNow();
        var grace = TimeSpan.FromSeconds(state.Pod.Metadata.Number("deletionGracePeriodSeconds") ?? 30);
        state.StopRequestedAt ??= now;
        state.KillAt = state.StopRequestedAt + grace;
        if (now >= state.KillAt)
        {
            state.Containers.ForEach(c => c.Process?.Kill());
            return null;
        }

        var drain = state.StopRequestedAt.Value + Smaller(options.DrainDelay, grace / 2);
        if (now < drain && state.Main.Any(c => c.IsReady))
        {
            return drain - now + TimeSpan.FromMilliseconds(5);
        }

        if (!state.IsTermSent)
        {
            state.IsTermSent = true;
            foreach (var container in state.Containers.Where(c => c.Name != SidecarInjector.ContainerName))
            {
                container.Process?.Terminate();
            }
        }

        var onlySidecarLeft = state.Containers.TrueForAll(c => c.Process is null || c.Name == SidecarInjector.ContainerName);
        if (onlySidecarLeft && !state.IsSidecarTermSent)
        {
            state.IsSidecarTermSent = true;
            state.Containers.Find(c => c.Name == SidecarInjector.ContainerName)?.Process?.Terminate();
        }

        return state.KillAt.Value - now + TimeSpan.FromMilliseconds(5);
    }

    static TimeSpan Smaller(TimeSpan a, TimeSpan b) => a < b ? a : b;

    async Task DiscardAsync(PodState state, CancellationToken cancel)
    {
        states.TryRemove(state.Pod.Key, out _);
        foreach (var container in state.Containers)
        {
            await EndProbesAsync(container);
            if (container.Process is { } process)
            {
                process.Kill();
                await process.WaitForExitAsync(cancel);
            }
        }

        addresses.Release(state.Address);
        Directory.Delete(state.Directory, recursive: true);
    }

    async Task WriteStatusAsync(PodState state, CancellationToken cancel)
    {
        var now = Time.GetUtcNow();
        if (JsonNode.DeepEquals(PodStatus.Build(state, state.Pod.Status, now), state.Pod.Json["status"]))
        {
            return;
        }

        await client.ChangeAsync(pods, state.Pod.Key, fresh =>
        {
            if (fresh.Uid != state.Uid)
            {
                return false;
            }

            fresh.Json["status"] = PodStatus.Build(state, fresh.Status, now);
            return true;
        }, cancel, isStatus: true);
    }

    void KeepLogsSmall(PodState state)
    {
        foreach (var container in state.Containers)
        {
            var log = new FileInfo(ContainerProcess.LogPath(state.Directory, container.Name, container.RestartCount));
            if (log.Exists && log.Length > options.MaximumLogBytes)
            {
                // The program appends, so cutting the file under it is safe.
                using var file = log.OpenWrite();
                file.SetLength(0);
            }
        }
    }
}
