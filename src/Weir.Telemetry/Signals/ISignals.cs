namespace Weir.Telemetry.Signals;

public enum SignalState
{
    Value,

    /// <summary>There was no traffic in the window.</summary>
    NoData,

    /// <summary>This process has not been watching for long enough to say anything.</summary>
    Warming,
}

/// <summary>An answer about a workload's traffic.</summary>
public readonly record struct Signal(SignalState State, double Value)
{
    public static readonly Signal NoData = new(SignalState.NoData, double.NaN);
    public static readonly Signal Warming = new(SignalState.Warming, double.NaN);

    public static Signal Of(double value) => double.IsNaN(value) ? NoData : new Signal(SignalState.Value, value);
}

/// <summary>How the requests to a workload went over the last while, as its own proxies saw it.</summary>
public interface ISignals
{
    /// <summary>Percent of responses that were not 5xx.</summary>
    Signal SuccessRate(string ns, string workload, TimeSpan window);

    /// <summary>A quantile of the durations, in milliseconds, estimated as Prometheus' <c>histogram_quantile</c> does.</summary>
    Signal Duration(string ns, string workload, double quantile, TimeSpan window);

    /// <summary>Requests a second.</summary>
    Signal Rate(string ns, string workload, TimeSpan window);
}
