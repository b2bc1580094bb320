using System.Text.Json.Nodes;

namespace Weir.Resources.Kinds;

/// <summary>Translation between <c>v1</c> Event, which is stored, and <c>events.k8s.io/v1</c> Event, its newer spelling.</summary>
static class Events
{
    static readonly (string Core, string Newer)[] Renamed =
    [
        ("involvedObject", "regarding"), ("message", "note"), ("source", "deprecatedSource"), ("reportingComponent", "reportingController"),
        ("firstTimestamp", "deprecatedFirstTimestamp"), ("lastTimestamp", "deprecatedLastTimestamp"), ("count", "deprecatedCount"),
    ];

    public static void ToCore(JsonObject json)
    {
        Rename(json, r => r.Newer, r => r.Core);
        json["apiVersion"] = "v1";
    }

    public static void FromCore(JsonObject json)
    {
        Rename(json, r => r.Core, r => r.Newer);
        json["apiVersion"] = "events.k8s.io/v1";
    }

    static void Rename(JsonObject json, Func<(string Core, string Newer), string> from, Func<(string Core, string Newer), string> to)
    {
        foreach (var pair in Renamed)
        {
            if (json.Remove(from(pair), out var value))
            {
                json[to(pair)] = value;
            }
        }
    }
}
