namespace Weir.Proxy.Simulation;

/// <summary>What silent and slow TLS clients can make the proxy hold, and for how long.</summary>
public class HandshakeTests
{
    /// <summary>A turn in which handshakes are done takes time as well.</summary>
    const int Slack = 100;

    [Theory]
    [InlineData(1, 0)]
    [InlineData(2, 50)]
    [InlineData(3, 100)]
    public void A_handshake_ends_at_its_deadline_also_while_it_waits_for_its_turn(ulong seed, int trickling)
    {
        using var flood = new HandshakeFlood(seed, handshakeMilliseconds: 300);

        flood.Run(count: 1000, arrivals: 5, trickling);

        Assert.InRange(flood.LongestHeld, 0, 300 + Slack);
        Assert.Equal(0, flood.Held);
    }

    [Theory]
    [InlineData(4, 0)]
    [InlineData(5, 30)]
    public void Silent_connections_are_bounded(ulong seed, int trickling)
    {
        using var flood = new HandshakeFlood(seed, handshakeMilliseconds: 5000);

        flood.Run(count: 4000, arrivals: 20, trickling);

        Assert.InRange(flood.MostHeld, 1, Tls.HandshakeLimits.Default.MaximumSilent + (4000 * trickling / 100));
    }
}
