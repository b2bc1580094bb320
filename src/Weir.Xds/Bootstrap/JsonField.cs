using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Weir.Xds.Bootstrap;

/// <summary>What is wrong with a bootstrap file, and what of it is not carried out.</summary>
sealed class Findings
{
    public List<string> Errors { get; } = [];

    public List<string> Warnings { get; } = [];
}

/// <summary>
/// One value of the file, with the path it is at. Fields are read by their names, in snake case or, as protobuf's JSON form also allows,
/// in camel case; each that nobody has read when the object is <see cref="Close"/>d is an error.
/// </summary>
sealed class JsonField
{
    readonly JsonElement element;
    readonly Findings findings;
    readonly Dictionary<string, JsonElement> unread = [];

    public JsonField(JsonElement element, string path, Findings findings)
    {
        (this.element, Path, this.findings) = (element, path, findings);
        if (element.ValueKind != JsonValueKind.Object)
        {
            return;
        }

        foreach (var property in element.EnumerateObject())
        {
            if (!unread.TryAdd(SnakeCase(property.Name), property.Value))
            {
                findings.Errors.Add($"{Below(property.Name)}: is there twice");
            }
        }
    }

    public string Path { get; }

    public JsonElement Json => element;

    public void Error(string problem) => findings.Errors.Add($"{Path}: {problem}");

    public void Warn(string problem) => findings.Warnings.Add($"{Path}: {problem}");

    public bool Has(string name) => unread.TryGetValue(name, out var value) && value.ValueKind != JsonValueKind.Null;

    /// <summary>The field, whatever it is; null when it is absent.</summary>
    public JsonField? Find(string name) =>
        unread.Remove(name, out var value) && value.ValueKind != JsonValueKind.Null ? new JsonField(value, Below(name), findings) : null;

    /// <summary>The field as an object; null when it is absent or, which is an error, something else.</summary>
    public JsonField? Object(string name) => Find(name) is { } field && field.Is(JsonValueKind.Object, "an object") ? field : null;

    public IReadOnlyList<JsonField> List(string name) => Find(name) is { } field && field.Is(JsonValueKind.Array, "a list")
        ? [.. field.element.EnumerateArray().Select((e, i) => new JsonField(e, $"{field.Path}[{i}]", findings))] : [];

    /// <summary>The objects of a list.</summary>
    public IReadOnlyList<JsonField> Objects(string name) => [.. List(name).Where(f => f.Is(JsonValueKind.Object, "an object"))];

    public string Text(string name) => Find(name)?.AsText() ?? "";

    public string AsText() => Is(JsonValueKind.String, "a string") ? element.GetString()! : "";

    public bool Flag(string name)
    {
        var field = Find(name);
        if (field is not null && field.element.ValueKind is not (JsonValueKind.True or JsonValueKind.False))
        {
            field.Error("must be true or false");
        }

        return field?.element.ValueKind == JsonValueKind.True;
    }

    public int Number(string name, int minimum, int maximum)
    {
        if (Find(name) is not { } field)
        {
            findings.Errors.Add($"{Below(name)}: missing");
            return minimum;
        }

        if (field.element.ValueKind == JsonValueKind.Number && field.element.TryGetInt32(out var number) && number >= minimum && number <= maximum)
        {
            return number;
        }

        field.Error($"must be a number from {minimum} to {maximum}");
        return minimum;
    }

    /// <summary>A duration as protobuf writes it: <c>"1.5s"</c>.</summary>
    public TimeSpan? Duration(string name)
    {
        const double longest = 86_400;
        if (Find(name) is not { } field)
        {
            return null;
        }

        if (field.element.ValueKind == JsonValueKind.String && field.element.GetString() is ['0' or '1' or '2' or '3' or '4' or '5' or '6' or '7' or '8' or '9', .., 's'] text
            && double.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var seconds)
            && seconds is > 0 and <= longest)
        {
            return TimeSpan.FromSeconds(seconds);
        }

        field.Error("must be a duration such as \"5s\", up to a day");
        return null;
    }

    /// <summary>Says of each of these fields that is there that it is not carried out.</summary>
    public void Ignore(params ReadOnlySpan<string> names)
    {
        foreach (var name in names)
        {
            Find(name)?.Warn("ignored");
        }
    }

    /// <summary>What has not been read by now is not known.</summary>
    public void Close()
    {
        foreach (var name in unread.Keys)
        {
            findings.Errors.Add($"{Below(name)}: not supported");
        }

        unread.Clear();
    }

    bool Is(JsonValueKind kind, string what)
    {
        if (element.ValueKind == kind)
        {
            return true;
        }

        Error($"must be {what}");
        return false;
    }

    string Below(string name) => Path.Length > 0 ? $"{Path}.{name}" : name;

    /// <summary>Keys that are no field names (type URLs, names of extensions) have a dot or @ and stay as they are.</summary>
    static string SnakeCase(string name)
    {
        if (name.AsSpan().ContainsAny('.', '@'))
        {
            return name;
        }

        var snake = new StringBuilder(name.Length + 8);
        foreach (var character in name)
        {
            if (char.IsAsciiLetterUpper(character))
            {
                snake.Append('_').Append(char.ToLowerInvariant(character));
            }
            else
            {
                snake.Append(character);
            }
        }

        return snake.ToString();
    }
}
