using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Listeners;

/// <summary>How bytes are passed on by a filter chain. Times are milliseconds; 0 is none.</summary>
sealed record TcpOptions
{
    public required Routing.WeightedTarget[] Targets { get; init; }
    public LoadBalancing.WeightedSchedule? Schedule { get; init; }
    public AccessLog[] AccessLogs { get; init; } = [];
    public int IdleMilliseconds { get; init; } = 3600_000;

    /// <summary>Of the whole session.</summary>
    public int MaximumMilliseconds { get; init; }
    public int ConnectAttempts { get; init; } = 1;

    public Routing.WeightedTarget Pick() => Schedule is null ? Targets[0] : Targets[Schedule.Next()];
}
