using System.Globalization;

namespace Weir.Resources.Values;

/// <summary>Kubernetes resource quantities: <c>100m</c>, <c>1.5</c>, <c>64Mi</c>, <c>2G</c>, <c>1e3</c>.</summary>
public static class Quantity
{
    static readonly (string Suffix, double Scale)[] Suffixes =
    [
        ("Ki", 1024d), ("Mi", 1024d * 1024), ("Gi", 1024d * 1024 * 1024), ("Ti", Math.Pow(1024, 4)), ("Pi", Math.Pow(1024, 5)),
        ("Ei", Math.Pow(1024, 6)), ("n", 1e-9), ("u", 1e-6), ("m", 1e-3), ("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12),
        ("P", 1e15), ("E", 1e18),
    ];

    public static bool TryParse(string? text, out double value)
    {
        value = 0;
        if (string.IsNullOrEmpty(text))
        {
            return false;
        }

        foreach (var (suffix, scale) in Suffixes)
        {
            if (text.EndsWith(suffix, StringComparison.Ordinal))
            {
                var ok = TryNumber(text[..^suffix.Length], out value);
                value *= scale;
                return ok;
            }
        }

        return TryNumber(text, out value);
    }

    static bool TryNumber(string text, out double value) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out value);
}
