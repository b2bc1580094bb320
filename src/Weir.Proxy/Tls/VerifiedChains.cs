using System.Diagnostics.CodeAnalysis;

namespace Weir.Proxy.Tls;

/// <summary>
/// Chains that one context has verified, byte for byte: the same peer that comes again needs no signature of its certificate checked again.
/// That it holds the key is proven in each handshake as ever. Bounded in number and in time, by the certificates' own end as well.
/// </summary>
sealed class VerifiedChains
{
    const int Maximum = 1024;
    const long MaximumMilliseconds = 3600_000;

    readonly Lock gate = new();
    readonly Dictionary<byte[], long> until = new(new Bytes());

    /// <param name="chain">The encodings of what the peer sent, one after the other.</param>
    /// <param name="now">Milliseconds of a monotonic clock.</param>
    public bool Contains(ReadOnlySpan<byte> chain, long now)
    {
        lock (gate)
        {
            return until.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(chain, out var end) && now < end;
        }
    }

    /// <param name="left">Milliseconds until the first certificate of the chain ends.</param>
    public void Add(ReadOnlySpan<byte> chain, long now, long left)
    {
        lock (gate)
        {
            // Only peers that were trusted come here. More of them than this at a time, and each is verified as if it were new.
            if (until.Count >= Maximum)
            {
                until.Clear();
            }

            until.GetAlternateLookup<ReadOnlySpan<byte>>()[chain] = now + Math.Min(left, MaximumMilliseconds);
        }
    }

    sealed class Bytes : IEqualityComparer<byte[]>, IAlternateEqualityComparer<ReadOnlySpan<byte>, byte[]>
    {
        public bool Equals(byte[]? left, byte[]? right) => left.AsSpan().SequenceEqual(right);

        public int GetHashCode([DisallowNull] byte[] bytes) => GetHashCode(bytes.AsSpan());

        public bool Equals(ReadOnlySpan<byte> left, byte[] right) => left.SequenceEqual(right);

        public int GetHashCode(ReadOnlySpan<byte> bytes)
        {
            var hash = default(HashCode);
            hash.AddBytes(bytes);
            return hash.ToHashCode();
        }

        public byte[] Create(ReadOnlySpan<byte> bytes) => bytes.ToArray();
    }
}
