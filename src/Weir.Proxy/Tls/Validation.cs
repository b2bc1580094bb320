using System.Security.Cryptography;
using System.Text;
using Weir.Proxy.Routing;

namespace Weir.Proxy.Tls;

/// <summary>A certificate chain with its key, in PEM.</summary>
sealed record KeyPair(byte[] Chain, byte[] Key);

/// <summary>A condition on a name in the peer's certificate.</summary>
/// <param name="Kind">One of OpenSSL's name types; 0 for any.</param>
sealed record NameMatch(int Kind, StringMatch Value);

/// <summary>Whom to trust.</summary>
/// <param name="Authorities">PEM; empty for nobody.</param>
/// <param name="Names">One of them must match, if there are any.</param>
/// <param name="Hashes">SHA-256 of the peer's certificate, hexadecimal; one must match, if there are any.</param>
/// <param name="KeyHashes">SHA-256 of the peer's public key, base64; likewise.</param>
sealed record Validation(
    byte[] Authorities, byte[] RevocationLists, IReadOnlyList<NameMatch> Names, IReadOnlyList<string> Hashes, IReadOnlyList<string> KeyHashes,
    bool AllowsExpired, bool AcceptsUntrusted)
{
    /// <summary>Why the certificate is not that of a peer we speak to; null when it is. The chain is checked before.</summary>
    public unsafe string? Mismatch(nint certificate)
    {
        if (Names.Count > 0)
        {
            var names = SubjectAltNames.Of(certificate);
            if (!names.Exists(n => Names.Any(m => (m.Kind == 0 || m.Kind == n.Kind) && m.Value.Matches(Encoding.Latin1.GetBytes(n.Value)))))
            {
                return "no subject alternative name matches; the certificate has " + (names.Count == 0 ? "none" : string.Join(", ", names.Select(n => n.Value)));
            }
        }

        if (Hashes.Count > 0 && !Hashes.Contains(Convert.ToHexStringLower(SHA256.HashData(PeerCertificate.Encode(certificate)))))
        {
            return "the certificate's hash is none of those configured";
        }

        if (KeyHashes.Count > 0)
        {
            var key = OpenSsl.GetPublicKey(certificate);
            var bytes = new byte[OpenSsl.EncodePublicKey(key, null)];
            fixed (byte* start = bytes)
            {
                var at = start;
                _ = OpenSsl.EncodePublicKey(key, &at);
            }

            return KeyHashes.Contains(Convert.ToBase64String(SHA256.HashData(bytes))) ? null : "the public key's hash is none of those configured";
        }

        return null;
    }
}

static class Validations
{
    /// <summary>All of it as text, to compare by.</summary>
    public static string Describe(this Validation? validation) => validation is null ? "-"
        : $"{Hash(validation.Authorities)} {Hash(validation.RevocationLists)} {string.Join('|', validation.Names.Select(n => $"{n.Kind} {n.Value}"))} "
        + $"{string.Join(',', validation.Hashes)} {string.Join(',', validation.KeyHashes)} {validation.AllowsExpired} {validation.AcceptsUntrusted}";

    public static string Hash(byte[] bytes) => Convert.ToHexString(SHA256.HashData(bytes));
}
