using Microsoft.AspNetCore.Http;
using Weir.Resources;

namespace Weir.ApiServer.Requests;

/// <summary>The options of a list or watch, and how the answer is to look.</summary>
sealed record ListRequest(
    LabelSelector Labels, FieldSelector Fields, string ResourceVersion, TimeSpan? Timeout, bool AllowBookmarks, bool AsTable, string? IncludeObject)
{
    public bool Matches(Resource resource) => Labels.Matches(resource.Labels) && Fields.Matches(resource);

    public static ListRequest? Parse(HttpRequest request, ApiPath path, out string? error)
    {
        var query = request.Query;
        LabelSelector labels;
        try
        {
            labels = LabelSelector.Parse(query["labelSelector"]);
        }
        catch (FormatException e)
        {
            error = e.Message;
            return null;
        }

        var fieldText = query["fieldSelector"].ToString();
        if (path.Name.Length > 0)
        {
            fieldText = fieldText.Length == 0 ? $"metadata.name={path.Name}" : $"{fieldText},metadata.name={path.Name}";
        }

        var fields = FieldSelector.Parse(fieldText, out error);
        return fields is null ? null : new ListRequest(
            labels, fields, query["resourceVersion"].ToString(),
            int.TryParse(query["timeoutSeconds"], out var seconds) && seconds > 0 ? TimeSpan.FromSeconds(seconds) : null,
            query["allowWatchBookmarks"] == "true",
            WantsTable(request), query["includeObject"].ToString() is { Length: > 0 } include ? include : null);
    }

    public static bool WantsTable(HttpRequest request) =>
        request.Headers.Accept.ToString().Split(',')[0].Contains("as=Table", StringComparison.Ordinal);
}
