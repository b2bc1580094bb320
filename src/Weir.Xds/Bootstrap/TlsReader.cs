using System.Security.Authentication;
using Weir.Xds.Transport;

namespace Weir.Xds.Bootstrap;

/// <summary>TLS settings, from an <c>UpstreamTlsContext</c> and its parts.</summary>
static class TlsReader
{
    const string NobodyTrusted = "trusted_ca is missing: without it anybody could be the control plane";

    /// <summary>Of a cluster; null for connections in the clear.</summary>
    public static TlsSettings? TransportSocket(JsonField cluster)
    {
        if (cluster.Object("transport_socket") is not { } socket)
        {
            return null;
        }

        socket.Find("name");
        TlsSettings? tls = null;
        if (socket.Object("typed_config") is not { } config)
        {
            socket.Error("has no typed_config");
        }
        else if (config.Has("@type") && config.Json.GetProperty("@type").ValueEquals(XdsTypes.RawBuffer))
        {
            config.Find("@type");
            config.Close();
        }
        else
        {
            tls = Context(config);
        }

        socket.Close();
        return tls;
    }

    static TlsSettings Context(JsonField config)
    {
        RequireType(config, XdsTypes.UpstreamTls);
        var tls = new TlsSettings { ServerName = config.Text("sni") };

        // Both are so anyway, where nothing else is said.
        config.Flag("auto_host_sni");
        config.Flag("auto_sni_san_validation");
        config.Ignore("allow_renegotiation", "max_session_keys", "enforce_rsa_key_usage");
        if (config.Object("common_tls_context") is { } common)
        {
            tls = Common(common, tls);
        }
        else
        {
            config.Error($"common_tls_context.{NobodyTrusted}");
        }

        CheckFiles(config, tls);
        config.Close();
        return tls;
    }

    static TlsSettings Common(JsonField common, TlsSettings tls)
    {
        if (common.Object("tls_params") is { } parameters)
        {
            tls = tls with { Protocols = Protocols(parameters) };
            parameters.Ignore("cipher_suites", "ecdh_curves", "signature_algorithms");
            parameters.Close();
        }

        var certificates = common.Objects("tls_certificates");
        if (certificates.Count > 1)
        {
            common.Error("tls_certificates: more than one is not supported");
        }

        foreach (var certificate in certificates.Take(1))
        {
            tls = tls with { Certificate = PemReader.Source(certificate, "certificate_chain"), PrivateKey = PemReader.Source(certificate, "private_key") };
            if (tls.Certificate is null || tls.PrivateKey is null)
            {
                certificate.Error("must have certificate_chain and private_key");
            }

            certificate.Ignore("watched_directory", "ocsp_staple");
            certificate.Close();
        }

        var protocols = common.List("alpn_protocols");
        if (protocols.Count > 0 && !protocols.Select(p => p.AsText()).ToList().Contains("h2"))
        {
            common.Error("alpn_protocols must contain h2");
        }

        if (common.Object("validation_context") is { } validation)
        {
            tls = Validation(validation, tls);
        }
        else
        {
            common.Error($"validation_context.{NobodyTrusted}");
        }

        common.Ignore("key_log");
        common.Close();
        return tls;
    }

    static SslProtocols Protocols(JsonField parameters)
    {
        var (minimum, maximum) = (parameters.Text("tls_minimum_protocol_version"), parameters.Text("tls_maximum_protocol_version"));
        if (minimum is not ("" or "TLS_AUTO" or "TLSv1_2" or "TLSv1_3") || maximum is not ("" or "TLS_AUTO" or "TLSv1_2" or "TLSv1_3")
            || (minimum == "TLSv1_3" && maximum == "TLSv1_2"))
        {
            parameters.Error("the versions must be TLSv1_2 or TLSv1_3");
        }

        return (minimum == "TLSv1_3" ? SslProtocols.None : SslProtocols.Tls12) | (maximum == "TLSv1_2" ? SslProtocols.None : SslProtocols.Tls13);
    }

    static TlsSettings Validation(JsonField validation, TlsSettings tls)
    {
        var names = new List<SubjectNameMatcher>();
        foreach (var field in validation.Objects("match_typed_subject_alt_names"))
        {
            SubjectNameKind? kind = field.Text("san_type") switch
            {
                "DNS" => SubjectNameKind.Dns,
                "URI" => SubjectNameKind.Uri,
                "EMAIL" => SubjectNameKind.Email,
                "IP_ADDRESS" => SubjectNameKind.IpAddress,
                _ => null,
            };
            if (kind is null)
            {
                field.Error("san_type must be DNS, URI, EMAIL or IP_ADDRESS");
            }

            if (field.Object("matcher") is not { } matcher)
            {
                field.Error("has no matcher");
            }
            else if (Matcher(matcher, kind) is { } name)
            {
                names.Add(name);
            }

            field.Close();
        }

        names.AddRange(validation.Objects("match_subject_alt_names").Select(m => Matcher(m, null)).OfType<SubjectNameMatcher>());
        var system = validation.Object("system_root_certs");
        system?.Close();
        validation.Ignore("watched_directory");
        if (validation.Text("trust_chain_verification") is not ("" or "VERIFY_TRUST_CHAIN"))
        {
            validation.Error("trust_chain_verification must be VERIFY_TRUST_CHAIN");
        }

        tls = tls with { TrustedAuthorities = PemReader.Source(validation, "trusted_ca"), SubjectNames = names };
        if (tls.TrustedAuthorities is null && system is null)
        {
            validation.Error(NobodyTrusted);
        }

        validation.Close();
        return tls;
    }

    static SubjectNameMatcher? Matcher(JsonField matcher, SubjectNameKind? kind)
    {
        var ignoreCase = matcher.Flag("ignore_case");
        SubjectNameMatcher? found = null;
        foreach (var match in Enum.GetValues<SubjectNameMatch>())
        {
            if (matcher.Text(match.ToString().ToLowerInvariant()) is { Length: > 0 } text)
            {
                found = new SubjectNameMatcher(kind, match, text, ignoreCase);
            }
        }

        matcher.Close();
        if (found is null)
        {
            matcher.Error("must have exact, prefix, suffix or contains with a text that is not empty");
        }

        return found;
    }

    /// <summary>What cannot be used now is said now, and not each time that a connection is tried.</summary>
    public static void CheckFiles(JsonField field, TlsSettings tls)
    {
        if (tls.Certificate is null != tls.PrivateKey is null)
        {
            field.Error("a certificate and its key are only of use together");
        }

        try
        {
            tls.Check();
        }
        catch (IOException e)
        {
            field.Error(e.Message);
        }
    }

    public static void RequireType(JsonField config, string type)
    {
        if (config.Text("@type") is var given && given != type)
        {
            config.Error($"@type must be {type}, not \"{given}\"");
        }
    }
}
