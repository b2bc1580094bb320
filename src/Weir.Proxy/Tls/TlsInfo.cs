using System.Security.Cryptography;

namespace Weir.Proxy.Tls;

/// <summary>What was agreed on in a handshake.</summary>
/// <param name="Alpn">Empty when no protocol was chosen.</param>
/// <param name="LocalPrincipal">The SPIFFE identity of our own certificate, or empty.</param>
/// <param name="Peer">Null when the peer showed no certificate.</param>
sealed record TlsInfo(string Version, string Cipher, string Alpn, string LocalPrincipal, PeerCertificate? Peer)
{
    /// <summary>The peer has proven to be who its certificate says; others may say what they like in it.</summary>
    public bool IsVerified { get; init; }

    /// <summary>What upstreams are told of the peer's certificate; made when first needed.</summary>
    public byte[]? CertificateHeader { get; set; }
}

/// <summary>The parts of a peer's certificate that requests are decided, logged and labelled by.</summary>
/// <param name="Subject">In OpenSSL's one-line form.</param>
/// <param name="Hash">SHA-256 of the certificate, in lower-case hexadecimal.</param>
sealed record PeerCertificate(string Subject, IReadOnlyList<string> Uris, IReadOnlyList<string> DnsNames, string Hash)
{
    /// <summary>The SPIFFE identity, or empty.</summary>
    public string Principal => Uris.Count > 0 ? Uris[0] : "";

    /// <summary>All URIs in one text, for the log.</summary>
    public string UriText { get; } = string.Join(',', Uris);

    /// <summary>All DNS names in one text, for the log.</summary>
    public string DnsText { get; } = string.Join(',', DnsNames);

    public static unsafe PeerCertificate Read(nint certificate)
    {
        var uris = new List<string>();
        var names = new List<string>();
        foreach (var (kind, value) in SubjectAltNames.Of(certificate))
        {
            if (kind == OpenSsl.NameUri)
            {
                uris.Add(value);
            }
            else if (kind == OpenSsl.NameDns)
            {
                names.Add(value);
            }
        }

        var subject = stackalloc byte[512];
        _ = OpenSsl.NameOneLine(OpenSsl.GetSubject(certificate), subject, 512);
        return new PeerCertificate(
            OpenSsl.Text((nint)subject), uris, names, Convert.ToHexStringLower(SHA256.HashData(Encode(certificate))));
    }

    public static unsafe byte[] Encode(nint certificate)
    {
        var bytes = new byte[OpenSsl.EncodeCertificate(certificate, null)];
        fixed (byte* start = bytes)
        {
            var at = start;
            _ = OpenSsl.EncodeCertificate(certificate, &at);
        }

        return bytes;
    }
}

/// <summary>The alternative names of a certificate.</summary>
static unsafe class SubjectAltNames
{
    /// <summary>Kind is one of OpenSSL's name types. A name with a NUL in it is left out: it is an attack (CVE-2009-2408).</summary>
    public static List<(int Kind, string Value)> Of(nint certificate)
    {
        var result = new List<(int, string)>();
        var names = OpenSsl.GetExtension(certificate, OpenSsl.NidSubjectAltName, 0, 0);
        if (names == 0)
        {
            return result;
        }

        for (var i = 0; i < OpenSsl.StackCount(names); i++)
        {
            int kind;
            var value = OpenSsl.GeneralNameValue(OpenSsl.StackItem(names, i), &kind);
            if (kind is OpenSsl.NameEmail or OpenSsl.NameDns or OpenSsl.NameUri or OpenSsl.NameIp)
            {
                var bytes = new ReadOnlySpan<byte>(OpenSsl.StringData(value), OpenSsl.StringLength(value));
                if (kind == OpenSsl.NameIp)
                {
                    result.Add((kind, bytes.Length is 4 or 16 ? new System.Net.IPAddress(bytes).ToString() : ""));
                }
                else if (!bytes.Contains((byte)0))
                {
                    result.Add((kind, System.Text.Encoding.Latin1.GetString(bytes)));
                }
            }
        }

        OpenSsl.GeneralNamesFree(names);
        return result;
    }
}
