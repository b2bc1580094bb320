using System.Security.Cryptography;
using System.Text;
using Weir.Proxy.Matching;

namespace Weir.Proxy.Tls;

/// <summary>A certificate chain with its key, in PEM.</summary>
sealed record KeyPair(byte[] Chain, byte[] Key);

/// <summary>A condition on a name in the peer's certificate.</summary>
/// <param name="Kind">One of OpenSSL's name types; 0 for any.</param>
sealed record NameMatch(int Kind, StringMatch Value);

/// <summary>Whom to trust.</summary>
/// <param name="Authorities">PEM; without any, it is the hashes that say whom.</param>
/// <param name="Names">One of them must match, if there are any.</param>
/// <param name="Hashes">SHA-256 of the peer's certificate, hexadecimal.</param>
/// <param name="KeyHashes">SHA-256 of the peer's public key, base64; if there are hashes of either kind, one of them must match.</param>
sealed record Validation(
    byte[] Authorities, byte[] RevocationLists, IReadOnlyList<NameMatch> Names, IReadOnlyList<string> Hashes, IReadOnlyList<string> KeyHashes,
    bool AllowsExpired, bool AcceptsUntrusted)
{
    public bool HasPins => Hashes.Count + KeyHashes.Count > 0;

    /// <summary>Somebody trusted has to have signed the peer's certificate. Otherwise its hash alone says who it is, or nothing does.</summary>
    public bool VerifiesChain => !AcceptsUntrusted && (Authorities.Length > 0 || !HasPins);

    /// <summary>A peer that was let in is who its certificate says.</summary>
    public bool ProvesPeers => VerifiesChain || HasPins;

    /// <summary>What is asked of the chain alone; <see cref="Mismatch"/> is asked apart.</summary>
    public Validation OfChain() => this with { Names = [], Hashes = [], KeyHashes = [], AcceptsUntrusted = !VerifiesChain };

    /// <summary>Why the certificate is not that of a peer we speak to; null when it is. The chain is checked before.</summary>
    public string? Mismatch(nint certificate)
    {
        if (Names.Count > 0)
        {
            var names = SubjectAltNames.Of(certificate);
            if (!names.Exists(n => Names.Any(m => (m.Kind == 0 || m.Kind == n.Kind) && m.Value.Matches(Encoding.Latin1.GetBytes(n.Value)))))
            {
                return "no subject alternative name matches; the certificate has " + (names.Count == 0 ? "none" : string.Join(", ", names.Select(n => n.Value)));
            }
        }

        return HasPins && !Hashes.Contains(HashOf(certificate)) && !KeyHashes.Contains(KeyHashOf(certificate))
            ? "neither the certificate's hash nor its public key's is among those configured" : null;
    }

    static string HashOf(nint certificate) => Convert.ToHexStringLower(SHA256.HashData(PeerCertificate.Encode(certificate)));

    static unsafe string KeyHashOf(nint certificate)
    {
        var key = OpenSsl.GetPublicKey(certificate);
        var bytes = new byte[OpenSsl.EncodePublicKey(key, null)];
        fixed (byte* start = bytes)
        {
            var at = start;
            _ = OpenSsl.EncodePublicKey(key, &at);
        }

        return Convert.ToBase64String(SHA256.HashData(bytes));
    }
}

static class Validations
{
    public const int FingerprintLength = SHA256.HashSizeInBytes;

    /// <summary>All of it as text, to compare by.</summary>
    public static string Describe(this Validation? validation) => validation is null ? "-" : Convert.ToHexString(Fingerprint(validation, false));

    /// <summary>
    /// A hash of everything that decides whether a peer is accepted. Each part has its length before it, so that no two settings look
    /// alike. What is added to <see cref="Validation"/> must be added here; a test holds it.
    /// </summary>
    public static byte[] Fingerprint(Validation? validation, bool requiresPeerCertificate)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        void Add(byte[] bytes)
        {
            hash.AppendData(BitConverter.GetBytes(bytes.Length));
            hash.AppendData(bytes);
        }

        void AddAll(IEnumerable<string> texts)
        {
            var all = texts.ToList();
            hash.AppendData(BitConverter.GetBytes(all.Count));
            all.ForEach(t => Add(Encoding.UTF8.GetBytes(t)));
        }

        Add([requiresPeerCertificate ? (byte)1 : (byte)0, validation is null ? (byte)0 : (byte)1]);
        if (validation is not null)
        {
            Add(validation.Authorities);
            Add(validation.RevocationLists);
            AddAll(validation.Names.Select(n => $"{n.Kind} {n.Value}"));
            AddAll(validation.Hashes);
            AddAll(validation.KeyHashes);
            Add([validation.AllowsExpired ? (byte)1 : (byte)0, validation.AcceptsUntrusted ? (byte)1 : (byte)0]);
        }

        return hash.GetHashAndReset();
    }

    public static string Hash(byte[] bytes) => Convert.ToHexString(SHA256.HashData(bytes));
}
