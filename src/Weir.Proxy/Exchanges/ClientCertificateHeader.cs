using System.Buffers;
using System.Text;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Exchanges;

/// <summary>The element that <c>x-forwarded-client-cert</c> gets for a connection, in Envoy's form.</summary>
static class ClientCertificateHeader
{
    static readonly SearchValues<char> Delimiters = SearchValues.Create(",;=\"\\ ");

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
            text.Append(";Subject=");
            AppendQuoted(text, peer.Subject);
        }

        foreach (var uri in options.ForwardsUri ? peer.Uris : [])
        {
            Append(text, ";URI=", uri);
        }

        foreach (var name in options.ForwardsDns ? peer.DnsNames : [])
        {
            Append(text, ";DNS=", name);
        }

        return tls.CertificateHeader = Encoding.Latin1.GetBytes(text.ToString());
    }

    /// <summary>What could end the value, and begin a key or an element of the certificate's owner's choice, stands in quotation marks.</summary>
    static void Append(StringBuilder text, string key, string value)
    {
        text.Append(key);
        if (value.AsSpan().ContainsAny(Delimiters))
        {
            AppendQuoted(text, value);
        }
        else
        {
            AppendClean(text, value);
        }
    }

    static void AppendQuoted(StringBuilder text, string value)
    {
        text.Append('"');
        AppendClean(text, value.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal));
        text.Append('"');
    }

    /// <summary>Without what may not stand in a header.</summary>
    static void AppendClean(StringBuilder text, string value)
    {
        foreach (var c in value)
        {
            if (c is >= ' ' and not '\x7f')
            {
                text.Append(c);
            }
        }
    }
}
