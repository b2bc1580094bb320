using Weir.Resources;

namespace Weir.Delivery.Routing;

/// <summary>How a mesh is told to divide a service's traffic between primary and canary.</summary>
public interface IMeshRouter
{
    /// <summary>Creates what is missing and corrects what has drifted, keeping the weights that are live.</summary>
    Task ReconcileAsync(Resource canary, CancellationToken cancel);

    /// <summary>The canary's live percentage; 0 when there are no routes.</summary>
    Task<int> GetCanaryWeightAsync(Resource canary, CancellationToken cancel);

    Task SetCanaryWeightAsync(Resource canary, int weight, CancellationToken cancel);
}
