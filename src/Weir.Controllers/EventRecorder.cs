using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Weir.Client;
using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.Controllers;

/// <summary>Writes Kubernetes events; the same thing said again of the same object counts up one event.</summary>
public sealed class EventRecorder(KubeClient client, KindCatalog catalog, TimeProvider time, string component)
{
    readonly ResourceKind events = catalog.Get("", "Event");

    public async Task RecordAsync(Resource subject, bool isWarning, string reason, string message, CancellationToken cancel)
    {
        var ns = subject.Namespace.Length > 0 ? subject.Namespace : "default";
        var type = isWarning ? "Warning" : "Normal";
        var identity = SHA256.HashData(Encoding.UTF8.GetBytes($"{subject.Uid}|{type}|{reason}|{message}|{component}"));
        var key = new ObjectKey(ns, $"{subject.Name}.{Convert.ToHexStringLower(identity.AsSpan(0, 8))}");
        var now = time.GetUtcNow().ToTimestamp();
        var repeated = await client.ChangeAsync(events, key, e =>
        {
            e.Json["count"] = (e.Json.Number("count") ?? 1) + 1;
            e.Json["lastTimestamp"] = now;
            return true;
        }, cancel);
        if (repeated is not null)
        {
            return;
        }

        var created = Resource.New("v1", "Event", ns, key.Name);
        created.Json["involvedObject"] = new JsonObject
        {
            ["apiVersion"] = subject.ApiVersion,
            ["kind"] = subject.Kind,
            ["name"] = subject.Name,
            ["namespace"] = subject.Namespace,
            ["uid"] = subject.Uid,
            ["resourceVersion"] = subject.ResourceVersion,
        };
        created.Json["reason"] = reason;
        created.Json["message"] = message;
        created.Json["type"] = type;
        created.Json["source"] = new JsonObject { ["component"] = component };
        created.Json["reportingComponent"] = component;
        created.Json["firstTimestamp"] = now;
        created.Json["lastTimestamp"] = now;
        created.Json["count"] = 1;

        // A refusal (a namespace on its way out, a rival recorder) is no reason to fail what is being reported.
        await client.CreateAsync(events, created, cancel);
    }
}
