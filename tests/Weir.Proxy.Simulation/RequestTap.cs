using System.Globalization;
using System.Text;

namespace Weir.Proxy.Simulation;

/// <summary>Where in what an upstream is sent a request has its parts.</summary>
sealed record ReceivedRequest(RequestPlan Plan, long HeadEnd)
{
    /// <summary>Null while it is not complete.</summary>
    public long? End { get; set; }
}

/// <summary>What the proxy sends to an upstream: whole requests, each with nothing but its own.</summary>
sealed class RequestTap(SimulationState state, SimulatedSocket socket) : MessageTap
{
    RequestPlan? plan;
    long position;

    public List<ReceivedRequest> Requests { get; } = [];

    /// <summary>Of what the upstream has sent, how much was whole answers.</summary>
    public long AnswersEnd { get; set; }

    public int Answered { get; set; }

    protected override void CheckHeadStart(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length == 1 && bytes[0] is < (byte)'A' or > (byte)'Z')
        {
            throw new InvariantException($"an upstream is sent '{(char)bytes[0]}' where a request should begin, after the request {plan?.Id}");
        }
    }

    protected override void Begin(Head head)
    {
        var parts = head.StartLine.Split(' ');
        if (parts.Length != 3 || parts[2] != "HTTP/1.1")
        {
            throw new InvariantException($"an upstream is sent the request line {head.StartLine}");
        }

        var target = parts[0] == "CONNECT" ? parts[1].Split(':')[0].Split('.')[0][1..] : parts[1].TrimStart('/');
        if (!int.TryParse(target, NumberStyles.None, CultureInfo.InvariantCulture, out var id) || !state.Plans.TryGetValue(id, out plan))
        {
            throw new InvariantException($"an upstream is sent the request line {head.StartLine}, which nobody has asked for");
        }

        if (parts[0] != plan.Method || head.Get("x-id") != id.ToString(CultureInfo.InvariantCulture))
        {
            throw new InvariantException($"an upstream is sent request {id} with parts of another: {head.StartLine}, x-id {head.Get("x-id")}");
        }

        _ = head.Get("host") ?? throw new InvariantException("an upstream is sent a request without host");
        plan.HeadsSeen++;
        if (plan.HeadsSeen > 1 && !plan.MayBeRepeated)
        {
            throw new InvariantException($"request {id}, {plan.Method}, was sent twice");
        }

        position = 0;
        state.Watch.OnUse(id);
        state.Trace.Add("upstream is sent request", socket.Descriptor, id);
        Requests.Add(new ReceivedRequest(plan, Position));
        var announced = head.Announced();
        Expect(plan.IsTunnel && plan.Answer.Framing == Framing.Close ? -2 : announced == -2 ? 0 : announced);
    }

    protected override void Content(ReadOnlySpan<byte> bytes)
    {
        var foreign = Tagged.FirstForeign(bytes, plan!.RequestToken, position);
        if (foreign >= 0)
        {
            var around = bytes[Math.Max(0, foreign - 8)..Math.Min(bytes.Length, foreign + 60)];
            throw new InvariantException($"the content of request {plan.Id} has foreign bytes at {position + foreign}: {Encoding.Latin1.GetString(around)}");
        }

        position += bytes.Length;
        plan.LastMoved = state.Now;
        state.Watch.OnUse(plan.Id);
    }

    protected override void Trailers(Head fields)
    {
        if (fields.Get("x-request-trailer") != plan!.Id.ToString(CultureInfo.InvariantCulture))
        {
            throw new InvariantException($"request {plan.Id} has the trailers of another");
        }
    }

    protected override void End()
    {
        Requests[^1].End = Position;
        if (!plan!.IsTunnel && position != plan.Length)
        {
            throw new InvariantException($"request {plan.Id} looks complete to its upstream with {position} of {plan.Length} bytes");
        }
    }
}
