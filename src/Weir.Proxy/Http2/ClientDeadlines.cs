namespace Weir.Proxy.Http2;

/// <summary>Until when a connection to an upstream may go on as it is, and what becomes of it then.</summary>
/// <param name="idleMilliseconds">0 for no limit, as in the options.</param>
struct ClientDeadlines(Http2Options options, int idleMilliseconds)
{
    /// <summary>How long an upstream that seems to be gone has to answer a PING.</summary>
    const int SuspectMilliseconds = 5000;

    /// <summary>A client that goes away at once says nothing of the upstream.</summary>
    const int PatienceMilliseconds = 100;

    /// <summary>What is waited for.</summary>
    enum Wait : byte
    {
        /// <summary>The upstream has not said its settings yet: is HTTP/2 spoken there?</summary>
        Settings,

        /// <summary>There are no streams: does anybody need the connection?</summary>
        Idle,

        /// <summary>There are: a PING asks whether the upstream is there.</summary>
        Ping,

        /// <summary>A PING has to be answered.</summary>
        Answer,

        /// <summary>The same, of an upstream that seems to be gone.</summary>
        Suspect,
    }

    Wait kind;

    /// <summary><see cref="long.MaxValue"/> for none.</summary>
    public long Due { get; private set; } = long.MaxValue;

    /// <summary>No requests are sent until a PING has come back.</summary>
    public readonly bool IsSuspect => kind == Wait.Suspect;

    public void ExpectSettings(long now, int milliseconds) => Set(Wait.Settings, now, milliseconds);

    public void OnSettings(long now)
    {
        if (kind == Wait.Settings)
        {
            Set(Wait.Idle, now, idleMilliseconds);
        }
    }

    /// <summary>A stream was opened.</summary>
    public void OnOpened(long now)
    {
        if (kind == Wait.Idle)
        {
            Set(Wait.Ping, now, options.PingIntervalMilliseconds);
        }
    }

    /// <summary>The last stream is over. A PING that was sent still has to be answered.</summary>
    public void OnUnused(long now)
    {
        if (kind == Wait.Ping)
        {
            Set(Wait.Idle, now, idleMilliseconds);
        }
    }

    /// <summary>The deadline has come.</summary>
    /// <returns>Whether a PING is to be sent; else the connection is to end.</returns>
    public bool TryPing(long now)
    {
        if (kind != Wait.Ping)
        {
            return false;
        }

        Set(Wait.Answer, now, options.PingTimeoutMilliseconds);
        return true;
    }

    /// <summary>A request that was sent at a time was given up, and nothing has come since.</summary>
    /// <returns>Whether a PING is to be sent.</returns>
    public bool TrySuspect(long now, long since)
    {
        if (IsSuspect || now - since < PatienceMilliseconds)
        {
            return false;
        }

        Set(Wait.Suspect, now, SuspectMilliseconds);
        return true;
    }

    /// <summary>A PING has come back.</summary>
    public void OnAnswer(long now, bool isServing)
    {
        if (kind >= Wait.Answer)
        {
            Set(isServing ? Wait.Ping : Wait.Idle, now, isServing ? options.PingIntervalMilliseconds : idleMilliseconds);
        }
    }

    void Set(Wait kind, long now, int milliseconds) => (this.kind, Due) = (kind, milliseconds > 0 ? now + milliseconds : long.MaxValue);
}
