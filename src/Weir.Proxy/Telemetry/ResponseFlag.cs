namespace Weir.Proxy.Telemetry;

/// <summary>Why a response is not simply the upstream's; the names are Envoy's.</summary>
public enum ResponseFlag : byte
{
    None,

    /// <summary>No healthy upstream.</summary>
    UH,

    /// <summary>The upstream could not be connected to.</summary>
    UF,

    /// <summary>The upstream ended the connection.</summary>
    UC,

    /// <summary>The upstream took too long.</summary>
    UT,

    /// <summary>No route.</summary>
    NR,

    /// <summary>No such cluster.</summary>
    NC,

    /// <summary>The upstream broke the protocol.</summary>
    UPE,

    /// <summary>The downstream broke the protocol.</summary>
    DPE,

    /// <summary>The downstream ended the connection.</summary>
    DC,

    /// <summary>A limit of the cluster was reached.</summary>
    UO,

    /// <summary>Nothing was sent or received for too long.</summary>
    SI,

    /// <summary>The connection was open for as long as it may be.</summary>
    DT,

    /// <summary>This proxy has too much to do.</summary>
    OM,
}
