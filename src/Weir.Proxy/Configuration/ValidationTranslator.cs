using Envoy.Extensions.TransportSockets.Tls.V3;
using Weir.Proxy.Tls;
using Kinds = Envoy.Extensions.TransportSockets.Tls.V3.CommonTlsContext.ValidationContextTypeOneofCase;
using SanType = Envoy.Extensions.TransportSockets.Tls.V3.SubjectAltNameMatcher.Types.SanType;

namespace Weir.Proxy.Configuration;

/// <summary>Whom to trust, from <c>CertificateValidationContext</c> and the secrets that stand for it. What would trust anybody is refused.</summary>
sealed class ValidationTranslator(string owner, Func<string, Secret> find)
{
    const int HashBytes = 32;

    /// <returns>Null where peers are not asked who they are.</returns>
    public Validation? Translate(CommonTlsContext common, Reading reading)
    {
        var (given, reference) = common.ValidationContextTypeCase switch
        {
            Kinds.ValidationContext => (common.ValidationContext, null),
            Kinds.ValidationContextSdsSecretConfig => (null, common.ValidationContextSdsSecretConfig),
            Kinds.CombinedValidationContext => (common.CombinedValidationContext.DefaultValidationContext, common.CombinedValidationContext.ValidationContextSdsSecretConfig),
            _ => (null, null),
        };
        if (reference is not null)
        {
            // What SDS brings is merged over the default, as protobuf merges.
            Common.CheckSource($"{owner}: validation_context_sds_secret_config.sds_config", reference.SdsConfig);
            var merged = given?.Clone() ?? new CertificateValidationContext();
            merged.MergeFrom(find(reference.Name).ValidationContext ?? throw new ConfigException($"{owner}: secret {reference.Name} is no validation context"));
            given = merged;
        }

        return given is null ? null : Checked(Translate(given));
    }

    Validation Translate(CertificateValidationContext context)
    {
        var names = context.MatchTypedSubjectAltNames
            .Select((m, i) => new NameMatch(Kind(m.SanType), MatcherTranslator.Text($"{owner}: match_typed_subject_alt_names[{i}].matcher", m.Matcher)))
            .Concat(context.MatchSubjectAltNames.Select((m, i) => new NameMatch(0, MatcherTranslator.Text($"{owner}: match_subject_alt_names[{i}]", m))));
        return new Validation(
            Common.Bytes(context.TrustedCa, $"{owner}: trusted_ca"), Common.Bytes(context.Crl, $"{owner}: crl"), [.. names],
            [.. context.VerifyCertificateHash.Select(Hash)], [.. context.VerifyCertificateSpki.Select(KeyHash)],
            context.AllowExpiredCertificate, context.TrustChainVerification == CertificateValidationContext.Types.TrustChainVerification.AcceptUntrusted);
    }

    Validation Checked(Validation validation)
    {
        if (validation.Authorities.Length > 0)
        {
            return validation;
        }

        if (validation.RevocationLists.Length > 0)
        {
            throw new ConfigException($"{owner}: crl: without trusted_ca there is nobody whose list it could be");
        }

        return validation.HasPins || validation.AcceptsUntrusted ? validation
            : throw new ConfigException($"{owner}: validation_context.trusted_ca is missing: without it, or the hash of a certificate or key, every peer would be refused");
    }

    int Kind(SanType type) => type switch
    {
        SanType.Email => OpenSsl.NameEmail,
        SanType.Dns => OpenSsl.NameDns,
        SanType.Uri => OpenSsl.NameUri,
        SanType.IpAddress => OpenSsl.NameIp,
        _ => throw new ConfigException($"{owner}: match_typed_subject_alt_names: san_type {type} is not supported"),
    };

    string Hash(string text)
    {
        var hex = text.Replace(":", "", StringComparison.Ordinal).ToLowerInvariant();
        return hex.Length == HashBytes * 2 && hex.All(char.IsAsciiHexDigit) ? hex
            : throw new ConfigException($"{owner}: verify_certificate_hash: \"{text}\" is no SHA-256 in hexadecimal");
    }

    string KeyHash(string text)
    {
        Span<byte> bytes = stackalloc byte[HashBytes + 1];
        return Convert.TryFromBase64String(text, bytes, out var length) && length == HashBytes ? Convert.ToBase64String(bytes[..length])
            : throw new ConfigException($"{owner}: verify_certificate_spki: \"{text}\" is no SHA-256 in base64");
    }
}
