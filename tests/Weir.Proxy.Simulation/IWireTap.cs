namespace Weir.Proxy.Simulation;

/// <summary>Sees what the proxy writes to a connection, at the moment it is written.</summary>
interface IWireTap
{
    void OnWritten(ReadOnlySpan<byte> bytes);

    /// <summary>The proxy has ended what it writes in good order.</summary>
    void OnEnd();

    /// <summary>The proxy has aborted the connection.</summary>
    void OnReset();
}
