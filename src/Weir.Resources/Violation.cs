namespace Weir.Resources;

public enum ViolationKind
{
    Required,
    Invalid,
    NotSupported,
    Forbidden,
    TypeInvalid,
    Duplicate,
    NotFound,
}

/// <summary>One thing wrong with a resource, at one field path such as <c>spec.http[0].route[1].weight</c>.</summary>
public sealed record Violation(string Path, ViolationKind Kind, string Message)
{
    public static Violation Required(string path, string detail = "") =>
        new(path, ViolationKind.Required, detail.Length == 0 ? "Required value" : $"Required value: {detail}");

    public static Violation Invalid(string path, object? value, string detail) =>
        new(path, ViolationKind.Invalid, $"Invalid value: {Show(value)}: {detail}");

    public static Violation Forbidden(string path, string detail) => new(path, ViolationKind.Forbidden, $"Forbidden: {detail}");

    public static Violation NotSupported(string path, object? value, IEnumerable<string> supported) =>
        new(path, ViolationKind.NotSupported,
            $"Unsupported value: {Show(value)}: supported values: {string.Join(", ", supported.Select(s => $"\"{s}\""))}");

    /// <summary>The machine-readable cause of metav1.StatusCause.</summary>
    public string Reason => "FieldValue" + Kind;

    public override string ToString() => $"{Path}: {Message}";

    static string Show(object? value) => value switch
    {
        null => "null",
        string s => $"\"{s}\"",
        _ => value.ToString() ?? "",
    };
}
