using System.Net.Http.Headers;
using System.Net.Security;
using System.Net.WebSockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json.Nodes;
using Weir.Resources;
using Weir.Resources.Yaml;

namespace Weir.Client;

/// <summary>The current context of a kubeconfig file, as a connection.</summary>
public sealed record KubeConfig(string Server, string Namespace, byte[]? CertificateAuthority, string? ClientCertificate, string? ClientKey, string? Token)
{
    /// <exception cref="InvalidDataException">The file is not a kubeconfig; the message says what is missing.</exception>
    public static KubeConfig Load(string path)
    {
        JsonNode? root;
        try
        {
            root = YamlReader.Parse(File.ReadAllText(path)).FirstOrDefault();
        }
        catch (YamlSyntaxException e)
        {
            throw new InvalidDataException($"{path}: {e.Message}");
        }

        var context = Named(root, "contexts", root.Text("current-context"), "context") ?? throw new InvalidDataException($"{path}: no current context");
        var cluster = Named(root, "clusters", context.Text("cluster"), "cluster")
            ?? throw new InvalidDataException($"{path}: cluster \"{context.Text("cluster")}\" is not in the file");
        var user = Named(root, "users", context.Text("user"), "user");
        return new KubeConfig(
            cluster.Text("server") ?? throw new InvalidDataException($"{path}: the cluster has no server"),
            context.Text("namespace") ?? "default",
            Data(cluster, "certificate-authority"),
            Data(user, "client-certificate") is { } certificate ? Encoding.UTF8.GetString(certificate) : null,
            Data(user, "client-key") is { } key ? Encoding.UTF8.GetString(key) : null,
            user.Text("token"));
    }

    public HttpClient Connect()
    {
        var handler = new SocketsHttpHandler { PooledConnectionLifetime = Timeout.InfiniteTimeSpan, UseProxy = false };
        if (TrustPolicy() is { } policy)
        {
            handler.SslOptions.CertificateChainPolicy = policy;
        }

        if (ClientCertificate is not null && ClientKey is not null)
        {
            handler.SslOptions.LocalCertificateSelectionCallback = Select(X509Certificate2.CreateFromPem(ClientCertificate, ClientKey));
        }

        var client = new HttpClient(handler) { BaseAddress = new Uri(Server), Timeout = Timeout.InfiniteTimeSpan };
        if (Token is not null)
        {
            client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", Token);
        }

        return client;
    }

    /// <summary>A WebSocket to the server, for streams such as exec.</summary>
    public async Task<ClientWebSocket> ConnectWebSocketAsync(string path, string protocol, CancellationToken cancel)
    {
        var socket = new ClientWebSocket();
        socket.Options.AddSubProtocol(protocol);
        if (ClientCertificate is not null && ClientKey is not null)
        {
            socket.Options.ClientCertificates.Add(X509Certificate2.CreateFromPem(ClientCertificate, ClientKey));
        }

        if (Token is not null)
        {
            socket.Options.SetRequestHeader("Authorization", "Bearer " + Token);
        }

        if (TrustPolicy() is { } policy)
        {
            socket.Options.RemoteCertificateValidationCallback = (_, certificate, _, _) =>
            {
                using var chain = new X509Chain { ChainPolicy = policy };
                return certificate is X509Certificate2 c && chain.Build(c);
            };
        }

        await socket.ConnectAsync(new Uri(Server.Replace("https://", "wss://", StringComparison.Ordinal) + path), cancel);
        return socket;
    }

    X509ChainPolicy? TrustPolicy()
    {
        if (CertificateAuthority is null)
        {
            return null;
        }

        var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        policy.CustomTrustStore.Add(X509CertificateLoader.LoadCertificate(FromPem(CertificateAuthority)));
        return policy;
    }

    static LocalCertificateSelectionCallback Select(X509Certificate2 certificate) => (_, _, _, _, _) => certificate;

    static byte[] FromPem(byte[] pem)
    {
        var text = Encoding.UTF8.GetString(pem);
        return PemEncoding.TryFind(text, out var fields) ? Convert.FromBase64String(text[fields.Base64Data]) : pem;
    }

    static JsonNode? Named(JsonNode? root, string list, string? name, string member) =>
        root.Objects(list).FirstOrDefault(entry => entry.Text("name") == name)?[member];

    static byte[]? Data(JsonNode? node, string field) =>
        node.Text(field + "-data") is { } data ? Convert.FromBase64String(data)
        : node.Text(field) is { } path ? File.ReadAllBytes(path)
        : null;
}
