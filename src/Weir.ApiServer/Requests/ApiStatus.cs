using System.Text.Json.Nodes;
using Weir.Resources;
using Weir.Resources.Kinds;

namespace Weir.ApiServer.Requests;

/// <summary>A refusal as Kubernetes words it: the HTTP code, the machine-readable reason, and the causes by field.</summary>
public sealed record ApiStatus(int Code, string Reason, string Message)
{
    public JsonObject? Details { get; init; }

    public static ApiStatus NotFound(ResourceKind kind, string name) =>
        new(404, "NotFound", $"{kind.QualifiedPlural} \"{name}\" not found") { Details = DetailsOf(kind, name) };

    public static ApiStatus NoRoute() => new(404, "NotFound", "the server could not find the requested resource");

    public static ApiStatus AlreadyExists(ResourceKind kind, string name) =>
        new(409, "AlreadyExists", $"{kind.QualifiedPlural} \"{name}\" already exists") { Details = DetailsOf(kind, name) };

    public static ApiStatus Conflict(ResourceKind kind, string name, string why =
        "the object has been modified; please apply your changes to the latest version and try again") =>
        new(409, "Conflict", $"Operation cannot be fulfilled on {kind.QualifiedPlural} \"{name}\": {why}") { Details = DetailsOf(kind, name) };

    public static ApiStatus Invalid(ResourceKind kind, string name, IReadOnlyList<Violation> violations)
    {
        var list = violations.Count == 1 ? violations[0].ToString() : $"[{string.Join(", ", violations)}]";
        var details = DetailsOf(kind, name);
        details["kind"] = kind.Kind;
        details["causes"] = new JsonArray([.. violations.Select(v => new JsonObject
        {
            ["reason"] = v.Reason,
            ["message"] = v.Message,
            ["field"] = v.Path,
        })]);
        return new ApiStatus(422, "Invalid", $"{kind.QualifiedKind} \"{name}\" is invalid: {list}") { Details = details };
    }

    public static ApiStatus BadRequest(string message) => new(400, "BadRequest", message);

    public static ApiStatus Forbidden(ResourceKind kind, string name, string why) =>
        new(403, "Forbidden", $"{kind.QualifiedPlural} \"{name}\" is forbidden: {why}") { Details = DetailsOf(kind, name) };

    public static ApiStatus Expired() => new(410, "Expired", "too old resource version");

    public JsonObject ToJson()
    {
        var json = new JsonObject
        {
            ["kind"] = "Status",
            ["apiVersion"] = "v1",
            ["metadata"] = new JsonObject(),
            ["status"] = "Failure",
            ["message"] = Message,
            ["reason"] = Reason,
            ["code"] = Code,
        };
        if (Details is not null)
        {
            json["details"] = Details.DeepClone();
        }

        return json;
    }

    static JsonObject DetailsOf(ResourceKind kind, string name) =>
        new() { ["name"] = name, ["group"] = kind.Group, ["kind"] = kind.Plural };
}
