using Weir.Proxy.Reactor;

namespace Weir.Proxy.Simulation;

/// <summary>How a client ends its connection.</summary>
enum Departure
{
    /// <summary>When it has all its answers.</summary>
    Closes,

    /// <summary>It leaves that to the proxy.</summary>
    Lingers,

    /// <summary>Says that it sends no more as soon as it has sent all, and reads on.</summary>
    HalfCloses,
    ClosesEarly,
    Resets,

    /// <summary>Neither reads nor writes any more.</summary>
    FallsSilent,
}

/// <summary>A client's connection that speaks HTTP/1.1.</summary>
sealed class Http1Client(SimulationState state, SimulatedListener listener, List<RequestPlan> requests, Departure departure, long startAt) : IClient
{
    readonly byte[] buffer = new byte[8192];
    readonly List<Piece> pieces = Piece.Cut(requests, state.Random);
    ResponseTap tap = null!;
    SimulatedSocket? socket;
    int piece;
    int written;
    long received;
    long resumeAt = -1;
    long leaveAt = -1;

    public bool IsDone { get; private set; }

    public IReadOnlyList<RequestPlan> Requests => requests;

    public long NextDue => IsDone ? long.MaxValue : socket is null ? startAt : resumeAt > state.Now ? resumeAt : long.MaxValue;

    int Answers => tap.Progress.Ends.Count(e => e <= received);

    public bool Act()
    {
        if (IsDone || state.Now < startAt)
        {
            return false;
        }

        if (socket is null)
        {
            return Connect();
        }

        if (departure == Departure.FallsSilent && leaveAt >= 0 && socket.BytesWritten >= leaveAt)
        {
            return false;
        }

        return state.Random.Chance(50) ? Read() || Write() : Write() || Read();
    }

    bool Connect()
    {
        socket = state.Network.ConnectTo(listener);
        if (socket is null)
        {
            IsDone = true;
            return true;
        }

        socket.Peer!.Tap = tap = new ResponseTap(state, socket.Peer, requests);
        tap.Begun = () => pieces.Take(piece + (written > 0 ? 1 : 0)).Select(p => p.Request).LastOrDefault(-1) + 1;
        tap.Starts = [.. requests.Select((_, i) => pieces.Where(p => p.Request < i).Sum(p => (long)p.Bytes.Length))];
        var total = pieces.Sum(p => p.Bytes.Length);
        leaveAt = departure is Departure.ClosesEarly or Departure.Resets or Departure.FallsSilent ? state.Random.Below(total + 1) : -1;
        return true;
    }

    bool Read()
    {
        var read = socket!.Read(buffer.AsSpan(0, state.Random.Skewed(buffer.Length)), isPeek: false);
        if (read == -Native.Eagain)
        {
            return false;
        }

        if (read <= 0)
        {
            End(resets: false);
            return true;
        }

        received += read;
        return true;
    }

    void End(bool resets)
    {
        if (resets)
        {
            socket!.Abort();
        }
        else
        {
            socket!.Close();
        }

        IsDone = true;
    }

    bool Write()
    {
        if (leaveAt >= 0 && socket!.BytesWritten >= leaveAt)
        {
            End(departure == Departure.Resets);
            return true;
        }

        var isRefused = tap.Progress.Heads.Exists(h => h.At <= received && h.Closes);
        if (piece == pieces.Count || isRefused)
        {
            return Depart(isRefused);
        }

        var next = pieces[piece];
        if (!MaySend(next, out var isSkipped))
        {
            return false;
        }

        if (isSkipped)
        {
            // The answer came instead of the invitation to send.
            piece = pieces.Count;
            return true;
        }

        if (state.Now < resumeAt)
        {
            return false;
        }

        var limit = next.PauseAt > written && next.PauseAt < next.Bytes.Length ? next.PauseAt : next.Bytes.Length;
        var count = socket!.Write(next.Bytes.AsSpan(written, state.Random.Skewed(limit - written)));
        if (count == -Native.Eagain)
        {
            return false;
        }

        if (count < 0)
        {
            // The proxy has closed; what it said before can still be read.
            piece = pieces.Count;
            return true;
        }

        OnWritten(next, count, limit);
        return true;
    }

    void OnWritten(Piece current, int count, int limit)
    {
        written += count;
        if (written == current.Bytes.Length)
        {
            piece++;
            written = 0;
        }
        else if (written == limit)
        {
            resumeAt = state.Now + requests[current.Request].PauseMilliseconds;
        }
    }

    bool MaySend(Piece next, out bool isSkipped)
    {
        isSkipped = false;
        var plan = requests[next.Request];
        if (written > 0)
        {
            return true;
        }

        if (!next.IsContent)
        {
            return plan.IsPipelined || Answers >= next.Request;
        }

        var head = tap.Progress.Heads.Where(h => h.At <= received).Skip(next.Request).Select(h => ((int Status, bool IsOwn)?)(h.Status, h.IsOwn)).FirstOrDefault();
        if (plan.IsTunnel)
        {
            var isAgreed = head is { IsOwn: false, Status: 101 } || (head is { IsOwn: false, Status: 200 } && plan.Method == "CONNECT");
            isSkipped = head is not null && !isAgreed;
            return head is not null;
        }

        if (!plan.Expects)
        {
            return true;
        }

        isSkipped = head is not null;
        return isSkipped || tap.Progress.Continues.Exists(c => c <= received) || ExpectsNoLonger();
    }

    /// <summary>It does not wait for an invitation for ever.</summary>
    bool ExpectsNoLonger()
    {
        if (resumeAt < 0)
        {
            resumeAt = state.Now + 250;
        }

        return state.Now >= resumeAt;
    }

    bool Depart(bool isRefused)
    {
        var isTunnel = requests[^1].IsTunnel && tap.Progress.Heads.Count == requests.Count;
        if ((isTunnel ? !requests[^1].EndsAfterPeer : departure == Departure.HalfCloses) && !socket!.IsShut)
        {
            socket.Shut();
            return true;
        }

        if (departure == Departure.Closes && !isTunnel && (Answers == requests.Count || (isRefused && Answers == tap.Progress.Heads.Count)))
        {
            End(resets: false);
            return true;
        }

        return false;
    }

    public bool WasDismissed(RequestPlan request) => tap is null || tap.Progress.Heads.FindIndex(h => h.Closes) is >= 0 and var at && at < requests.IndexOf(request);

    public void Leave(bool resets)
    {
        if (!IsDone && socket is not null)
        {
            End(resets);
        }

        IsDone = true;
    }
}
