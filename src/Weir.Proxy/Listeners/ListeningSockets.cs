using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Listeners;

/// <summary>A listener that could not be put in force.</summary>
/// <param name="MayPass">Somebody else has its address, and may give it up.</param>
sealed record PublishError(string Listener, string Message, bool MayPass = false);

/// <summary>What has become of addresses.</summary>
/// <param name="Renamed">Served by another listener from now on: nobody is refused meanwhile.</param>
/// <param name="Added">With a socket for each loop, or more where a predecessor had more.</param>
sealed record AddressChanges(
    IReadOnlyList<SocketAddressV4> Gone,
    IReadOnlyList<(SocketAddressV4 Address, string Listener)> Renamed,
    IReadOnlyList<(SocketAddressV4 Address, string Listener, int[] Descriptors)> Added);

/// <summary>
/// The sockets that the proxy listens on, and those a predecessor left, of which each is either taken up by a listener or closed when it
/// is known that none asks for it. One call at a time.
/// </summary>
sealed class ListeningSockets
{
    readonly Dictionary<SocketAddressV4, (string Listener, int[] Descriptors)> bound = [];
    readonly Dictionary<string, IReadOnlyList<SocketAddressV4>> refused = [];
    Dictionary<SocketAddressV4, List<int>> inherited = [];

    /// <summary>All that are bound.</summary>
    public List<(SocketAddressV4 Address, int Descriptor)> All => [.. bound.SelectMany(b => b.Value.Descriptors.Select(d => (b.Key, d)))];

    /// <summary>Each socket of a predecessor serves, or no listener asks for it; false while one that does is refused.</summary>
    public bool ServesInherited => !refused.Values.SelectMany(a => a).Any(inherited.ContainsKey);

    public void Inherit(Dictionary<SocketAddressV4, List<int>> sockets) => inherited = sockets;

    /// <summary>Binds what is wanted and not bound yet. If one cannot be, nothing changes.</summary>
    /// <param name="loopsOf">How many loops serve a listener, by its name.</param>
    /// <param name="error">Which listener stands in the way, and why.</param>
    /// <returns>Null when there is an error.</returns>
    public AddressChanges? TryChange(IEnumerable<ListenerConfiguration> listeners, Func<string, int> loopsOf, out PublishError? error)
    {
        var next = listeners.ToDictionary(l => l.Name, l => l.Addresses);
        Dictionary<SocketAddressV4, int[]> opened = [];
        error = Assign(next, out var wanted) ?? Bind(wanted.Where(w => !bound.ContainsKey(w.Key)), loopsOf, out opened);
        if (error is not null)
        {
            refused[error.Listener] = next[error.Listener];
            return null;
        }

        var changes = new AddressChanges(
            [.. bound.Keys.Where(a => !wanted.ContainsKey(a))],
            [.. wanted.Where(w => bound.TryGetValue(w.Key, out var b) && b.Listener != w.Value).Select(w => (w.Key, w.Value))],
            [.. opened.Select(o => (o.Key, wanted[o.Key], o.Value))]);
        foreach (var address in changes.Gone)
        {
            bound.Remove(address);
        }

        foreach (var (address, listener) in changes.Renamed)
        {
            bound[address] = (listener, bound[address].Descriptors);
        }

        foreach (var (address, listener, descriptors) in changes.Added)
        {
            bound[address] = (listener, descriptors);
        }

        return changes;
    }

    /// <summary>Of two listeners that want one address, the one that has it keeps it.</summary>
    PublishError? Assign(Dictionary<string, IReadOnlyList<SocketAddressV4>> next, out Dictionary<SocketAddressV4, string> wanted)
    {
        wanted = [];
        foreach (var (name, addresses) in next)
        {
            foreach (var address in addresses)
            {
                if (!wanted.TryAdd(address, name))
                {
                    var (loser, keeper) = bound.TryGetValue(address, out var holder) && holder.Listener == name ? (wanted[address], name) : (name, wanted[address]);
                    return new PublishError(loser, $"listener {loser}: {address} is taken by listener {keeper}");
                }
            }
        }

        return null;
    }

    PublishError? Bind(IEnumerable<KeyValuePair<SocketAddressV4, string>> addresses, Func<string, int> loopsOf, out Dictionary<SocketAddressV4, int[]> sockets)
    {
        sockets = [];
        var opened = new List<int>();
        foreach (var (address, listener) in addresses)
        {
            var taken = inherited.GetValueOrDefault(address);
            var loops = loopsOf(listener);
            var descriptors = new int[Math.Max(loops, taken?.Count ?? 0)];
            for (var i = 0; i < descriptors.Length; i++)
            {
                var fd = taken is null ? ListeningSocket.Bind(address, isShared: loops > 1)
                    : i < taken.Count ? taken[i]
                    : Native.Duplicate(taken[i % taken.Count]);
                if (fd < 0)
                {
                    // What was opened here is closed. What a predecessor left stays open: clients may be waiting in its queue.
                    opened.ForEach(o => _ = Native.Close(o));
                    return new PublishError(listener, $"listener {listener}: cannot listen on {address}: {Failure.OfErrno(taken is null ? -fd : Native.Errno)}", taken is null && fd == -Native.EaddrInUse);
                }

                descriptors[i] = fd;
                if (taken is null || i >= taken.Count)
                {
                    opened.Add(fd);
                }
            }

            sockets[address] = descriptors;
        }

        foreach (var address in sockets.Keys)
        {
            inherited.Remove(address);
        }

        return null;
    }

    /// <summary>A listener that was refused is not wanted any more, or comes anew.</summary>
    public void Forget(string listener) => refused.Remove(listener);

    /// <summary>Closes what a predecessor left that no listener wanted.</summary>
    public void CloseInherited()
    {
        foreach (var descriptor in inherited.Values.SelectMany(d => d))
        {
            _ = Native.Close(descriptor);
        }

        inherited = [];
    }
}
