using System.Globalization;
using System.Text;
using Weir.Proxy.Filters;
using Weir.Proxy.Http;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Simulation;

/// <summary>
/// A filter that knows which exchanges are under way, so that each that begins is seen to end, once, and in time. Now and then it
/// answers itself, or keeps the exchange waiting.
/// </summary>
sealed class ExchangeWatch(SimulationState state, Settings settings) : HttpFilter
{
    /// <summary>The timer wheel's resolution, twice, and what the clock may move between two turns.</summary>
    const int Slack = 64;

    /// <summary>In some courses most exchanges wait, and for long, so that some end meanwhile and wait again for another request.</summary>
    readonly bool isSlow = state.Seed % 8 == 3;
    readonly Dictionary<IFilteredExchange, Open> open = [];
    readonly List<FilterTicket> waiting = [];

    /// <summary>Of exchanges that were over before they went on: they are used nevertheless, late.</summary>
    readonly List<FilterTicket> late = [];

    sealed class Open(RequestPlan plan)
    {
        public RequestPlan Plan => plan;
        public long Start;
        public int RouteMilliseconds;
        public SocketAddressV4 Client;
        public long LastUsed;
    }

    public override FilterHooks Hooks => FilterHooks.Request | FilterHooks.Outcome;

    public int Count => open.Count;

    public int RouteMilliseconds { get; set; }

    public override FilterVerdict OnRequest(IFilteredExchange exchange)
    {
        var request = exchange.Request;
        var name = Encoding.ASCII.GetString((request.IsConnect ? request.Authority : request.Target).Of(exchange.RequestBytes));
        var id = int.Parse(request.IsConnect ? name.Split('.')[0][1..] : name[1..], CultureInfo.InvariantCulture);
        var plan = state.Plans[id];
        if (!open.TryAdd(exchange, new Open(plan) { Client = exchange.Downstream.Peer }))
        {
            throw new InvariantException($"the exchange of {open[exchange].Plan.Id} was given to {id} before its end");
        }

        Begin(open[exchange]);
        state.Trace.Add("exchange begins", id);
        if (settings.IsBenign || state.IsStill || !state.Random.Chance(isSlow ? 70 : 6))
        {
            return FilterVerdict.Continue;
        }

        if (state.Random.Chance(isSlow ? 5 : 50))
        {
            exchange.Reply(Cause.Overload);
            return FilterVerdict.Reply;
        }

        waiting.Add(exchange.Wait());
        return FilterVerdict.Wait;
    }

    void Begin(Open exchange)
    {
        exchange.Start = exchange.LastUsed = state.Now;
        exchange.RouteMilliseconds = RouteMilliseconds;
    }

    public override void OnOutcome(IFilteredExchange exchange)
    {
        // What could not be read as a request is not shown to filters before.
        if (open.Remove(exchange, out var ended))
        {
            state.Trace.Add("exchange ends", ended.Plan.Id, exchange.Facts.Status, exchange.Facts.Details);
        }

        late.AddRange(waiting.Where(t => t.Exchange == exchange));
        waiting.RemoveAll(t => t.Exchange == exchange);
    }

    /// <summary>Lets one of those that wait go on, in the loop's next turn.</summary>
    /// <returns>False when none waits.</returns>
    public bool Continue(EventLoop loop)
    {
        if (waiting.Count > 0)
        {
            loop.Post(ContinueOne);
        }

        return waiting.Count > 0;
    }

    void ContinueOne()
    {
        // The worst moment is when the exchange waits again, for another request.
        if (late.FindIndex(t => waiting.Exists(w => w.Exchange == t.Exchange)) is >= 0 and var found)
        {
            var ticket = late[found];
            late.RemoveAt(found);
            if (state.Random.Chance(50))
            {
                ticket.Continue();
            }
            else
            {
                ticket.Reply(Cause.Overload);
            }

            return;
        }

        if (waiting.Count == 0 || (isSlow && !state.IsStill && !state.Random.Chance(10)))
        {
            return;
        }

        var next = waiting[state.Random.Below(waiting.Count)];
        waiting.Remove(next);
        if (!next.IsGood)
        {
            throw new InvariantException($"the exchange of {open[next.Exchange].Plan.Id} has gone on without what it waits for");
        }

        Begin(open[next.Exchange]);
        if (state.Random.Chance(90))
        {
            next.Continue();
        }
        else
        {
            next.Reply(Cause.Overload);
        }
    }

    /// <summary>The proxy uses a socket.</summary>
    public void OnUse(SimulatedSocket socket)
    {
        if (socket.Tap is RequestTap { Requests.Count: > 0 } tap)
        {
            OnUse(tap.Requests[^1].Plan.Id);
        }
        else if (socket.Tap is ResponseTap { Plan: { } plan })
        {
            OnUse(plan.Id);
        }
    }

    /// <summary>The proxy has read something.</summary>
    public void OnRead(SimulatedSocket socket)
    {
        if (socket.Tap is ResponseTap { Plan: { } plan })
        {
            plan.LastRead = state.Now;
        }
    }

    /// <summary>Something was asked of a socket on behalf of a request.</summary>
    public void OnUse(int id)
    {
        foreach (var exchange in open.Values)
        {
            if (exchange.Plan.Id == id)
            {
                exchange.LastUsed = state.Now;
            }
        }
    }

    const int MaximumAttempts = 3;

    /// <summary>After a turn: no exchange is later than it may be.</summary>
    public void CheckTimes()
    {
        foreach (var exchange in open.Values)
        {
            if (exchange.Plan.IsAnswered || IsBlocked(exchange.Client))
            {
                continue;
            }

            if (exchange.RouteMilliseconds > 0 && state.Now > exchange.Start + exchange.RouteMilliseconds + Slack)
            {
                throw new InvariantException($"request {exchange.Plan.Id} began at {exchange.Start}, has {exchange.RouteMilliseconds} ms by its route, and no answer at {state.Now}");
            }

            // What an attempt sends by HTTP/2 on its way cannot be told apart from that of others; it moves the deadline nevertheless.
            if (state.Now > exchange.LastUsed + (settings.StreamIdleMilliseconds * (settings.IsChained ? 1 + MaximumAttempts : 1)) + Slack)
            {
                throw new InvariantException($"nothing moves in request {exchange.Plan.Id} since {exchange.LastUsed}, and it was not ended at {state.Now}");
            }
        }
    }

    bool IsBlocked(SocketAddressV4 client) => state.Kernel.Sockets.Any(s => s.Remote == client && (s.WantsSpace || s.IsSpaceHidden));

    /// <summary>It was ended because nothing moved.</summary>
    public void CheckIdle(RequestPlan plan)
    {
        // Where it passes twice, the first is the one that waits for longest. It moves when what comes of the client goes on to the
        // upstream; what only drains from a buffer is for nobody to see.
        var starts = open.Values.Where(e => e.Plan == plan).Select(e => e.Start).ToList();
        var moved = Math.Max(Math.Min(plan.LastMoved, plan.LastRead), starts.Count == 0 ? 0 : starts.Min());
        if (starts.Count > 0 && state.Now < moved + settings.StreamIdleMilliseconds - Slack)
        {
            throw new InvariantException($"request {plan.Id} was ended as idle at {state.Now}, though it moved at {moved}");
        }
    }
}
