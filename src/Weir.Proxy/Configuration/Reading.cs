namespace Weir.Proxy.Configuration;

/// <summary>One reading of a resource: the secrets that it needs, and what of it is not carried out.</summary>
sealed class Reading
{
    readonly List<string> remarks = [];

    public HashSet<string> Secrets { get; } = [];

    public IReadOnlyList<string> Remarks => remarks;

    /// <param name="field">Where it stands, and its name.</param>
    public void NotCarriedOut(string field, bool isSet)
    {
        if (isSet)
        {
            remarks.Add($"{field} is not carried out");
        }
    }
}
