using Envoy.Extensions.TransportSockets.Tls.V3;
using Google.Protobuf;
using Weir.Proxy.Routing;
using Weir.Proxy.Tls;

namespace Weir.Proxy.Configuration;

/// <summary>A secret that a resource names has not come yet; the resource waits for it.</summary>
sealed class MissingSecretException(string name) : Exception($"waits for secret {name}");

/// <summary>Contexts that are in use, by what they are made of: a thousand clusters with one identity share one.</summary>
sealed class TlsContexts
{
    readonly Dictionary<string, WeakReference<TlsContext>> known = [];

    public TlsContext Get(string key, Func<TlsContext> create)
    {
        if (known.TryGetValue(key, out var reference) && reference.TryGetTarget(out var context))
        {
            return context;
        }

        foreach (var (dead, _) in known.Where(k => !k.Value.TryGetTarget(out _)).ToList())
        {
            known.Remove(dead);
        }

        context = create();
        known[key] = new WeakReference<TlsContext>(context);
        return context;
    }
}

/// <summary>TLS contexts from <c>DownstreamTlsContext</c> and <c>UpstreamTlsContext</c>, with their secrets.</summary>
sealed class TlsTranslator(Translation translation, string owner, HashSet<string> secrets)
{
    const int Tls12 = 0x0303;
    const int Tls13 = 0x0304;

    /// <param name="allowsHttp2">Otherwise h2 is left out of what is offered: nobody would serve it.</param>
    public TlsServer Server(DownstreamTlsContext message, bool allowsHttp2)
    {
        var common = message.CommonTlsContext ?? new CommonTlsContext();
        var certificates = Certificates(common);
        if (certificates.Count == 0)
        {
            throw new ConfigException($"{owner}: common_tls_context: a server needs a certificate");
        }

        var requires = message.RequireClientCertificate == true;
        var validation = Validation(common);
        if (requires && validation is null or { Authorities.Length: 0, AcceptsUntrusted: false, Hashes.Count: 0, KeyHashes.Count: 0 })
        {
            throw new ConfigException($"{owner}: require_client_certificate without anyone to trust would refuse everybody: validation_context.trusted_ca is missing");
        }

        var settings = Settings(common, allowsHttp2) with
        {
            RequiresPeerCertificate = requires,
            AllowsResumption = !message.DisableStatelessSessionResumption,
            SessionSeconds = message.SessionTimeout is { } timeout ? Math.Max(timeout.Seconds, 1) : 0,
            TicketKey = message.SessionTicketKeys?.Keys.Count > 0 ? Common.Bytes(message.SessionTicketKeys.Keys[0], "session_ticket_keys") : [],
        };
        return new TlsServer(
            [.. certificates.Select(c => Build(() => TlsContext.Server(settings, c, validation), $"server {Key(settings)} {Key(c)} {validation.Describe()}"))],
            message.RequireSni == true);
    }

    public TlsClient Client(UpstreamTlsContext message)
    {
        if (message.AutoHostSni)
        {
            throw new ConfigException($"{owner}: auto_host_sni is not supported");
        }

        var common = message.CommonTlsContext ?? new CommonTlsContext();
        var certificate = Certificates(common).FirstOrDefault();
        var validation = Validation(common);
        var settings = Settings(common, allowsHttp2: false);
        var chain = validation is null ? null : validation with { Names = [], Hashes = [], KeyHashes = [] };
        var context = Build(() => TlsContext.Client(settings, certificate, chain), $"client {Key(settings)} {(certificate is null ? "" : Key(certificate))} {chain.Describe()}");
        return new TlsClient(context, message.Sni, message.MaxSessionKeys != 0, validation);
    }

    TlsContext Build(Func<TlsContext> create, string key)
    {
        try
        {
            return translation.Contexts.Get(key, create);
        }
        catch (TlsMaterialException e)
        {
            throw new ConfigException($"{owner}: {e.Message}");
        }
    }

    static string Key(TlsSettings settings) =>
        $"{settings.MinimumVersion}-{settings.MaximumVersion} {string.Join(':', settings.CipherSuites)} {string.Join(':', settings.Curves)} {string.Join(',', settings.Alpn)} {settings.RequiresPeerCertificate} {settings.AllowsResumption} {settings.SessionSeconds} {Validations.Hash(settings.TicketKey)}";

