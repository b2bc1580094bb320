using System.Globalization;
using Envoy.Config.Core.V3;
using Weir.Proxy.Telemetry;
using Weir.Xds.Bootstrap;
using Weir.Xds.Client;
using Weir.Xds.Http2;
using Weir.Xds.Transport;

namespace Weir.Proxy.App;

/// <summary>Where the proxy gets its configuration: from a bootstrap file, or from options of its own.</summary>
/// <param name="Node">As the file says; null to make it from the proxy's identity.</param>
/// <param name="Admin">As the file says.</param>
/// <param name="Warnings">What the file says and is not carried out.</param>
sealed record ControlPlaneOptions(XdsServer Server, AdsClientOptions Client, Node? Node, (string Host, int Port)? Admin, IReadOnlyList<string> Warnings)
{
    const string UnixScheme = "unix:";

    /// <exception cref="FormatException">They cannot be used; the message says why.</exception>
    public static ControlPlaneOptions Parse(Func<string, string, string?> value, bool isXdsGiven)
    {
        if (value("--config-path", "WEIR_CONFIG_PATH") is not { } path)
        {
            return value("--service-cluster", "") is null
                ? new ControlPlaneOptions(ParseServer(value), ParseClient(value, new AdsClientOptions()), null, null, [])
                : throw new FormatException("--service-cluster: only together with --config-path");
        }

        if (isXdsGiven)
        {
            throw new FormatException("--config-path and --xds: give one of them");
        }

        var bootstrap = XdsBootstrap.Load(path, value("--service-node", ""), value("--service-cluster", ""));
        return new ControlPlaneOptions(
            bootstrap.Server, ParseClient(value, bootstrap.Client), bootstrap.Node, bootstrap.Admin, [.. bootstrap.Warnings.Select(w => $"{path}: {w}")]);
    }

    static AdsClientOptions ParseClient(Func<string, string, string?> value, AdsClientOptions otherwise) => otherwise with
    {
        Variant = value("--xds-variant", "WEIR_XDS_VARIANT") switch
        {
            null => otherwise.Variant,
            "incremental" => AdsVariant.Incremental,
            "sotw" => AdsVariant.StateOfTheWorld,
            "auto" => AdsVariant.Automatic,
            _ => throw new FormatException("--xds-variant must be incremental, sotw or auto"),
        },
        Describe = Failure.Describe,
        KeepAlive = new KeepAliveOptions(
            Seconds(value, "--xds-ping-interval", "WEIR_XDS_PING_INTERVAL", otherwise.KeepAlive.Interval),
            Seconds(value, "--xds-ping-timeout", "WEIR_XDS_PING_TIMEOUT", otherwise.KeepAlive.Timeout)),
    };

    static TimeSpan Seconds(Func<string, string, string?> value, string option, string variable, TimeSpan otherwise)
    {
        const double least = 0.1;
        const double most = 3600;
        return value(option, variable) is not { } text ? otherwise
            : double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var seconds) && seconds is >= least and <= most
                ? TimeSpan.FromSeconds(seconds)
            : throw new FormatException($"{option} must be {least.ToString(CultureInfo.InvariantCulture)} to {most} seconds");
    }

    static XdsServer ParseServer(Func<string, string, string?> value)
    {
        var xds = value("--xds", "WEIR_XDS") ?? throw new FormatException("no control plane: give --xds, WEIR_XDS or --config-path");
        var tls = ParseTls(value);
        if (xds.StartsWith(UnixScheme, StringComparison.Ordinal))
        {
            return tls is null ? new XdsServer([XdsAddress.Unix(xds[UnixScheme.Length..])], null, "control-plane")
                : throw new FormatException("--xds: over a Unix socket there is no TLS; --xds-ca and the like need https://");
        }

        if (!Uri.TryCreate(xds, UriKind.Absolute, out var url) || url.Scheme is not ("http" or "https") || url.PathAndQuery != "/" || url.UserInfo.Length > 0)
        {
            throw new FormatException($"--xds: \"{xds}\" is none of http://HOST:PORT, https://HOST:PORT and unix:PATH");
        }

        var isTls = url.Scheme == "https";
        if (!isTls && tls is not null)
        {
            throw new FormatException("--xds: http:// is in the clear; --xds-ca and the like need https://");
        }

        return new XdsServer([XdsAddress.Tcp(url.Host, url.Port)], isTls ? tls ?? new TlsSettings() : null, url.Authority);
    }

    static TlsSettings? ParseTls(Func<string, string, string?> value)
    {
        PemSource? Source(string option, string variable) => value(option, variable) is { } path ? PemSource.File(path) : null;
        var tls = new TlsSettings
        {
            TrustedAuthorities = Source("--xds-ca", "WEIR_XDS_CA"),
            Certificate = Source("--xds-cert", "WEIR_XDS_CERT"),
            PrivateKey = Source("--xds-key", "WEIR_XDS_KEY"),
            ServerName = value("--xds-server-name", "WEIR_XDS_SERVER_NAME") ?? "",
        };
        if (tls.Certificate is null != tls.PrivateKey is null)
        {
            throw new FormatException("--xds-cert and --xds-key: give both or neither");
        }

        try
        {
            tls.Check();
        }
        catch (IOException e)
        {
            throw new FormatException($"control plane: {e.Message}");
        }

        return tls is { TrustedAuthorities: null, Certificate: null, ServerName: "" } ? null : tls;
    }
}
