namespace Weir.Proxy.Tls;

/// <summary>A handshake as its scheduler sees it. Whatever performs handshakes derives from it; the fields are the scheduler's.</summary>
abstract class HandshakeEntry
{
    public enum Stage
    {
        /// <summary>Not with a scheduler.</summary>
        None,

        /// <summary>The peer has sent nothing yet.</summary>
        Silent,

        /// <summary>The peer has said something and must say more.</summary>
        Waiting,

        /// <summary>It waits for us.</summary>
        Queued,

        /// <summary>A step is being done.</summary>
        Running,
    }

    internal readonly LinkedListNode<HandshakeEntry> InStage;
    internal readonly LinkedListNode<HandshakeEntry> InSilence;
    internal HandshakeSource? Source;
    internal Stage At;
    internal long Number;
    internal long Deadline;
    internal long ProgressAt;
    internal int Cost;

    protected HandshakeEntry()
    {
        InStage = new(this);
        InSilence = new(this);
    }
}

/// <summary>All handshakes of one address.</summary>
sealed class HandshakeSource
{
    public readonly LinkedListNode<HandshakeSource> InTurns;
    public readonly LinkedList<HandshakeEntry> Silent = new();
    public readonly LinkedList<HandshakeEntry> Waiting = new();
    public readonly LinkedList<HandshakeEntry> Queued = new();
    public int Running;

    /// <summary>How it stands in the order of greed; kept apart, as what an ordered set is ordered by must not change in it.</summary>
    public int Greed;

    public HandshakeSource(ulong key)
    {
        Key = key;
        InTurns = new(this);
    }

    public ulong Key { get; }

    public int OfPeers => Silent.Count + Waiting.Count;

    public bool IsEmpty => OfPeers + Queued.Count + Running == 0;
}
