using Weir.Xds.Http2;

namespace Weir.Xds.Client;

/// <summary>Which of xDS's two variants a client speaks.</summary>
public enum AdsVariant
{
    /// <summary>Each response says what has changed (<c>DeltaAggregatedResources</c>).</summary>
    Incremental,

    /// <summary>Each response says all there is of a type (<c>StreamAggregatedResources</c>).</summary>
    StateOfTheWorld,

    /// <summary>Incremental, until a server says that it does not have it.</summary>
    Automatic,
}

public sealed record AdsClientOptions
{
    public AdsVariant Variant { get; init; } = AdsVariant.Incremental;

    public KeepAliveOptions KeepAlive { get; init; } = KeepAliveOptions.Default;

    /// <summary>Before the first attempt after a stream that worked; doubled after each that did not.</summary>
    public TimeSpan FirstBackoff { get; init; } = TimeSpan.FromMilliseconds(50);

    /// <summary>Says in words what went wrong; a program that carries none of the runtime's texts has its own.</summary>
    public Func<Exception, string> Describe { get; init; } = static e => e.Message;

    public TimeSpan MaximumBackoff { get; init; } = TimeSpan.FromSeconds(2);
}
