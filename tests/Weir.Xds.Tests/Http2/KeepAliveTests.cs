using Weir.Xds.Http2;
using Weir.Xds.Tests.Client;

namespace Weir.Xds.Tests.Http2;

public sealed class KeepAliveTests
{
    static readonly TimeSpan Interval = KeepAliveOptions.Default.Interval;
    static readonly TimeSpan Timeout = KeepAliveOptions.Default.Timeout;

    [Fact]
    public async Task A_dead_peer_is_noticed()
    {
        var time = new ManualTimeProvider();
        using var peer = new ScriptedPeer();
        await using var run = new ClientRun(peer.Address, time: time);
        using var connection = await peer.AcceptAsync();
        await time.PassAsync(Interval);
        await connection.ReadToAsync(FrameType.Ping);
        await time.PassAsync(Timeout);

        await run.Log.HasAsync("the control plane has not answered a ping for 10 s");
        Assert.Equal(1, run.Client.Status.Streams);
    }

    [Fact]
    public async Task A_peer_that_answers_pings_is_alive()
    {
        var time = new ManualTimeProvider();
        using var peer = new ScriptedPeer();
        await using var run = new ClientRun(peer.Address, time: time);
        using var connection = await peer.AcceptAsync();
        await connection.OpenAsync();
        await connection.ReadToAsync(FrameType.Settings, isAnswer: true);
        var silence = Interval;
        for (var i = 0; i < 3; i++)
        {
            await time.PassAsync(silence);
            await connection.WriteAsync(FrameType.Ping, Http2Frame.Acknowledge, 0, await connection.ReadToAsync(FrameType.Ping));

            // Once it answers this, it has read what came before.
            await connection.WriteAsync(FrameType.Ping, 0, 0, new byte[8]);
            await connection.ReadToAsync(FrameType.Ping, isAnswer: true);
            await time.PassAsync(Timeout);

            // The silence is counted from the answer, so part of it is over.
            silence = Interval - Timeout;
        }

        Assert.Empty(run.Log.Lines);
    }

    [Fact]
    public async Task A_server_that_wants_fewer_pings_gets_fewer()
    {
        using var peer = new ScriptedPeer();
        await using var run = new ClientRun(peer.Address);
        for (var i = 0; i < 2; i++)
        {
            using var connection = await peer.AcceptAsync();
            await connection.OpenAsync();
            await connection.WriteAsync(FrameType.GoAway, 0, 0, [0, 0, 0, 1, 0, 0, 0, 0xb, .. "too_many_pings"u8]);
        }

        await run.Log.HasAsync("from now on after 60 s of silence");
        await run.Log.HasAsync("from now on after 120 s of silence");
    }
}
