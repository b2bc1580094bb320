using System.Globalization;
using System.Text;

namespace Weir.Proxy.Simulation;

/// <summary>What the proxy sends to a client: to each request its own answer, whole, or an error of the proxy's own, or an end that cannot be mistaken.</summary>
sealed class ResponseTap(SimulationState state, SimulatedSocket socket, IReadOnlyList<RequestPlan> requests) : MessageTap
{
    static readonly HashSet<int> OwnStatuses = [400, 404, 408, 413, 431, 501, 502, 503, 504, 505];

    readonly StringBuilder text = new();
    int next;
    long position;
    int status;
    bool isOwn;
    bool isTunnel;

    public ClientProgress Progress { get; } = new();

    /// <summary>Requests of which the client has sent at least a byte, so that an answer may come.</summary>
    public Func<int> Begun { get; set; } = () => 0;

    /// <summary>Where in what the client sends its requests begin.</summary>
    public long[] Starts { get; set; } = [];

    /// <summary>What is to be answered next.</summary>
    public RequestPlan? Plan => next < requests.Count ? requests[next] : null;

    protected override void CheckHeadStart(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length <= 7 && !"HTTP/1."u8.StartsWith(bytes))
        {
            throw new InvariantException($"a client is sent '{(char)bytes[^1]}' where an answer should begin");
        }
    }

    protected override void Begin(Head head)
    {
        var line = head.StartLine;
        if (line.Length < 13 || !int.TryParse(line.AsSpan(9, 3), NumberStyles.None, CultureInfo.InvariantCulture, out status))
        {
            throw new InvariantException($"a client is sent the status line {line}");
        }

        if (status is >= 100 and < 200 and not 101)
        {
            CheckInterim(head);
            ExpectHead();
            return;
        }

        var id = head.Get("x-id");
        isOwn = id is null;
        position = 0;
        text.Clear();
        if (isOwn && !OwnStatuses.Contains(status))
        {
            throw new InvariantException($"a client is sent {line} without x-id, which is nobody's answer");
        }

        if (next >= Begun() && !(isOwn && head.Get("connection") == "close"))
        {
            throw new InvariantException($"a client is sent {line} and has not asked for anything");
        }

        if (!isOwn && id != Plan!.Id.ToString(CultureInfo.InvariantCulture))
        {
            throw new InvariantException($"a client is sent the answer to {id} in the place of that to {Plan.Id}");
        }

        if (!isOwn && status != Plan!.Answer.Status && !(Plan.IsTunnel && status is 101 or 200))
        {
            throw new InvariantException($"a client is sent status {status} in the place of {Plan.Answer.Status}");
        }

        state.Trace.Add(isOwn ? "client is sent an error" : "client is sent the answer to", isOwn ? status : Plan!.Id, Plan?.Id ?? 0);
        if (Plan is { } plan)
        {
            plan.IsAnswered = true;
        }

        Progress.Heads.Add((Position, status, isOwn, head.Get("connection") == "close"));
        isTunnel = !isOwn && Plan!.IsTunnel && (status == 101 || (Plan.Method == "CONNECT" && status == 200));
        var announced = head.Announced();

        // Before it has read the method the proxy cannot know that there is to be no content.
        var isHead = Plan is { IsHead: true } && socket.BytesRead >= Starts[next] + "HEAD ".Length;
        Expect(isTunnel ? -2 : isHead || status is 204 or 304 ? 0 : announced);
    }

    void CheckInterim(Head head)
    {
        if (Plan is null || Plan.IsHttp10)
        {
            throw new InvariantException($"a client is sent {head.StartLine} and cannot understand it");
        }

        if (head.Get("x-id") is { } id && id != Plan.Id.ToString(CultureInfo.InvariantCulture))
        {
            throw new InvariantException($"a client is sent {head.StartLine} of {id} in the place of {Plan.Id}");
        }

        if (status == 100)
        {
            Progress.Continues.Add(Position);
        }
    }

    protected override void Content(ReadOnlySpan<byte> bytes)
    {
        if (isOwn)
        {
            text.Append(Encoding.Latin1.GetString(bytes));
        }
        else if (Tagged.FirstForeign(bytes, Plan!.AnswerToken, position) is >= 0 and var foreign)
        {
            throw new InvariantException($"the answer to {Plan.Id} has foreign bytes at {position + foreign}: {Encoding.Latin1.GetString(bytes[foreign..Math.Min(bytes.Length, foreign + 40)])}");
        }

        position += bytes.Length;
    }

    protected override void Trailers(Head fields)
    {
        if (fields.Get("x-trailer") != Plan!.Id.ToString(CultureInfo.InvariantCulture))
        {
            throw new InvariantException($"the answer to {Plan.Id} has the trailers of another");
        }
    }

    protected override void End()
    {
        if (isTunnel)
        {
            Progress.Ends.Add(Position);
            Plan!.IsServed = !state.IsBenign || position == Plan.Answer.Length;
        }
        else if (isOwn)
        {
            if (Plan is { } failed)
            {
                state.OnOwnAnswer(failed, status, text.ToString());
            }

            Progress.Ends.Add(Position);
        }
        else
        {
            var plan = Plan!;
            if (position != plan.AnswerLength)
            {
                throw new InvariantException($"the answer to {plan.Id} looks complete with {position} of {plan.AnswerLength} bytes");
            }

            plan.IsServed = true;
            Progress.Ends.Add(Position);
        }

        next++;
    }
}

/// <summary>Where in what a client is sent its milestones lie: it knows of one when it has read so far.</summary>
sealed class ClientProgress
{
    public List<(long At, int Status, bool IsOwn, bool Closes)> Heads { get; } = [];

    public List<long> Continues { get; } = [];

    public List<long> Ends { get; } = [];
}
