using System.Formats.Asn1;
using System.Net;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Weir.Xds.Transport;

public enum SubjectNameKind
{
    Dns,
    Uri,
    IpAddress,
    Email,
}

/// <summary>One of the names that a certificate says it is for (RFC 5280 section 4.2.1.6).</summary>
public readonly record struct SubjectName(SubjectNameKind Kind, string Value)
{
    const string AlternativeNames = "2.5.29.17";
    const int EmailTag = 1;
    const int DnsTag = 2;
    const int UriTag = 6;
    const int IpAddressTag = 7;

    /// <summary>A certificate's alternative names; its common name does not count. None when they cannot be read.</summary>
    public static IReadOnlyList<SubjectName> Of(X509Certificate2 certificate)
    {
        var names = new List<SubjectName>();
        try
        {
            foreach (var extension in certificate.Extensions.Where(e => e.Oid?.Value == AlternativeNames))
            {
                var reader = new AsnReader(extension.RawData, AsnEncodingRules.DER).ReadSequence();
                while (reader.HasData)
                {
                    Read(reader, names);
                }
            }
        }
        catch (AsnContentException)
        {
            return [];
        }

        return names;
    }

    static void Read(AsnReader reader, List<SubjectName> names)
    {
        var tag = reader.PeekTag();
        if (tag.TagClass != TagClass.ContextSpecific || tag.TagValue is not (EmailTag or DnsTag or UriTag or IpAddressTag))
        {
            reader.ReadEncodedValue();
            return;
        }

        if (tag.TagValue == IpAddressTag)
        {
            var octets = reader.ReadOctetString(tag);
            if (octets.Length is 4 or 16)
            {
                names.Add(new(SubjectNameKind.IpAddress, new IPAddress(octets).ToString()));
            }

            return;
        }

        var text = reader.ReadCharacterString(UniversalTagNumber.IA5String, tag);
        names.Add(new(tag.TagValue switch { EmailTag => SubjectNameKind.Email, DnsTag => SubjectNameKind.Dns, _ => SubjectNameKind.Uri }, text));
    }

    public override string ToString() => Value;
}

public enum SubjectNameMatch
{
    Exact,
    Prefix,
    Suffix,
    Contains,
}

/// <summary>What a server's certificate must be for.</summary>
/// <param name="Kind">Null for a name of any kind.</param>
public sealed record SubjectNameMatcher(SubjectNameKind? Kind, SubjectNameMatch Match, string Value, bool IgnoreCase)
{
    /// <summary>The name or address that the server was asked for by.</summary>
    public static SubjectNameMatcher Host(string host) => IPAddress.TryParse(host.Trim('[', ']'), out var address)
        ? new(SubjectNameKind.IpAddress, SubjectNameMatch.Exact, address.ToString(), true) : new(SubjectNameKind.Dns, SubjectNameMatch.Exact, host, true);

    public bool Matches(SubjectName name)
    {
        if (Kind is { } kind && kind != name.Kind)
        {
            return false;
        }

        // DNS names have no case.
        var comparison = IgnoreCase || name.Kind == SubjectNameKind.Dns ? StringComparison.OrdinalIgnoreCase : StringComparison.Ordinal;
        return Match switch
        {
            SubjectNameMatch.Prefix => name.Value.StartsWith(Value, comparison),
            SubjectNameMatch.Suffix => name.Value.EndsWith(Value, comparison),
            SubjectNameMatch.Contains => name.Value.Contains(Value, comparison),
            _ => name.Value.Equals(Value, comparison) || (name.Kind == SubjectNameKind.Dns && IsCoveredBy(name.Value)),
        };
    }

    /// <summary><c>*.example.com</c> is for <c>a.example.com</c>, not for <c>a.b.example.com</c> (RFC 6125 section 6.4.3).</summary>
    bool IsCoveredBy(string name)
    {
        var dot = Value.IndexOf('.');
        return name.StartsWith("*.", StringComparison.Ordinal) && name.IndexOf('.', 2) > 0 && dot > 0
            && name.AsSpan(1).Equals(Value.AsSpan(dot), StringComparison.OrdinalIgnoreCase);
    }

    public override string ToString() => Match == SubjectNameMatch.Exact ? $"\"{Value}\"" : $"{Match.ToString().ToLowerInvariant()} \"{Value}\"";
}
