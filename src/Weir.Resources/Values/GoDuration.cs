using System.Globalization;
using System.Text;

namespace Weir.Resources.Values;

/// <summary>Go's duration syntax (<c>1h2m3.5s</c>, <c>300ms</c>), which every Kubernetes API uses for lengths of time.</summary>
public static class GoDuration
{
    static readonly (string Unit, double Nanoseconds)[] Units =
        [("ns", 1), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];

    public static bool TryParse(string? text, out TimeSpan duration)
    {
        duration = TimeSpan.Zero;
        if (string.IsNullOrEmpty(text))
        {
            return false;
        }

        var rest = text.AsSpan();
        var negative = rest[0] == '-';
        if (rest[0] is '-' or '+')
        {
            rest = rest[1..];
        }

        if (rest is "0")
        {
            return true;
        }

        double total = 0;
        while (rest.Length > 0)
        {
            var digits = 0;
            while (digits < rest.Length && (char.IsAsciiDigit(rest[digits]) || rest[digits] == '.'))
            {
                digits++;
            }

            if (!double.TryParse(rest[..digits], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number))
            {
                return false;
            }

            rest = rest[digits..];
            var unit = 0;
            while (unit < rest.Length && !char.IsAsciiDigit(rest[unit]) && rest[unit] != '.')
            {
                unit++;
            }

            var scale = 0.0;
            foreach (var (name, nanoseconds) in Units)
            {
                if (rest[..unit].SequenceEqual(name))
                {
                    scale = nanoseconds;
                }
            }

            if (scale == 0)
            {
                return false;
            }

            total += number * scale;
            rest = rest[unit..];
        }

        if (total / 100 > long.MaxValue / 4d || text is "+" or "-")
        {
            return false;
        }

        duration = TimeSpan.FromTicks((long)Math.Round(total / 100) * (negative ? -1 : 1));
        return true;
    }

    public static TimeSpan ParseOr(string? text, TimeSpan otherwise) => TryParse(text, out var d) ? d : otherwise;

    /// <summary>As Go prints it: <c>1m30s</c>, <c>1.515s</c>, <c>500ms</c>, <c>0s</c>.</summary>
    public static string Format(TimeSpan duration)
    {
        if (duration == TimeSpan.Zero)
        {
            return "0s";
        }

        var text = new StringBuilder(duration < TimeSpan.Zero ? "-" : "");
        duration = duration.Duration();
        if (duration < TimeSpan.FromSeconds(1))
        {
            return text.Append(duration >= TimeSpan.FromMilliseconds(1)
                ? Decimal(duration.TotalMilliseconds) + "ms"
                : Decimal(duration.TotalMicroseconds) + "µs").ToString();
        }

        var hours = (long)duration.TotalHours;
        if (hours > 0)
        {
            text.Append(hours).Append('h');
        }

        if (duration.TotalMinutes >= 1)
        {
            text.Append(duration.Minutes).Append('m');
        }

        return text.Append(Decimal(duration.Seconds + (duration.Ticks % TimeSpan.TicksPerSecond / (double)TimeSpan.TicksPerSecond)))
            .Append('s').ToString();
    }

    static string Decimal(double value) => value.ToString("0.#######", CultureInfo.InvariantCulture);
}
