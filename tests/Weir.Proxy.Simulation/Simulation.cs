using Weir.Proxy.Exchanges;
using Weir.Proxy.Listeners;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Upstream;

namespace Weir.Proxy.Simulation;

/// <summary>One course of events: a proxy, its clients, its upstreams and everything between them, all of it told by the seed.</summary>
sealed class Simulation
{
    const int MaximumSteps = 200_000;

    readonly SimulationState state;
    readonly Settings settings;
    readonly SimulatedListener listening = new(new SocketAddressV4(0x0a000002, 80));
    readonly CheckedBufferPool buffers;
    readonly EventLoop loop;
    readonly World world;
    readonly Worker worker;
    readonly Invariants invariants;
    readonly List<IClient> clients = [];
    Exception? fault;
    int changes;

    Simulation(ulong seed, Func<SimulationRandom, Settings> settings, bool asksWho)
    {
        buffers = new CheckedBufferPool(asksWho);
        state = new SimulationState(seed);
        this.settings = settings(state.Random);
        changes = this.settings.ConfigurationChanges;
        state.IsBenign = this.settings.IsBenign;
        state.Network.SmallestBuffer = state.Random.Pick(64, 300, 4096);
        state.Kernel = new SimulatedKernel(state.Network, state.Random, this.settings.Faults, state.Trace) { OnUse = s => state.Watch.OnUse(s), OnRead = s => state.Watch.OnRead(s) };
        state.Watch = new ExchangeWatch(state, this.settings);
        loop = new EventLoop(0, new ManualTime(state), state.Kernel, buffers) { OnFault = e => fault ??= e };
        world = new World(state, this.settings);
        var exchanges = new ExchangeServices(loop, new Upstreams(loop, (uint)state.Random.Next()), new StatsRegistry(1), new RequestIdSource(seed), e => fault ??= e);
        worker = new Worker(loop, world, exchanges, this.settings.MaximumClients);
        invariants = new Invariants(state, world, worker, this.settings, buffers);
        state.Kernel.Listen(listening);
        worker.Listen(listening.Address, state.Kernel.Bind(listening), World.Outer);
        if (world.InnerListener is { Listener: var inner })
        {
            state.Kernel.Listen(inner);
            worker.Listen(inner.Address, state.Kernel.Bind(inner), World.Inner);
        }

        MakeClients();
    }

    long Steps { get; set; }

    /// <returns>How many steps it took, and a number that is the same if everything is.</returns>
    /// <exception cref="InvariantException">With what happened before.</exception>
    public static (long Steps, ulong Fingerprint) Run(ulong seed, Func<SimulationRandom, Settings>? settings = null, bool asksWho = false)
    {
        var simulation = new Simulation(seed, settings ?? Settings.Make, asksWho);
        try
        {
            simulation.RunAll();
            simulation.Settle();
        }
        catch (LeakException) when (!asksWho)
        {
            // Once more, to be told whose it was.
            return Run(seed, settings, asksWho: true);
        }
        catch (Exception e)
        {
            throw new InvariantException($"seed {seed}: {(e is InvariantException ? e.Message : e)}\n{simulation.settings}\n{simulation.state.Trace}");
        }

        simulation.loop.Dispose();
        return (simulation.Steps, simulation.state.Trace.Fingerprint);
    }

    void MakeClients()
    {
        var generator = new ScriptGenerator(state, settings);
        var count = state.Random.Between(1, 5);
        for (var i = 0; i < count; i++)
        {
            var departure = settings.IsBenign
                ? state.Random.Pick(Departure.Closes, Departure.Lingers, Departure.HalfCloses)
                : state.Random.Pick(Departure.Closes, Departure.Closes, Departure.Lingers, Departure.HalfCloses, Departure.ClosesEarly, Departure.Resets, Departure.FallsSilent);
            clients.Add(new Http1Client(state, listening, generator.Requests(), departure, state.Now + state.Random.Pick(0, 0, 30, 500)));
        }
    }

