using System.Text;

namespace Weir.Proxy.Telemetry;

/// <summary>A piece of a format with Envoy's command operators: fixed text, or an operator, <c>%NAME(ARGUMENT):LIMIT%</c>.</summary>
/// <param name="Name">Empty for fixed text.</param>
/// <param name="Limit">Bytes of the value; <see cref="int.MaxValue"/> where none is given.</param>
readonly record struct CommandPiece(string Text, string Name, string Argument, int Limit);

/// <summary>Takes formats apart; which operators there are is not asked here. Pure.</summary>
static class CommandFormat
{
    /// <exception cref="FormatException">An operator is not closed, or its limit is no number.</exception>
    public static List<CommandPiece> Parse(string format)
    {
        var pieces = new List<CommandPiece>();
        var text = new StringBuilder();
        var at = 0;
        while (at < format.Length)
        {
            if (format[at] != '%')
            {
                text.Append(format[at++]);
            }
            else if (at + 1 < format.Length && format[at + 1] == '%')
            {
                text.Append('%');
                at += 2;
            }
            else
            {
                Flush(text, pieces);
                pieces.Add(ParseOperator(format, at + 1, out at));
            }
        }

        Flush(text, pieces);
        return pieces;
    }

    static void Flush(StringBuilder text, List<CommandPiece> pieces)
    {
        if (text.Length > 0)
        {
            pieces.Add(new CommandPiece(text.ToString(), "", "", int.MaxValue));
            text.Clear();
        }
    }

    static CommandPiece ParseOperator(string format, int at, out int next)
    {
        var start = at;
        while (at < format.Length && (char.IsAsciiLetterUpper(format[at]) || char.IsAsciiDigit(format[at]) || format[at] == '_'))
        {
            at++;
        }

        var name = format[start..at];
        var argument = "";
        if (at < format.Length && format[at] == '(')
        {
            var close = format.IndexOf(')', at);
            if (close < 0)
            {
                throw new FormatException($"%{name}( is not closed");
            }

            argument = format[(at + 1)..close];
            at = close + 1;
        }

        var limit = ParseLimit(format, name, ref at);
        if (at >= format.Length || format[at] != '%')
        {
            throw new FormatException($"%{name} has no closing percent sign");
        }

        next = at + 1;
        return name.Length > 0 ? new CommandPiece("", name, argument, limit) : throw new FormatException("an operator needs a name");
    }

    static int ParseLimit(string format, string name, ref int at)
    {
        if (at >= format.Length || format[at] != ':')
        {
            return int.MaxValue;
        }

        var start = ++at;
        while (at < format.Length && char.IsAsciiDigit(format[at]))
        {
            at++;
        }

        return int.TryParse(format.AsSpan(start, at - start), out var limit) ? limit : throw new FormatException($"%{name}: the length after the colon is no number");
    }
}