    static string Key(KeyPair pair) => Validations.Hash(pair.Chain) + Validations.Hash(pair.Key);

    TlsSettings Settings(CommonTlsContext common, bool allowsHttp2)
    {
        var parameters = common.TlsParams ?? new TlsParameters();
        var minimum = Version(parameters.TlsMinimumProtocolVersion, Tls12);
        var maximum = Version(parameters.TlsMaximumProtocolVersion, Tls13);
        if (minimum > maximum)
        {
            throw new ConfigException($"{owner}: tls_params: the minimum version is above the maximum");
        }

        return new TlsSettings(
            minimum, maximum, [.. parameters.CipherSuites], [.. parameters.EcdhCurves], [.. common.AlpnProtocols.Where(p => allowsHttp2 || p != "h2")], false, true, []);
    }

    int Version(TlsParameters.Types.TlsProtocol version, int otherwise) => version switch
    {
        TlsParameters.Types.TlsProtocol.TlsAuto => otherwise,
        TlsParameters.Types.TlsProtocol.Tlsv12 => Tls12,
        TlsParameters.Types.TlsProtocol.Tlsv13 => Tls13,
        _ => throw new ConfigException($"{owner}: tls_params: TLS before 1.2 is not supported (RFC 8996)"),
    };

    List<KeyPair> Certificates(CommonTlsContext common)
    {
        var certificates = common.TlsCertificates.ToList();
        foreach (var reference in common.TlsCertificateSdsSecretConfigs)
        {
            var secret = Find(reference.Name);
            certificates.Add(secret.TlsCertificate ?? throw new ConfigException($"{owner}: secret {reference.Name} is no certificate"));
        }

        return [.. certificates.Select(c => new KeyPair(Common.Bytes(c.CertificateChain, "certificate_chain"), Common.Bytes(c.PrivateKey, "private_key")))];
    }

    Secret Find(string name)
    {
        secrets.Add(name);
        return translation.FindSecret(name) ?? throw new MissingSecretException(name);
    }

    Validation? Validation(CommonTlsContext common)
    {
        var (given, reference) = common.ValidationContextTypeCase switch
        {
            CommonTlsContext.ValidationContextTypeOneofCase.ValidationContext => (common.ValidationContext, null),
            CommonTlsContext.ValidationContextTypeOneofCase.ValidationContextSdsSecretConfig => (null, common.ValidationContextSdsSecretConfig),
            CommonTlsContext.ValidationContextTypeOneofCase.CombinedValidationContext => (
                common.CombinedValidationContext.DefaultValidationContext, common.CombinedValidationContext.ValidationContextSdsSecretConfig),
            _ => (null, null),
        };
        if (reference is not null)
        {
            // What SDS brings is merged over the default, as protobuf merges.
            var merged = given?.Clone() ?? new CertificateValidationContext();
            merged.MergeFrom(Find(reference.Name).ValidationContext ?? throw new ConfigException($"{owner}: secret {reference.Name} is no validation context"));
            given = merged;
        }

        if (given is null)
        {
            return null;
        }

        var names = given.MatchTypedSubjectAltNames.Select(m => new NameMatch(Kind(m.SanType), StringMatch.From(m.Matcher)))
            .Concat(given.MatchSubjectAltNames.Select(m => new NameMatch(0, StringMatch.From(m))));
        return new Validation(
            Common.Bytes(given.TrustedCa, "trusted_ca"), Common.Bytes(given.Crl, "crl"), [.. names],
            [.. given.VerifyCertificateHash.Select(h => h.Replace(":", "", StringComparison.Ordinal).ToLowerInvariant())], [.. given.VerifyCertificateSpki],
            given.AllowExpiredCertificate, given.TrustChainVerification == CertificateValidationContext.Types.TrustChainVerification.AcceptUntrusted);
    }

    int Kind(SubjectAltNameMatcher.Types.SanType type) => type switch
    {
        SubjectAltNameMatcher.Types.SanType.Email => OpenSsl.NameEmail,
        SubjectAltNameMatcher.Types.SanType.Dns => OpenSsl.NameDns,
        SubjectAltNameMatcher.Types.SanType.Uri => OpenSsl.NameUri,
        SubjectAltNameMatcher.Types.SanType.IpAddress => OpenSsl.NameIp,
        _ => throw new ConfigException($"{owner}: match_typed_subject_alt_names: san_type {type} is not supported"),
    };
}
