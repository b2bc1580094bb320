using Weir.Proxy.Reactor;

namespace Weir.Proxy.Simulation;

/// <summary>Stands in for Linux: descriptors, edge-triggered events and a clock that moves only when it is told to.</summary>
sealed unsafe class SimulatedKernel(Network network, SimulationRandom random, KernelFaults faults, Trace trace) : Kernel
{
    readonly DescriptorTable descriptors = new();
    readonly List<SimulatedListener> listeners = [];
    long now = 1000;

    public override long Milliseconds => now;

    /// <summary>What comes of reading takes so long to be worked on.</summary>
    public int MillisecondsOfRead { get; init; }

    public long Calls { get; private set; }

    public int OpenDescriptors => descriptors.Count;

    /// <summary>Called for what the proxy opens, so that it can be watched.</summary>
    public Action<SimulatedSocket> OnUse { get; set; } = _ => { };

    /// <summary>Called when something was read.</summary>
    public Action<SimulatedSocket> OnRead { get; init; } = _ => { };

    public IEnumerable<SimulatedSocket> Sockets => descriptors.Sockets;

    public bool HasEvents => network.Ready.Count > 0 || listeners.Exists(l => l is { Key: not null, Backlog.Count: > 0 });

    public void AdvanceTo(long milliseconds) => now = Math.Max(now, milliseconds);

    public SimulatedSocket SocketOf(int fd) => (SimulatedSocket)descriptors.Find(fd)!;

    /// <summary>A bound socket, to be given to a worker.</summary>
    public int Bind(SimulatedListener listener) => descriptors.Add(listener);

    T Called<T>(int fd)
    {
        Calls++;
        if (faults.Arrival > 0 && random.PerMille(faults.Arrival))
        {
            network.Deliver();
        }

        if (descriptors.Find(fd) is not T found)
        {
            throw new InvariantException($"descriptor {fd} was used, which is not open");
        }

        if (found is SimulatedSocket socket)
        {
            OnUse(socket);
        }

        return found;
    }

    public override int Wait(KernelEvent[] events, int timeoutMilliseconds)
    {
        var count = 0;
        foreach (var listener in listeners)
        {
            if (listener is { Key: { } key, Backlog.Count: > 0 })
            {
                events[count++] = new KernelEvent(key, SocketEvents.Readable);
            }
        }

        while (network.Ready.Count > 0 && count < events.Length)
        {
            var at = random.Below(network.Ready.Count);
            var socket = network.Ready[at];
            network.Ready.RemoveAt(at);
            socket.IsReady = false;
            if (socket.Key is { } key && Readiness.Of(socket) is not SocketEvents.None and var found)
            {
                events[count++] = new KernelEvent(key, found);
            }
        }

        return count;
    }

    public override void Wake()
    {
        // Nobody sleeps.
    }

    public override int Watch(int fd, ulong key)
    {
        var socket = Called<SimulatedSocket>(fd);
        if (random.PerMille(faults.NotWatched))
        {
            trace.Add("not watched", fd);
            return -28;
        }

        socket.Key = key;
        socket.Descriptor = fd;
        network.Signal(socket);
        return 0;
    }

    public override int WatchAccept(int fd, ulong key)
    {
        Called<SimulatedListener>(fd).Key = key;
        return 0;
    }

    public override void Forget(int fd)
    {
        if (descriptors.Find(fd) is SimulatedListener listener)
        {
            listener.Key = null;
        }
        else
        {
            Called<SimulatedSocket>(fd).Key = null;
        }
    }

    public override int Open()
    {
        Calls++;
        if (random.PerMille(faults.NoDescriptor))
        {
            trace.Add("no descriptor");
            return -Native.Emfile;
        }

        return descriptors.Add(network.NewSocket());
    }

    public override int Connect(int fd, SocketAddressV4 address)
    {
        var result = network.Connect(Called<SimulatedSocket>(fd), address);
        trace.Add("connect", fd, result, address.ToString());
        return result;
    }

    public override int ConnectResult(int fd) => Called<SimulatedSocket>(fd).ConnectResult();

    public override int Accept(int fd, out SocketAddressV4 peer)
    {
        var listener = Called<SimulatedListener>(fd);
        peer = default;
        if (listener.Backlog.Count == 0)
        {
            return -Native.Eagain;
        }

        if (random.PerMille(faults.NoDescriptor))
        {
            trace.Add("accept: no descriptor");
            return -Native.Emfile;
        }

        var socket = listener.Backlog.Dequeue();
        peer = socket.Remote;
        var accepted = descriptors.Add(socket);
        trace.Add("accept", accepted, peer.Port);
        return accepted;
    }

    public override int Receive(int fd, byte* buffer, int length) => Read(fd, buffer, length, isPeek: false);

    public override int Peek(int fd, byte* buffer, int length) => Read(fd, buffer, length, isPeek: true);

    int Read(int fd, byte* buffer, int length, bool isPeek)
    {
        var socket = Called<SimulatedSocket>(fd);
        var result = random.PerMille(faults.Interrupted) && !isPeek ? -Native.Eintr : socket.Read(new Span<byte>(buffer, length), isPeek);
        trace.Add(isPeek ? "peek" : "read", fd, result);
        now += MillisecondsOfRead;
        if (result > 0)
        {
            OnRead(socket);
        }

        return result;
    }

    public override int Send(int fd, byte* buffer, int length)
    {
        var socket = Called<SimulatedSocket>(fd);
        int result;
        if (random.PerMille(faults.Interrupted))
        {
            result = -Native.Eintr;
        }
        else if (random.PerMille(faults.NoRoom) && !socket.IsReset)
        {
            socket.WantsSpace = socket.IsSpaceHidden = true;
            result = -Native.Eagain;
        }
        else
        {
            result = socket.Write(new ReadOnlySpan<byte>(buffer, random.PerMille(faults.ShortWrite) ? random.Skewed(length) : length));
        }

        trace.Add("send", fd, result);
        return result;
    }

    public override void ShutdownWrite(int fd)
    {
        trace.Add("shut", fd);
        Called<SimulatedSocket>(fd).Shut();
    }

    public override void Close(int fd)
    {
        trace.Add("close", fd);
        if (descriptors.Find(fd) is SimulatedListener listener)
        {
            listener.IsClosed = true;
            listener.Key = null;
            while (listener.Backlog.TryDequeue(out var waiting))
            {
                waiting.Abort();
            }
        }
        else
        {
            Called<SimulatedSocket>(fd).Close();
        }

        descriptors.Remove(fd);
    }

    public override void Reset(int fd)
    {
        trace.Add("reset", fd);
        Called<SimulatedSocket>(fd).Abort();
        descriptors.Remove(fd);
    }

    public override SocketAddressV4 LocalAddress(int fd) => Called<SimulatedSocket>(fd).Local;

    public void Listen(SimulatedListener listener) => listeners.Add(listener);
}
