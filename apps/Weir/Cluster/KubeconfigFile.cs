using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json.Nodes;
using Weir.Identity;
using Weir.Resources.Yaml;

namespace Weir.App.Cluster;

/// <summary>Writes the kubeconfig by which kubectl, and Weir's own commands, reach a cluster.</summary>
static class KubeconfigFile
{
    public static void Write(string path, int port, X509Certificate2 authority, X509Certificate2 client)
    {
        static string Data(string pem) => Convert.ToBase64String(Encoding.ASCII.GetBytes(pem));
        var config = new JsonObject
        {
            ["apiVersion"] = "v1",
            ["kind"] = "Config",
            ["clusters"] = new JsonArray(new JsonObject
            {
                ["name"] = "weir",
                ["cluster"] = new JsonObject
                {
                    ["server"] = $"https://127.0.0.1:{port}",
                    ["certificate-authority-data"] = Data(authority.ExportCertificatePem()),
                },
            }),
            ["users"] = new JsonArray(new JsonObject
            {
                ["name"] = "weir-admin",
                ["user"] = new JsonObject
                {
                    ["client-certificate-data"] = Data(client.ExportCertificatePem()),
                    ["client-key-data"] = Data(client.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem()),
                },
            }),
            ["contexts"] = new JsonArray(new JsonObject
            {
                ["name"] = "weir",
                ["context"] = new JsonObject { ["cluster"] = "weir", ["user"] = "weir-admin", ["namespace"] = "default" },
            }),
            ["current-context"] = "weir",
        };
        PrivateFile.Write(path, YamlWriter.Write(config));
    }
}
