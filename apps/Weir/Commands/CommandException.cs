namespace Weir.App.Commands;

/// <summary>Ends a command with a message to its user.</summary>
public sealed class CommandException(string message, int exitCode = 1) : Exception(message)
{
    public int ExitCode { get; } = exitCode;
}
