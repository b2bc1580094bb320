using System.Text.Json.Nodes;
using Weir.Resources;

namespace Weir.Node.Pods;

public enum ContainerPhase
{
    Waiting,
    Running,
    Terminated,
}

/// <summary>What the node knows of one container. Changed only under its pod's key, save for what the probes report.</summary>
sealed class ContainerState(JsonObject spec, bool isInit)
{
    /// <summary>As Kubernetes: 10 s, doubling to five minutes, forgotten after ten minutes of health.</summary>
    static readonly TimeSpan FirstBackoff = TimeSpan.FromSeconds(10);
    static readonly TimeSpan MaximumBackoff = TimeSpan.FromMinutes(5);
    static readonly TimeSpan BackoffReset = TimeSpan.FromMinutes(10);

    public JsonObject Spec { get; } = spec;
    public string Name { get; } = spec.Text("name") ?? "";
    public bool IsInit { get; } = isInit;
    public ContainerPhase Phase { get; set; }
    public string Reason { get; set; } = isInit ? "PodInitializing" : "ContainerCreating";
    public string Message { get; set; } = "";
    public ContainerProcess? Process { get; set; }
    public ContainerCommand? Command { get; set; }
    public int RestartCount { get; set; }
    public int ExitCode { get; set; }
    public DateTimeOffset StartedAt { get; set; }
    public DateTimeOffset FinishedAt { get; set; }
    public DateTimeOffset StartAgainAt { get; set; }
    public JsonObject? LastState { get; set; }

    /// <summary>Set by the probe loop.</summary>
    public volatile bool IsStarted;

    /// <summary>Set by the probe loop.</summary>
    public volatile bool IsReady;

    /// <summary>Set by the probe loop: why the container is to be restarted.</summary>
    public volatile string? LivenessFailure;

    public CancellationTokenSource? ProbesEnd { get; set; }
    public Task Probes { get; set; } = Task.CompletedTask;

    int backoffs;
    bool isRestart;

    /// <summary>Just before the container starts: what follows is another life, with a log of its own.</summary>
    public void CountStart()
    {
        RestartCount += isRestart ? 1 : 0;
        isRestart = false;
    }

    public void MarkExited(int exitCode, DateTimeOffset now)
    {
        Phase = ContainerPhase.Terminated;
        ExitCode = exitCode;
        Reason = exitCode == 0 ? "Completed" : "Error";
        FinishedAt = now;
        IsReady = false;
        IsStarted = false;
        LivenessFailure = null;
        Process = null;
        if (now - StartedAt > BackoffReset)
        {
            backoffs = 0;
        }
    }

    /// <summary>From terminated to waiting for the next start: at once the first time, then later and later.</summary>
    public void MarkRestarting(DateTimeOffset now)
    {
        LastState = new JsonObject { ["terminated"] = TerminatedState() };
        isRestart = true;
        Phase = ContainerPhase.Waiting;
        Message = "";
        if (backoffs == 0)
        {
            Reason = "ContainerCreating";
            StartAgainAt = now;
        }
        else
        {
            var delay = Backoff();
            Reason = "CrashLoopBackOff";
            Message = $"back-off {(int)delay.TotalSeconds}s restarting failed container={Name}";
            StartAgainAt = now + delay;
        }

        backoffs++;
    }

    public void MarkNotStartable(string reason, string message, DateTimeOffset now)
    {
        Phase = ContainerPhase.Waiting;
        Reason = reason;
        Message = message;
        backoffs++;
        StartAgainAt = now + Backoff();
    }

    public JsonObject ToStatus()
    {
        var status = new JsonObject
        {
            ["name"] = Name,
            ["image"] = Spec.Text("image"),
            ["imageID"] = Spec.Text("image"),
            ["ready"] = Phase == ContainerPhase.Running ? IsReady : IsInit && Phase == ContainerPhase.Terminated && ExitCode == 0,
            ["started"] = Phase == ContainerPhase.Running && IsStarted,
            ["restartCount"] = RestartCount,
            ["state"] = Phase switch
            {
                ContainerPhase.Running => new JsonObject { ["running"] = new JsonObject { ["startedAt"] = StartedAt.ToTimestamp() } },
                ContainerPhase.Terminated => new JsonObject { ["terminated"] = TerminatedState() },
                _ => new JsonObject { ["waiting"] = WaitingState() },
            },
            ["lastState"] = LastState?.DeepClone() ?? new JsonObject(),
        };
        if (Process is { } process)
        {
            status["containerID"] = $"process://{process.Record.Pid}";
        }

        return status;
    }

    TimeSpan Backoff() =>
        TimeSpan.FromTicks(Math.Min(MaximumBackoff.Ticks, FirstBackoff.Ticks << Math.Clamp(backoffs - 1, 0, 10)));

    JsonObject WaitingState()
    {
        var json = new JsonObject { ["reason"] = Reason };
        if (Message.Length > 0)
        {
            json["message"] = Message;
        }

        return json;
    }

    JsonObject TerminatedState() => new()
    {
        ["exitCode"] = ExitCode,
        ["reason"] = Reason,
        ["startedAt"] = StartedAt.ToTimestamp(),
        ["finishedAt"] = FinishedAt.ToTimestamp(),
    };
}

/// <summary>What the node knows of one pod.</summary>
sealed class PodState(Resource pod, string address, string directory)
{
    public Resource Pod { get; set; } = pod;
    public string Uid { get; } = pod.Uid;
    public string Address { get; } = address;
    public string Directory { get; } = directory;
    public DateTimeOffset StartTime { get; init; }

    public List<ContainerState> Containers { get; } =
    [
        .. pod.Spec.Objects("initContainers").Select(c => new ContainerState(c.DeepClone().AsObject(), true)),
        .. pod.Spec.Objects("containers").Select(c => new ContainerState(c.DeepClone().AsObject(), false)),
    ];

    public DateTimeOffset? StopRequestedAt { get; set; }
    public DateTimeOffset? KillAt { get; set; }
    public bool IsTermSent { get; set; }
    public bool IsSidecarTermSent { get; set; }

    public IEnumerable<ContainerState> Main => Containers.Where(c => !c.IsInit);

    public bool IsInitialized => Containers.Where(c => c.IsInit).All(c => c.Phase == ContainerPhase.Terminated && c.ExitCode == 0);
}
