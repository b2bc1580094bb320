using Weir.Proxy.Reactor;

namespace Weir.Proxy.Simulation;

/// <summary>
/// One end of a TCP connection, as Linux has it: bytes that were sent lie in flight until the network delivers them, a reset is told
/// once as an error and looks like an end from then on, and a socket that is closed with unread bytes resets its peer.
/// </summary>
sealed class SimulatedSocket(Network network, SocketAddressV4 local, SocketAddressV4 remote, int capacity)
{
    readonly BytesUnderWay incoming = new();
    bool isEndSent;
    bool isResetSent;
    int error;

    public SimulatedSocket? Peer { get; set; }

    public SocketAddressV4 Local => local;

    public SocketAddressV4 Remote { get; set; } = remote;

    /// <summary>The bytes that the network has delivered of those that are unread.</summary>
    public int Visible => incoming.Visible;

    public int Unread => incoming.Unread;

    public bool IsEndVisible { get; private set; }

    public bool IsReset { get; private set; }

    public bool IsShut { get; private set; }

    public bool IsClosed { get; private set; }

    public bool IsConnecting { get; set; }

    public bool IsUnconnected { get; set; }

    /// <summary>A writer has found no room: it is told when there is some.</summary>
    public bool WantsSpace { get; set; }

    /// <summary>The last write was refused though there was room: the network tells so later.</summary>
    public bool IsSpaceHidden { get; set; }

    public long BytesRead { get; private set; }

    public long BytesWritten { get; private set; }

    public IWireTap? Tap { get; set; }

    /// <summary>Of the end that belongs to the proxy.</summary>
    public ulong? Key { get; set; }

    public bool IsReady { get; set; }

    public int Descriptor { get; set; } = -1;

    /// <summary>Whatever belongs to the connection at the other end.</summary>
    public object? Script { get; set; }

    public bool HasError => error != 0;

    /// <summary>Enough that a writer is told of it.</summary>
    public bool IsRoomy => !IsSpaceHidden && Room >= Math.Max(1, capacity / 3);

    public int Room => Peer is null ? 0 : Math.Max(0, capacity - Peer.Unread);

    public bool HasInFlight => incoming.InFlight > 0 || (isEndSent && !IsEndVisible && !IsReset) || (isResetSent && !IsReset) || IsSpaceHidden;

    public int Read(Span<byte> target, bool isPeek)
    {
        if (IsConnecting || IsUnconnected)
        {
            return -107;
        }

        if (Visible > 0)
        {
            var count = incoming.Read(target, isPeek);
            if (!isPeek)
            {
                BytesRead += count;
                Peer?.OnRoom();
            }

            return count;
        }

        return IsEndVisible ? 0 : error != 0 ? -TakeError() : IsReset ? 0 : -Native.Eagain;
    }

    void OnRoom()
    {
        if (WantsSpace && IsRoomy)
        {
            WantsSpace = false;
            network.Signal(this);
        }
    }

    public int Write(ReadOnlySpan<byte> bytes)
    {
        if (error != 0)
        {
            return -TakeError();
        }

        if (IsShut || IsReset || IsUnconnected)
        {
            return -32;
        }

        var count = IsConnecting ? 0 : Math.Min(bytes.Length, Room);
        WantsSpace |= count < bytes.Length;
        if (count == 0)
        {
            return bytes.IsEmpty ? 0 : -Native.Eagain;
        }

        Peer!.incoming.Append(bytes[..count]);
        BytesWritten += count;
        Tap?.OnWritten(bytes[..count]);
        return count;
    }

    int TakeError()
    {
        var taken = error;
        error = 0;
        return taken;
    }

    /// <summary>What came of connecting; asking takes it.</summary>
    public int ConnectResult() => -TakeError();

    public void Shut()
    {
        if (!IsShut && !IsReset && !IsConnecting && !IsUnconnected)
        {
            IsShut = true;
            if (Peer is not null)
            {
                Peer.isEndSent = true;
            }

            Tap?.OnEnd();
        }
    }

    public void Close()
    {
        if (IsClosed)
        {
            return;
        }

        if (Visible > 0 && !IsReset)
        {
            Abort();
            return;
        }

        Shut();
        IsClosed = true;
        Key = null;
        network.OnClosed(this);
    }

    public void Abort()
    {
        if (IsClosed)
        {
            return;
        }

        if (!IsReset && !IsConnecting && !IsUnconnected)
        {
            Tap?.OnReset();
            Peer?.TakeReset();
        }

        IsClosed = IsReset = true;
        Key = null;
        network.OnClosed(this);
    }

    void TakeReset() => isResetSent = true;

    /// <summary>The network brings some of what is under way.</summary>
    public void Deliver(SimulationRandom random)
    {
        if (IsSpaceHidden)
        {
            IsSpaceHidden = false;
            OnRoom();
        }

        var inFlight = incoming.InFlight;
        if (inFlight > 0 && IsClosed)
        {
            // Nobody is there to take it, and the sender is told.
            incoming.Drop();
            Peer?.TakeReset();
        }
        else if (inFlight > 0 && !IsReset && !(isResetSent && random.Chance(30)))
        {
            incoming.Deliver(random.Skewed(inFlight));
            network.Signal(this);
        }
        else if (isResetSent && !IsReset)
        {
            OnReset();
        }
        else if (isEndSent && !IsEndVisible && !IsReset)
        {
            IsEndVisible = true;
            network.Signal(this);
        }
    }

    void OnReset()
    {
        incoming.DropInFlight();
        IsReset = true;
        error = IsEndVisible ? 32 : Native.EconnReset;
        network.Signal(this);
    }

    public void OnConnected(int failure)
    {
        IsConnecting = false;
        if (failure != 0)
        {
            error = failure;
            IsReset = true;
        }

        network.Signal(this);
    }
}
