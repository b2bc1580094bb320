using System.Text;

namespace Weir.Proxy.Simulation;

enum Framing
{
    None,
    Length,
    Chunked,

    /// <summary>By the end of the connection.</summary>
    Close,
}

/// <summary>When an upstream begins to answer.</summary>
enum AnswerMoment
{
    AfterRequest,

    /// <summary>At once, but the request is read on.</summary>
    AfterHead,

    /// <summary>At once, and the rest of the request is never read.</summary>
    InsteadOfBody,
}

/// <summary>What goes wrong with an answer, at <see cref="AnswerPlan.FaultAt"/> of its bytes.</summary>
enum AnswerFault
{
    None,
    Silence,
    End,
    Reset,
    Garbage,

    /// <summary>More than the answer, behind it.</summary>
    Surplus,

    /// <summary>100 Continue without end.</summary>
    EndlessInterim,
}

/// <summary>What an upstream answers a request with.</summary>
sealed record AnswerPlan
{
    public int Status { get; init; } = 200;
    public Framing Framing { get; init; }
    public int Length { get; init; }
    public bool HasTrailers { get; init; }
    public int[] Interims { get; init; } = [];
    public AnswerMoment Moment { get; init; }
    public AnswerFault Fault { get; init; }

    /// <summary>Of 100 parts of the answer.</summary>
    public int FaultAt { get; init; }
    public bool SaysClose { get; init; }

    /// <summary>Of a tunnel: does not end its direction before the client has ended the other.</summary>
    public bool EndsAfterPeer { get; init; }

    /// <summary>Closes behind the answer, said or not.</summary>
    public bool Closes { get; init; }
    public int DelayMilliseconds { get; init; }
}

/// <summary>A request, what is to be answered, and what has become of both.</summary>
sealed class RequestPlan(int id)
{
    public int Id => id;
    public string Method { get; init; } = "GET";
    public Framing Framing { get; init; }
    public int Length { get; init; }
    public bool HasTrailers { get; init; }
    public bool Expects { get; init; }
    public bool IsHttp10 { get; init; }
    public bool Closes { get; init; }

    /// <summary>Asks for another protocol, by Upgrade or CONNECT.</summary>
    public bool IsTunnel { get; init; }

    /// <summary>Of a tunnel: does not end its direction before the upstream has ended the other.</summary>
    public bool EndsAfterPeer { get; init; }

    /// <summary>Does not wait for the answer before.</summary>
    public bool IsPipelined { get; init; }

    /// <summary>Pauses at this place of the body.</summary>
    public int PauseAt { get; init; } = -1;
    public int PauseMilliseconds { get; init; }
    public AnswerPlan Answer { get; init; } = new();

    public bool IsHead => Method == "HEAD";

    public bool MayBeRepeated => Framing == Framing.None && Method is "GET" or "HEAD" or "PUT" or "DELETE" && !IsTunnel;

    public override string ToString() =>
        $"{Method} {Id} ({Framing}, {Length} bytes{(IsTunnel ? ", a tunnel" : "")}{(EndsAfterPeer ? " that ends after its peer" : "")}), answered by {Answer}";

    /// <summary>How often an upstream has read the head.</summary>
    public int HeadsSeen { get; set; }

    public bool IsAnswered { get; set; }

    /// <summary>The answer was the upstream's and whole.</summary>
    public bool IsServed { get; set; }

    /// <summary>The last time that something was read of its client.</summary>
    public long LastRead { get; set; } = -1;

    /// <summary>The last time that content of it was sent to an upstream.</summary>
    public long LastMoved { get; set; } = -1;

    public byte[] RequestToken { get; } = Encoding.ASCII.GetBytes($"<{id}>");

    public byte[] AnswerToken { get; } = Encoding.ASCII.GetBytes($"[{id}]");

    /// <summary>How much of an answer's content the client must have for it to be whole.</summary>
    public int AnswerLength => IsHead || Answer.Status is 204 or 304 || Answer.Framing == Framing.None ? 0 : Answer.Length;
}

/// <summary>Content in which every piece says whose it is.</summary>
static class Tagged
{
    public static void Fill(Span<byte> target, byte[] token, long position)
    {
        for (var i = 0; i < target.Length; i++)
        {
            target[i] = token[(int)((position + i) % token.Length)];
        }
    }

    /// <returns>Where the first foreign byte is; -1 for nowhere.</returns>
    public static int FirstForeign(ReadOnlySpan<byte> content, byte[] token, long position)
    {
        for (var i = 0; i < content.Length; i++)
        {
            if (content[i] != token[(int)((position + i) % token.Length)])
            {
                return i;
            }
        }

        return -1;
    }
}
