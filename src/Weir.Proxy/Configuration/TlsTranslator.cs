using Envoy.Extensions.TransportSockets.Tls.V3;
using Weir.Proxy.Http2;
using Weir.Proxy.Tls;

namespace Weir.Proxy.Configuration;

/// <summary>A secret that a resource names has not come yet; the resource waits for it.</summary>
sealed class MissingSecretException(string name) : Exception($"waits for secret {name}");

/// <summary>TLS contexts from <c>DownstreamTlsContext</c> and <c>UpstreamTlsContext</c>, with their secrets.</summary>
sealed class TlsTranslator(Translation translation, string owner, Reading reading)
{
    const int Tls12 = 0x0303;
    const int Tls13 = 0x0304;

    /// <param name="isHttp">The proxy itself speaks the protocol that is agreed on.</param>
    public TlsServer Server(DownstreamTlsContext message, bool isHttp)
    {
        var common = message.CommonTlsContext ?? new CommonTlsContext();
        var certificates = Certificates(common);
        if (certificates.Count == 0)
        {
            throw new ConfigException($"{owner}: common_tls_context: a server needs a certificate");
        }

        var requires = message.RequireClientCertificate == true;
        var validation = Validation(common);
        if (requires && validation is null)
        {
            throw new ConfigException($"{owner}: require_client_certificate without anyone to trust would refuse everybody: validation_context.trusted_ca is missing");
        }

        reading.NotCarriedOut($"{owner}: session_ticket_keys.keys after the first", message.SessionTicketKeys?.Keys.Count > 1);
        var settings = Settings(common, isHttp) with
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

    /// <param name="protocols">What is offered if the message does not say.</param>
    public TlsClient Client(UpstreamTlsContext message, IReadOnlyList<string> protocols)
    {
        if (message.AutoHostSni)
        {
            throw new ConfigException($"{owner}: auto_host_sni is not supported");
        }

        var common = message.CommonTlsContext ?? new CommonTlsContext();
        var certificates = Certificates(common);
        if (certificates.Count > 1)
        {
            throw new ConfigException($"{owner}: tls_certificates: a client shows one certificate, and {certificates.Count} are given");
        }

        var certificate = certificates.FirstOrDefault();
        var validation = Validation(common);
        var settings = Settings(common, isHttp: true);
        if (settings.Alpn.Count == 0)
        {
            settings = settings with { Alpn = protocols };
        }

        // What is left to the handshake itself is the chain, where there is anyone to have signed it.
        var chain = validation?.OfChain();
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

    TlsSettings Settings(CommonTlsContext common, bool isHttp)
    {
        var parameters = common.TlsParams ?? new TlsParameters();
        var minimum = Version(parameters.TlsMinimumProtocolVersion, Tls12);
        var maximum = Version(parameters.TlsMaximumProtocolVersion, Tls13);
        if (minimum > maximum)
        {
            throw new ConfigException($"{owner}: tls_params: the minimum version is above the maximum");
        }

        return new TlsSettings(
            minimum, maximum, [.. parameters.CipherSuites], [.. parameters.EcdhCurves], [.. common.AlpnProtocols], false, true, []);
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
            Common.CheckSource($"{owner}: tls_certificate_sds_secret_configs.sds_config", reference.SdsConfig);
            var secret = Find(reference.Name);
            certificates.Add(secret.TlsCertificate ?? throw new ConfigException($"{owner}: secret {reference.Name} is no certificate"));
        }

        return [.. certificates.Select(c => new KeyPair(Common.Bytes(c.CertificateChain, "certificate_chain"), Common.Bytes(c.PrivateKey, "private_key")))];
    }

    Validation? Validation(CommonTlsContext common) => new ValidationTranslator(owner, Find).Translate(common, reading);

    Secret Find(string name)
    {
        reading.Secrets.Add(Common.Name($"{owner}: sds_config name", name));
        return translation.FindSecret(name) ?? throw new MissingSecretException(name);
    }
}
