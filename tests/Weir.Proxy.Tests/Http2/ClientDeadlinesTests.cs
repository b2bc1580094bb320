using Weir.Proxy.Http2;

namespace Weir.Proxy.Tests.Http2;

public class ClientDeadlinesTests
{
    const int Idle = 1000;
    const int Interval = 100;
    const int Timeout = 30;

    static readonly Http2Options Options = new() { PingIntervalMilliseconds = Interval, PingTimeoutMilliseconds = Timeout };

    /// <summary>With a stream, since 0.</summary>
    static ClientDeadlines Serving()
    {
        var deadlines = new ClientDeadlines(Options, Idle);
        deadlines.OnSettings(0);
        deadlines.OnOpened(0);
        return deadlines;
    }

    [Fact]
    public void Settings_are_waited_for_and_then_requests()
    {
        var deadlines = new ClientDeadlines(Options, Idle);
        deadlines.ExpectSettings(5, 200);
        Assert.Equal(205, deadlines.Due);

        deadlines.OnSettings(7);
        deadlines.OnSettings(9);

        Assert.Equal(7 + Idle, deadlines.Due);
        Assert.False(deadlines.TryPing(7 + Idle));
    }

    [Fact]
    public void What_is_not_limited_has_no_deadline()
    {
        var deadlines = new ClientDeadlines(new Http2Options(), 0);
        deadlines.ExpectSettings(0, 0);
        Assert.Equal(long.MaxValue, deadlines.Due);
        deadlines.OnSettings(1);
        Assert.Equal(long.MaxValue, deadlines.Due);
        deadlines.OnOpened(2);
        Assert.Equal(long.MaxValue, deadlines.Due);
    }

    [Fact]
    public void Requests_put_off_neither_a_ping_nor_its_answer()
    {
        var deadlines = Serving();
        deadlines.OnOpened(50);
        Assert.Equal(Interval, deadlines.Due);

        Assert.True(deadlines.TryPing(Interval));
        deadlines.OnOpened(Interval + 10);

        Assert.Equal(Interval + Timeout, deadlines.Due);
        Assert.False(deadlines.TryPing(Interval + Timeout));
    }

    [Theory]
    [InlineData(true, Interval)]
    [InlineData(false, Idle)]
    public void After_an_answer_it_goes_on_as_before(bool isServing, int next)
    {
        var deadlines = Serving();
        deadlines.TryPing(Interval);

        deadlines.OnAnswer(Interval + 7, isServing);

        Assert.Equal(Interval + 7 + next, deadlines.Due);
    }

    [Fact]
    public void An_answer_that_nobody_waits_for_changes_nothing()
    {
        var deadlines = Serving();

        deadlines.OnAnswer(60, isServing: true);

        Assert.Equal(Interval, deadlines.Due);
    }

    [Fact]
    public void The_end_of_the_last_stream_begins_idleness_but_excuses_no_answer()
    {
        var (quiet, asked) = (Serving(), Serving());
        asked.TryPing(Interval);

        quiet.OnUnused(Interval + 1);
        asked.OnUnused(Interval + 1);

        Assert.Equal(Interval + 1 + Idle, quiet.Due);
        Assert.Equal(Interval + Timeout, asked.Due);
    }

    [Fact]
    public void An_upstream_that_seems_gone_is_asked_once_and_trusted_when_it_answers()
    {
        var deadlines = Serving();
        Assert.False(deadlines.TrySuspect(99, since: 0));
        Assert.True(deadlines.TrySuspect(100, since: 0));
        Assert.False(deadlines.TrySuspect(200, since: 0));
        Assert.True(deadlines.IsSuspect);
        deadlines.OnUnused(200);
        Assert.Equal(5100, deadlines.Due);

        deadlines.OnAnswer(300, isServing: false);

        Assert.False(deadlines.IsSuspect);
        Assert.Equal(300 + Idle, deadlines.Due);
    }
}
