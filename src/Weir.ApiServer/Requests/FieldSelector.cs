using Weir.Resources;

namespace Weir.ApiServer.Requests;

/// <summary>A field selector: <c>path=value</c> and <c>path!=value</c> over any scalar field of the object.</summary>
public sealed class FieldSelector
{
    readonly List<(string[] Path, string Value, bool Equal)> terms = [];

    public bool IsEmpty => terms.Count == 0;

    public static FieldSelector? Parse(string? text, out string? error)
    {
        error = null;
        var selector = new FieldSelector();
        foreach (var term in (text ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            var equal = !term.Contains("!=", StringComparison.Ordinal);
            var parts = term.Split(equal ? term.Contains("==", StringComparison.Ordinal) ? "==" : "=" : "!=", 2);
            if (parts.Length != 2)
            {
                error = $"invalid field selector: '{term}'; can't understand it";
                return null;
            }

            selector.terms.Add((parts[0].Split('.'), parts[1], equal));
        }

        return selector;
    }

    public bool Matches(Resource resource) =>
        terms.TrueForAll(t => string.Equals(resource.Json.Text(t.Path) ?? "", t.Value, StringComparison.Ordinal) == t.Equal);
}
