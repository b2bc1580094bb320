namespace Weir.Proxy.Matching;

[Flags]
enum Re2Flags
{
    None = 0,
    IgnoreCase = 1,
    MultiLine = 2,
    DotMatchesAll = 4,
    Ungreedy = 8,
}

/// <summary>Flags in a regular expression: <c>(?i)</c>, <c>(?i-s:…)</c>.</summary>
static class Re2Flag
{
    /// <summary>After <c>(?</c>, where no name follows.</summary>
    /// <returns>Whether a group begins that they are for; otherwise they are for what is left of the one around them.</returns>
    public static bool TakeGroup(Re2Scanner from, ref Re2Flags flags)
    {
        var wanted = flags;
        bool removes = false, hasAny = true;
        while (true)
        {
            var c = from.Take();
            var flag = c switch
            {
                'i' => Re2Flags.IgnoreCase,
                'm' => Re2Flags.MultiLine,
                's' => Re2Flags.DotMatchesAll,
                'U' => Re2Flags.Ungreedy,
                _ => Re2Flags.None,
            };
            if (flag != Re2Flags.None)
            {
                wanted = removes ? wanted & ~flag : wanted | flag;
                hasAny = true;
            }
            else if (c == '-' && !removes)
            {
                (removes, hasAny) = (true, false);
            }
            else if (c is ':' or ')' && hasAny)
            {
                flags = wanted;
                return c == ':';
            }
            else
            {
                throw from.Error($"(?{c} is not in RE2: {Missing(c)}");
            }
        }
    }

    static string Missing(char c) => c switch
    {
        '=' or '!' => "look-ahead",
        '>' => "an atomic group",
        '|' => "branch reset",
        '#' => "a comment",
        '(' => "a condition",
        'R' or '&' or '+' or (>= '0' and <= '9') => "recursion",
        _ => "unknown flags",
    };
}
