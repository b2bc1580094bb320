using Weir.Proxy.Tls;

namespace Weir.Proxy.Tests;

public class HandshakeSchedulerTests
{
    const int Timeout = 15_000;
    const int FullHandshake = 10;

    sealed class Entry(ulong source) : HandshakeEntry
    {
        public ulong From => source;
    }

    static Entry Enqueue(HandshakeScheduler scheduler, ulong source, long now, bool speaks)
    {
        var entry = new Entry(source);
        Assert.True(scheduler.Enqueue(entry, source, now, Timeout, out var shed));
        Assert.Null(shed);
        if (speaks)
        {
            scheduler.Ready(entry, FullHandshake, now);
        }

        return entry;
    }

    static List<Entry> Take(HandshakeScheduler scheduler, int budget)
    {
        var taken = new List<Entry>();
        while (scheduler.TryDequeue(ref budget, out var entry))
        {
            taken.Add((Entry)entry);
        }

        return taken;
    }

    [Fact]
    public void Many_honest_clients_at_once_are_all_served_and_none_is_given_up()
    {
        var scheduler = new HandshakeScheduler(HandshakeLimits.Default);
        for (var i = 0; i < 2000; i++)
        {
            Enqueue(scheduler, 1, 0, speaks: true);
        }

        var served = 0;
        for (long now = 0; served < 2000 && now < Timeout; now += 5)
        {
            foreach (var entry in Take(scheduler, 8 * FullHandshake))
            {
                scheduler.Remove(entry);
                served++;
            }
        }

        Assert.Equal((2000, 0), (served, scheduler.Count));
    }

    [Fact]
    public void Silent_connections_hold_no_more_than_their_bound_and_keep_nobody_out_for_long()
    {
        var scheduler = new HandshakeScheduler(new HandshakeLimits(MaximumPending: 1000, MaximumSilent: 100, Patience: 1000));
        for (var i = 0; i < 100; i++)
        {
            Enqueue(scheduler, 666, i, speaks: false);
        }

        // Nobody is given up who may be about to speak: the newcomer waits outside.
        var honest = new Entry(1);
        Assert.False(scheduler.Enqueue(honest, 1, 500, Timeout, out var shed));
        Assert.Null(shed);

        // Later the oldest of the greedy makes room, one for each.
        for (var i = 0; i < 10; i++)
        {
            Assert.True(scheduler.Enqueue(new Entry((ulong)i), (ulong)i, 1050 + i, Timeout, out shed));
            Assert.Equal(666ul, Assert.IsType<Entry>(shed).From);
            Assert.Equal((100, 100), (scheduler.Silent, scheduler.Count));
        }
    }

    [Fact]
    public void What_waits_for_us_is_never_given_up()
    {
        var scheduler = new HandshakeScheduler(new HandshakeLimits(MaximumPending: 50, MaximumSilent: 50, Patience: 1000));
        for (var i = 0; i < 50; i++)
        {
            Enqueue(scheduler, 1, 0, speaks: true);
        }

        Assert.False(scheduler.Enqueue(new Entry(2), 2, 10_000, Timeout, out var shed));
        Assert.Null(shed);

        // One that has to wait for its client again, and does for long, may go.
        var stalled = Take(scheduler, 1).Single();
        scheduler.Await(stalled);
        Assert.True(scheduler.Enqueue(new Entry(2), 2, 10_000, Timeout, out shed));
        Assert.Same(stalled, shed);
    }

    [Fact]
    public void Sources_take_turns()
    {
        var scheduler = new HandshakeScheduler(HandshakeLimits.Default);
        for (var i = 0; i < 1000; i++)
        {
            Enqueue(scheduler, 666, 0, speaks: true);
        }

        Enqueue(scheduler, 1, 0, speaks: true);
        Enqueue(scheduler, 2, 0, speaks: true);

        Assert.Equal([666ul, 1, 2, 666], Take(scheduler, 4 * FullHandshake).Select(e => e.From));
    }

