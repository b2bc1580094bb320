using System.Globalization;
using System.Text.Json.Nodes;

namespace Weir.Resources.Values;

/// <summary>A count given either as a number or as a percentage of a total (<c>intstr.IntOrString</c>).</summary>
public static class IntOrPercent
{
    /// <summary>Scales against <paramref name="total"/>, rounding up or down as the field's contract says.</summary>
    public static int Resolve(JsonNode? value, int total, bool roundUp, int otherwise)
    {
        var text = value.Text();
        if (text is null)
        {
            return otherwise;
        }

        if (text.EndsWith('%') && double.TryParse(text.AsSpan()[..^1], NumberStyles.Float, CultureInfo.InvariantCulture, out var percent))
        {
            var exact = percent * total / 100;
            return (int)(roundUp ? Math.Ceiling(exact) : Math.Floor(exact));
        }

        return int.TryParse(text, NumberStyles.Integer, CultureInfo.InvariantCulture, out var number) ? number : otherwise;
    }
}
