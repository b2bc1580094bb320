using System.CommandLine;

namespace Weir.App.Commands;

static class LogsCommand
{
    public static Command Create() => new("logs");
}
