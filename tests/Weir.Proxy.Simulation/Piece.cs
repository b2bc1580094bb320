namespace Weir.Proxy.Simulation;

/// <summary>A stretch of what a client sends: the head of a request, or its content.</summary>
/// <param name="PauseAt">Of its bytes, before which the client pauses; -1 for none.</param>
sealed record Piece(int Request, byte[] Bytes, bool IsContent, int PauseAt)
{
    public static List<Piece> Cut(List<RequestPlan> requests, SimulationRandom random)
    {
        var pieces = new List<Piece>();
        for (var i = 0; i < requests.Count; i++)
        {
            var plan = requests[i];
            var head = Rendering.RequestHead(plan);
            pieces.Add(new Piece(i, head, false, plan.PauseAt >= 0 && plan.PauseAt < head.Length ? plan.PauseAt : -1));
            if (plan.Length > 0 || plan.Framing == Framing.Chunked)
            {
                pieces.Add(new Piece(i, Rendering.RequestContent(plan, random), true, plan.PauseAt));
            }
        }

        return pieces;
    }
}
