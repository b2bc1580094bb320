using System.Globalization;
using System.Text;

namespace Weir.Proxy.Simulation;

/// <summary>Messages as bytes.</summary>
static class Rendering
{
    public static byte[] RequestHead(RequestPlan plan)
    {
        var isConnect = plan.Method == "CONNECT";
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"{plan.Method} {(isConnect ? $"i{plan.Id}.test:443" : $"/{plan.Id}")} HTTP/1.{(plan.IsHttp10 ? 0 : 1)}\r\n");
        text.Append(CultureInfo.InvariantCulture, $"Host: {(isConnect ? $"i{plan.Id}.test:443" : "test")}\r\nX-Id: {plan.Id}\r\n");
        text.Append(plan.Closes ? "Connection: close\r\n" : "");
        text.Append(plan.IsTunnel && !isConnect ? "Connection: Upgrade\r\nUpgrade: websocket\r\n" : "");
        text.Append(plan.Expects ? "Expect: 100-continue\r\n" : "");
        text.Append(plan.Framing switch
        {
            Framing.Length => string.Create(CultureInfo.InvariantCulture, $"Content-Length: {plan.Length}\r\n"),
            Framing.Chunked => "Transfer-Encoding: chunked\r\n",
            _ => "",
        });
        return Encoding.ASCII.GetBytes(text.Append("\r\n").ToString());
    }

    public static byte[] RequestContent(RequestPlan plan, SimulationRandom random) => Content(
        plan.Framing == Framing.Chunked, plan.Length, plan.RequestToken, plan.HasTrailers ? $"X-Request-Trailer: {plan.Id}\r\n" : "", random);

    /// <param name="end">Where the answer ends; what is behind that is surplus.</param>
    public static byte[] Answer(RequestPlan plan, SimulationRandom random, out int end)
    {
        var answer = plan.Answer;
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"HTTP/1.1 {answer.Status} Because\r\nX-Id: {plan.Id}\r\n");
        text.Append(answer.Status == 101 ? "Connection: Upgrade\r\nUpgrade: websocket\r\n" : answer.SaysClose ? "Connection: close\r\n" : "");
        text.Append(answer.Framing switch
        {
            Framing.Length => string.Create(CultureInfo.InvariantCulture, $"Content-Length: {answer.Length}\r\n"),
            Framing.Chunked => "Transfer-Encoding: chunked\r\n",
            _ => "",
        });
        text.Append("\r\n");
        var content = plan.IsHead || answer.Framing == Framing.None ? []
            : Content(answer.Framing == Framing.Chunked, answer.Length, plan.AnswerToken, answer.HasTrailers ? $"X-Trailer: {plan.Id}\r\n" : "", random);
        byte[] whole = [.. Encoding.ASCII.GetBytes(text.ToString()), .. content];
        end = whole.Length;
        return answer.Fault == AnswerFault.Surplus && answer.Framing != Framing.Close ? [.. whole, .. "surplus\r\n\r\n"u8] : whole;
    }

    public static byte[] Interim(RequestPlan plan, int status) =>
        Encoding.ASCII.GetBytes(status == 100 ? "HTTP/1.1 100 Continue\r\n\r\n" : $"HTTP/1.1 {status} Hint\r\nX-Id: {plan.Id}\r\n\r\n");

    static byte[] Content(bool isChunked, int length, byte[] token, string trailers, SimulationRandom random)
    {
        var bytes = new byte[length];
        Tagged.Fill(bytes, token, 0);
        if (!isChunked)
        {
            return bytes;
        }

        var result = new List<byte>(length + 64);
        for (var at = 0; at < length;)
        {
            var count = Math.Min(length - at, random.Pick(1, 7, 100, 2000, 20_000));
            result.AddRange(Encoding.ASCII.GetBytes($"{count:x}\r\n"));
            result.AddRange(bytes.AsSpan(at, count));
            result.AddRange("\r\n"u8);
            at += count;
        }

        result.AddRange(Encoding.ASCII.GetBytes($"0\r\n{trailers}\r\n"));
        return [.. result];
    }
}
