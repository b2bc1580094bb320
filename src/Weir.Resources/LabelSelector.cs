using System.Text.Json.Nodes;

namespace Weir.Resources;

/// <summary>A label selector, from <c>metav1.LabelSelector</c> JSON or from the query syntax <c>a=b,c!=d,e in (f,g),!h</c>.</summary>
public sealed class LabelSelector
{
    enum Operator { In, NotIn, Exists, DoesNotExist }

    sealed record Requirement(string Key, Operator Operator, IReadOnlyCollection<string> Values);

    readonly List<Requirement> requirements = [];

    public static readonly LabelSelector Everything = new();

    public bool IsEmpty => requirements.Count == 0;

    public static LabelSelector FromLabels(IEnumerable<KeyValuePair<string, string>> labels)
    {
        var selector = new LabelSelector();
        foreach (var (key, value) in labels)
        {
            selector.requirements.Add(new Requirement(key, Operator.In, [value]));
        }

        return selector;
    }

    public static LabelSelector FromJson(JsonNode? json)
    {
        var selector = FromLabels(json.TextMap("matchLabels"));
        foreach (var expression in json.Objects("matchExpressions"))
        {
            if (Enum.TryParse<Operator>(expression.Text("operator"), out var op))
            {
                selector.requirements.Add(new Requirement(expression.Text("key") ?? "", op, [.. expression.Texts("values")]));
            }
        }

        return selector;
    }

    /// <exception cref="FormatException">The text is not a selector.</exception>
    public static LabelSelector Parse(string? text)
    {
        var selector = new LabelSelector();
        foreach (var part in SplitTopLevel(text ?? ""))
        {
            selector.requirements.Add(ParseRequirement(part));
        }

        return selector;
    }

    public bool Matches(IReadOnlyDictionary<string, string> labels)
    {
        foreach (var r in requirements)
        {
            var present = labels.TryGetValue(r.Key, out var value);
            var matches = r.Operator switch
            {
                Operator.In => present && r.Values.Contains(value!),
                Operator.NotIn => !present || !r.Values.Contains(value!),
                Operator.Exists => present,
                _ => !present,
            };
            if (!matches)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>The query syntax; what <c>status.selector</c> of a Scale shows.</summary>
    public override string ToString() => string.Join(',', requirements.Select(r => r.Operator switch
    {
        Operator.In when r.Values.Count == 1 => $"{r.Key}={r.Values.First()}",
        Operator.In => $"{r.Key} in ({string.Join(',', r.Values)})",
        Operator.NotIn => $"{r.Key} notin ({string.Join(',', r.Values)})",
        Operator.Exists => r.Key,
        _ => "!" + r.Key,
    }));

    static Requirement ParseRequirement(string part)
    {
        if (part.StartsWith('!'))
        {
            return new Requirement(part[1..].Trim(), Operator.DoesNotExist, []);
        }

        foreach (var (token, op) in new[] { (" notin ", Operator.NotIn), (" in ", Operator.In) })
        {
            var at = part.IndexOf(token, StringComparison.Ordinal);
            if (at > 0)
            {
                var values = part[(at + token.Length)..].Trim();
                if (!values.StartsWith('(') || !values.EndsWith(')'))
                {
                    throw new FormatException($"unable to parse requirement: found '{values}', expected: '('");
                }

                return new Requirement(part[..at].Trim(), op,
                    values[1..^1].Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries));
            }
        }

        foreach (var (token, op) in new[] { ("!=", Operator.NotIn), ("==", Operator.In), ("=", Operator.In) })
        {
            var at = part.IndexOf(token, StringComparison.Ordinal);
            if (at > 0)
            {
                return new Requirement(part[..at].Trim(), op, [part[(at + token.Length)..].Trim()]);
            }
        }

        return part.Length > 0 && part.All(c => char.IsLetterOrDigit(c) || c is '-' or '_' or '.' or '/')
            ? new Requirement(part, Operator.Exists, [])
            : throw new FormatException($"unable to parse requirement: '{part}'");
    }

    static IEnumerable<string> SplitTopLevel(string text)
    {
        int depth = 0, start = 0;
        for (var i = 0; i <= text.Length; i++)
        {
            if (i == text.Length || (text[i] == ',' && depth == 0))
            {
                var part = text[start..i].Trim();
                if (part.Length > 0)
                {
                    yield return part;
                }

                start = i + 1;
            }
            else if (text[i] == '(')
            {
                depth++;
            }
            else if (text[i] == ')')
            {
                depth--;
            }
        }
    }
}
