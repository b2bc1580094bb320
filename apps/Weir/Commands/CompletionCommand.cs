using System.CommandLine;

namespace Weir.App.Commands;

static class CompletionCommand
{
    public static Command Create() => new("completion");
}