    void RunAll()
    {
        for (; Steps < MaximumSteps && !clients.TrueForAll(c => c.IsDone); Steps++)
        {
            if (!Step() && !StepAll() && !AdvanceTime())
            {
                // Those that are left have fallen silent, or wait for somebody who has.
                break;
            }
        }

        if (settings.IsBenign)
        {
            CheckServed();
        }
    }

    /// <summary>One of those who can do something does it.</summary>
    bool Step()
    {
        switch (state.Random.Below(10))
        {
            case < 4:
                return state.Network.Deliver();
            case < 6:
                return clients[state.Random.Below(clients.Count)].Act();
            case < 8:
                return world.Hosts[state.Random.Below(world.Hosts.Count)].Act();
            default:
                if (changes > 0 && state.Random.PerMille(10))
                {
                    changes--;
                    loop.Post(() => world.Change(worker));
                }

                return Turn();
        }
    }

    /// <summary>The proxy's loop goes round once.</summary>
    /// <returns>Whether it did anything.</returns>
    bool Turn()
    {
        var calls = state.Kernel.Calls;
        var hadEvents = state.Kernel.HasEvents;
        loop.RunTurn(0);
        if (fault is not null)
        {
            throw fault;
        }

        invariants.Check();
        return hadEvents || calls != state.Kernel.Calls;
    }

    /// <summary>When a chosen one had nothing to do: is there anybody who has?</summary>
    bool StepAll()
    {
        var hasMoved = state.Network.Deliver();
        foreach (var client in clients)
        {
            hasMoved |= client.Act();
        }

        foreach (var host in world.Hosts)
        {
            hasMoved |= host.Act();
        }

        hasMoved |= state.Watch.Continue(loop);

        // Deferred work takes up to two turns to show.
        return Turn() | Turn() | Turn() | hasMoved;
    }

    /// <summary>Nothing can happen now: the time comes at which something can.</summary>
    bool AdvanceTime()
    {
        invariants.CheckStandstill();
        var next = loop.Timers.NextDue;
        foreach (var client in clients)
        {
            next = Math.Min(next, client.NextDue);
        }

        foreach (var host in world.Hosts)
        {
            next = Math.Min(next, host.NextDue);
        }

        if (next == long.MaxValue)
        {
            return false;
        }

        state.Kernel.AdvanceTo(Math.Max(next, state.Now + 1));
        state.Trace.Add("time is", state.Now);
        Turn();
        return true;
    }

    /// <summary>An upgrade that the upstream answers as a request without one: HTTP/2, on the way, has no word for that.</summary>
    bool IsDeclined(RequestPlan request) => settings.IsChained && request.IsTunnel && request.Method == "GET" && request.Answer.Framing != Framing.Close;

    void CheckServed()
    {
        foreach (var client in clients)
        {
            foreach (var request in client.Requests)
            {
                if (!request.IsServed && !client.WasDismissed(request) && !IsDeclined(request))
                {
                    throw new InvariantException($"request {request.Id} was not served, though nothing was wrong\n{request}");
                }
            }
        }
    }

    /// <summary>Everybody leaves, or does nothing any more: what is left must end by itself and in time.</summary>
    void Settle()
    {
        state.IsStill = true;
        var leaves = state.Random.Chance(50);
        foreach (var client in clients.Where(_ => leaves))
        {
            client.Leave(state.Random.Chance(50));
        }

        var limit = state.Now + settings.LongestMilliseconds;
        while (state.Network.Deliver() | state.Watch.Continue(loop) | Turn() | Turn() | Turn() || loop.Timers.NextDue < long.MaxValue)
        {
            Steps++;
            if (!state.Kernel.HasEvents && !Busy())
            {
                invariants.CheckStandstill();
                state.Kernel.AdvanceTo(loop.Timers.NextDue == long.MaxValue ? state.Now : loop.Timers.NextDue);
            }

            if (state.Now > limit || Steps > MaximumSteps * 2)
            {
                throw new InvariantException($"{worker.Connections.Count} clients, {state.Watch.Count} exchanges and {world.Loads.Sum(l => l.Connections)} connections are not ended by any deadline");
            }
        }

        invariants.CheckStandstill();
        worker.Drain();
        invariants.CheckEnd();
    }

    bool Busy() => state.Network.Deliver() | Turn();
}