    [Fact]
    public void A_turn_does_as_much_as_its_budget_and_at_least_one()
    {
        var scheduler = new HandshakeScheduler(HandshakeLimits.Default);
        for (var i = 0; i < 10; i++)
        {
            Enqueue(scheduler, 1, 0, speaks: true);
        }

        Assert.Equal((1, 3, 0), (Take(scheduler, 1).Count, Take(scheduler, 25).Count, Take(scheduler, 0).Count));
        Assert.Equal(6, scheduler.Queued);
    }

    [Fact]
    public void Deadlines_hold_while_it_queues_too()
    {
        var scheduler = new HandshakeScheduler(HandshakeLimits.Default);
        var queued = Enqueue(scheduler, 1, 0, speaks: true);
        var silent = Enqueue(scheduler, 1, 1, speaks: false);

        Assert.Equal(Timeout, scheduler.NextDeadline);
        Assert.False(scheduler.Expire(Timeout - 1, out _));
        Assert.True(scheduler.Expire(Timeout + 1, out var first));
        Assert.True(scheduler.Expire(Timeout + 1, out var second));
        Assert.False(scheduler.Expire(long.MaxValue, out _));

        Assert.Equal([queued, silent], [first!, second!]);
        Assert.Empty(Take(scheduler, 100));
    }

    /// <summary>Whatever is called in whatever order: what is counted is what is there, and bounds hold.</summary>
    [Fact]
    public void Its_books_are_right_after_every_step()
    {
        for (var seed = 0; seed < 200; seed++)
        {
            var random = new Random(seed);
            var limits = new HandshakeLimits(MaximumPending: 30, MaximumSilent: 10, Patience: 20);
            var scheduler = new HandshakeScheduler(limits);
            var inside = new Dictionary<Entry, HandshakeEntry.Stage>();
            long now = 0;
            Entry? Any(params HandshakeEntry.Stage[] stages) => inside.Where(e => stages.Contains(e.Value)).Select(e => e.Key).OrderBy(_ => random.Next()).FirstOrDefault();
            for (var step = 0; step < 500; step++)
            {
                now += random.Next(3);
                switch (random.Next(7))
                {
                    case 0 or 1:
                        var entry = new Entry((ulong)random.Next(6));
                        if (scheduler.Enqueue(entry, entry.From, now, random.Next(1, 100), out var shed))
                        {
                            inside[entry] = HandshakeEntry.Stage.Silent;
                        }

                        if (shed is Entry gone)
                        {
                            Assert.Contains(inside[gone], new[] { HandshakeEntry.Stage.Silent, HandshakeEntry.Stage.Waiting });
                            inside.Remove(gone);
                        }

                        break;
                    case 2 when Any(HandshakeEntry.Stage.Silent, HandshakeEntry.Stage.Waiting, HandshakeEntry.Stage.Running) is { } ready:
                        scheduler.Ready(ready, random.Next(1, 20), now);
                        inside[ready] = HandshakeEntry.Stage.Queued;
                        break;
                    case 3:
                        foreach (var taken in Take(scheduler, random.Next(30)))
                        {
                            Assert.Equal(HandshakeEntry.Stage.Queued, inside[taken]);
                            inside[taken] = HandshakeEntry.Stage.Running;
                        }

                        break;
                    case 4 when Any(HandshakeEntry.Stage.Running) is { } running:
                        scheduler.Await(running);
                        inside[running] = HandshakeEntry.Stage.Waiting;
                        break;
                    case 5 when Any(Enum.GetValues<HandshakeEntry.Stage>()) is { } removed:
                        scheduler.Remove(removed);
                        scheduler.Remove(removed);
                        inside.Remove(removed);
                        break;
                    case 6:
                        while (scheduler.Expire(now, out var expired))
                        {
                            Assert.True(inside.Remove((Entry)expired));
                        }

                        Assert.True(scheduler.NextDeadline > now);
                        break;
                }

                Assert.Equal(
                    (inside.Count, inside.Values.Count(s => s == HandshakeEntry.Stage.Silent), inside.Values.Count(s => s == HandshakeEntry.Stage.Queued)),
                    (scheduler.Count, scheduler.Silent, scheduler.Queued));
                Assert.True(scheduler.Count <= limits.MaximumPending && scheduler.Silent <= limits.MaximumSilent, $"seed {seed}");
            }
        }
    }
}
