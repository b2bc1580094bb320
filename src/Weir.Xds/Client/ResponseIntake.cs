using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;

namespace Weir.Xds.Client;

/// <summary>
/// One response on its way to the sink: what is wrong with a resource refuses that resource alone, whether it is the envelope that does
/// not fit, the sink that refuses, or the sink that fails in a way that nobody foresaw.
/// </summary>
sealed class ResponseIntake(string type)
{
    /// <summary>gRPC's code for what cannot be right.</summary>
    const int InvalidArgument = 3;

    /// <summary>A longer explanation is cut: it goes into a header-sized field and a line of a log.</summary>
    const int MaximumReason = 8192;

    readonly List<ReceivedResource> changed = [];
    readonly HashSet<string> names = [];
    readonly SortedDictionary<string, string> refused = new(StringComparer.Ordinal);

    /// <summary>The names of all that came, refused or not.</summary>
    public IReadOnlySet<string> Names => names;

    /// <summary>There is a resource whose name could not be read, so that nobody can say what is missing from the response.</summary>
    public bool HasNameless { get; private set; }

    /// <param name="given">The name on the envelope; null where the variant has none.</param>
    public void Add(string? given, string version, Any? content)
    {
        var inner = content is null ? null : ResourceName.Of(content.Value);
        var name = given ?? inner ?? "";
        HasNameless |= name.Length == 0;
        var reason =
            content is null ? "it has no content"
            : content.TypeUrl != type ? $"it is of type {content.TypeUrl} in a response of {type}"
            : inner is null ? "it is not a protobuf message"
            : name.Length == 0 ? "it has no name"
            : inner != name ? $"its name is \"{inner}\" inside"
            : null;
        if (!names.Add(name) && name.Length > 0)
        {
            reason = "it is in the response twice";
            changed.RemoveAll(c => c.Name == name);
        }

        if (reason is null)
        {
            changed.Add(new ReceivedResource(name, version, content!.Value));
        }
        else
        {
            refused[name] = reason;
        }
    }

    /// <returns>What to answer: null for an ACK, else the NACK's detail.</returns>
    public Google.Rpc.Status? Apply(IConfigSink sink, IReadOnlyList<string> removed, AdsStatus status, Action<string> log)
    {
        if (!XdsTypes.PushOrder.Contains(type))
        {
            foreach (var resource in changed)
            {
                refused[resource.Name] = $"{type} is not supported";
            }
        }
        else
        {
            Refuse(ApplyAll(sink, removed, status, log));
        }

        if (refused.Count == 0)
        {
            return null;
        }

        status.CountRefused(refused.Count);
        var message = string.Join("; ", refused.Select(r => r.Value.Contains(r.Key, StringComparison.Ordinal) ? r.Value : $"{r.Key}: {r.Value}"));
        message = message.Length <= MaximumReason ? message : message[..MaximumReason];
        log($"refused of {type}: {message}");
        return new Google.Rpc.Status { Code = InvalidArgument, Message = message };
    }

    void Refuse(IEnumerable<KeyValuePair<string, string>> more)
    {
        foreach (var (name, reason) in more)
        {
            refused[name] = reason;
        }
    }

    IEnumerable<KeyValuePair<string, string>> ApplyAll(IConfigSink sink, IReadOnlyList<string> removed, AdsStatus status, Action<string> log)
    {
        try
        {
            return sink.Apply(type, changed, removed);
        }
        catch (Exception e)
        {
            status.CountUnexpected();
            log($"unexpected error while applying {type}, each resource is now tried by itself: {e.ToString().ReplaceLineEndings(" ")}");
        }

        // One of them did it. The others are not to suffer for it.
        var reasons = new Dictionary<string, string>();
        foreach (var (changes, removals) in changed.Select(c => ((ReceivedResource[])[c], (string[])[]))
            .Concat(removed.Select(r => ((ReceivedResource[])[], (string[])[r]))))
        {
            try
            {
                foreach (var (name, reason) in sink.Apply(type, changes, removals))
                {
                    reasons[name] = reason;
                }
            }
            catch (Exception e)
            {
                reasons[changes.Length > 0 ? changes[0].Name : removals[0]] = $"unexpected error: {e.Message}";
            }
        }

        return reasons;
    }
}
