namespace Weir.Proxy.Exchanges;

/// <summary>How far an exchange has come.</summary>
enum ExchangePhase : byte
{
    Idle,
    Filtering,
    Attempting,
    Relaying,

    /// <summary>An answer of the proxy's own.</summary>
    Replying,

    /// <summary>All is passed on; what is left is to be sent.</summary>
    Finishing,
}
