using System.Text;

namespace Weir.Proxy.Telemetry;

/// <summary>Formats of strftime as those of .NET.</summary>
static class StrftimeFormat
{
    public static string ToNet(string format)
    {
        if (format.Length == 0)
        {
            return "yyyy-MM-dd'T'HH:mm:ss.fff'Z'";
        }

        var result = new StringBuilder();
        for (var i = 0; i < format.Length; i++)
        {
            if (format[i] != '%' || i + 1 == format.Length)
            {
                result.Append('\\').Append(format[i]);
                continue;
            }

            var digits = char.IsAsciiDigit(format[i + 1]) && i + 2 < format.Length ? format[++i] - '0' : 9;
            result.Append(format[++i] switch
            {
                'Y' => "yyyy",
                'm' => "MM",
                'd' => "dd",
                'H' => "HH",
                'M' => "mm",
                'S' => "ss",
                'F' => "yyyy-MM-dd",
                'T' => "HH:mm:ss",
                'b' => "MMM",
                'f' => new string('f', Math.Min(digits, 7)),
                'Z' => "'UTC'",
                'z' => "'+0000'",
                's' => "",
                '%' => "'%'",
                var other => throw new FormatException($"START_TIME: %{other} is not supported"),
            });
        }

        return result.ToString();
    }
}
