using System.Globalization;
using System.Text;

namespace Weir.Proxy.LoadBalancing;

/// <summary>Endpoints on a ring of hashes, each in as many places as its weight gives it (Ketama, as Envoy lays it out).</summary>
sealed class HashRing
{
    readonly ulong[] hashes;
    readonly int[] owners;

    /// <param name="minimumSize">The lightest endpoint gets at least its share of this many places.</param>
    public HashRing(IReadOnlyList<Endpoint> endpoints, ulong minimumSize, ulong maximumSize)
    {
        var total = endpoints.Sum(e => (double)e.Weight);
        var lightest = endpoints.Min(e => e.Weight) / total;
        var scale = Math.Min(Math.Ceiling(lightest * minimumSize) / lightest, maximumSize);
        var entries = new List<(ulong Hash, int Owner)>((int)scale + endpoints.Count);
        double places = 0, target = 0;
        for (var i = 0; i < endpoints.Count; i++)
        {
            target += scale * endpoints[i].Weight / total;
            for (var copy = 0; places < target; copy++, places++)
            {
                entries.Add((XxHash64.Hash(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{endpoints[i].Address}_{copy}"))), i));
            }
        }

        entries.Sort();
        hashes = [.. entries.Select(e => e.Hash)];
        owners = [.. entries.Select(e => e.Owner)];
    }

    /// <summary>The first place at or after the hash, around the ring; <paramref name="attempt"/> goes on from there.</summary>
    public int Find(ulong hash, int attempt)
    {
        var at = Array.BinarySearch(hashes, hash);
        return owners[((at < 0 ? ~at : at) + attempt) % owners.Length];
    }
}

/// <summary>
/// Maglev's lookup table: nearly even shares, and few keys that move when endpoints come and go (Eisenbud et al., NSDI 2016,
/// section 3.4).
/// </summary>
sealed class MaglevTable
{
    public const int DefaultSize = 65537;
    readonly ushort[] table;

    /// <param name="size">A prime.</param>
    public MaglevTable(IReadOnlyList<Endpoint> endpoints, int size)
    {
        table = new ushort[size];
        Array.Fill(table, ushort.MaxValue);
        var names = endpoints.Select(e => Encoding.ASCII.GetBytes(e.Address.ToString())).ToArray();
        var offsets = names.Select(n => (long)(XxHash64.Hash(n) % (ulong)size)).ToArray();
        var skips = names.Select(n => (long)((XxHash64.Hash(n, 1) % ((ulong)size - 1)) + 1)).ToArray();
        var next = new long[endpoints.Count];
        var turns = new double[endpoints.Count];
        var heaviest = endpoints.Max(e => (double)e.Weight);
        for (var filled = 0; ;)
        {
            for (var i = 0; i < endpoints.Count; i++)
            {
                // A lighter endpoint sits out some of the rounds.
                turns[i] += endpoints[i].Weight / heaviest;
                if (turns[i] < 1)
                {
                    continue;
                }

                turns[i] -= 1;
                long slot;
                do
                {
                    slot = (offsets[i] + (skips[i] * next[i]++)) % size;
                }
                while (table[slot] != ushort.MaxValue);
                table[slot] = (ushort)i;
                if (++filled == size)
                {
                    return;
                }
            }
        }
    }

    public int Find(ulong hash, int attempt)
    {
        // A second try looks elsewhere, always at the same place for the same key.
        var key = attempt == 0 ? hash : ~(hash - (uint)attempt + 1);
        return table[key % (ulong)table.Length];
    }
}
