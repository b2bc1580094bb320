namespace Weir.Dialects;

public enum VerdictKind
{
    /// <summary>Carried out, but not in every respect.</summary>
    Degraded,

    /// <summary>Not carried out.</summary>
    Refused,
}

/// <summary>What is not done as written: the field, and why. A field without a verdict is supported.</summary>
public sealed record Verdict(string Path, VerdictKind Kind, string Reason)
{
    public override string ToString() => $"{Path}: {Kind.ToString().ToLowerInvariant()}: {Reason}";
}
