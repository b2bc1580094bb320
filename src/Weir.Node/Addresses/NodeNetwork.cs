using System.Globalization;
using System.Net;

namespace Weir.Node.Addresses;

/// <summary>
/// The loopback addresses of one cluster. Block <c>n</c> of 1 to 62 gives pods 127.(64+n).x.y, the applications behind sidecars
/// 127.n.x.y (so that nobody meets them at the pod's address), and services 127.(128+n).x.y.
/// </summary>
public sealed record NodeNetwork(int Block)
{
    public const int FirstBlock = 1;
    public const int LastBlock = 62;
    const int Hosts = 255 * 254;

    public IPAddress PodAddress(int index) => Address(64 + Block, index);

    public IPAddress ServiceAddress(int index) => Address(128 + Block, index);

    public static int Capacity => Hosts;

    /// <summary>Where an application listens whose pod address its sidecar serves.</summary>
    public static string ApplicationAddress(string podAddress)
    {
        var bytes = IPAddress.Parse(podAddress).GetAddressBytes();
        bytes[1] -= 64;
        return new IPAddress(bytes).ToString();
    }

    /// <summary>A block in which nobody listens now, so that two clusters on one machine do not meet.</summary>
    public static NodeNetwork Choose(Random random)
    {
        var taken = ListeningBlocks();
        var free = Enumerable.Range(FirstBlock, LastBlock).Where(b => !taken.Contains(b)).ToList();
        return free.Count == 0
            ? throw new IOException("all loopback address blocks of this machine are in use")
            : new NodeNetwork(free[random.Next(free.Count)]);
    }

    static HashSet<int> ListeningBlocks()
    {
        var blocks = new HashSet<int>();
        foreach (var line in File.ReadLines("/proc/net/tcp").Skip(1))
        {
            // "  0: 0100007F:1F90 …": the address is little-endian hexadecimal.
            var fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (uint.TryParse(fields[1].AsSpan(0, 8), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var address) && (address & 0xff) == 127)
            {
                blocks.Add((int)((address >> 8) & 0xff) & 63);
            }
        }

        return blocks;
    }

    static IPAddress Address(int second, int index) => new([127, (byte)second, (byte)(index / 254), (byte)((index % 254) + 1)]);
}

/// <summary>Hands out addresses one after the other, so that one is not used again soon after it was freed.</summary>
public sealed class AddressPool(Func<int, IPAddress> addressOf)
{
    readonly Lock gate = new();
    readonly HashSet<string> used = [];
    int next;

    public void Reserve(string address)
    {
        lock (gate)
        {
            used.Add(address);
        }
    }

    public string Take()
    {
        lock (gate)
        {
            for (var tries = 0; tries < NodeNetwork.Capacity; tries++)
            {
                var address = addressOf(next++ % NodeNetwork.Capacity).ToString();
                if (used.Add(address))
                {
                    return address;
                }
            }
        }

        throw new IOException("no address is left");
    }

    public void Release(string address)
    {
        lock (gate)
        {
            used.Remove(address);
        }
    }
}
