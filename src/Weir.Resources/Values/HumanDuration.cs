namespace Weir.Resources.Values;

/// <summary>Ages as kubectl shows them: the one or two most significant units.</summary>
public static class HumanDuration
{
    public static string Format(TimeSpan age)
    {
        if (age < TimeSpan.Zero)
        {
            return age > TimeSpan.FromSeconds(-2) ? "0s" : "<invalid>";
        }

        var seconds = (long)age.TotalSeconds;
        var minutes = seconds / 60;
        var hours = minutes / 60;
        var days = hours / 24;
        if (seconds < 120)
        {
            return $"{seconds}s";
        }

        if (minutes < 10)
        {
            return Two(minutes, "m", seconds % 60, "s");
        }

        if (minutes < 180)
        {
            return $"{minutes}m";
        }

        if (hours < 8)
        {
            return Two(hours, "h", minutes % 60, "m");
        }

        if (hours < 48)
        {
            return $"{hours}h";
        }

        if (days < 8)
        {
            return Two(days, "d", hours % 24, "h");
        }

        return days < 730 ? $"{days}d" : Two(days / 365, "y", days % 365, "d");
    }

    static string Two(long first, string firstUnit, long second, string secondUnit) =>
        second == 0 ? $"{first}{firstUnit}" : $"{first}{firstUnit}{second}{secondUnit}";
}
