using System.Text;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Listeners;

/// <summary>The element that <c>x-forwarded-client-cert</c> gets for a connection, in Envoy's form.</summary>
static class ClientCertificateHeader
{
    public static byte[] Of(Downstream downstream, HttpOptions options)
    {
        var tls = downstream.Tls!;
        if (tls.CertificateHeader is { } known)
        {
            return known;
        }

        var peer = tls.Peer!;
        var text = new StringBuilder($"Hash={peer.Hash}");
        if (options.ForwardsSubject)
        {
            text.Append($";Subject=\"{peer.Subject.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)}\"");
        }

        foreach (var uri in options.ForwardsUri ? peer.Uris : [])
        {
            text.Append($";URI={uri}");
        }

        foreach (var name in options.ForwardsDns ? peer.DnsNames : [])
        {
            text.Append($";DNS={name}");
        }

        // Names come from certificates: what could end the header or the element is left out.
        var clean = text.Replace("\r", "").Replace("\n", "").ToString();
        return tls.CertificateHeader = Encoding.Latin1.GetBytes(clean);
    }
}
