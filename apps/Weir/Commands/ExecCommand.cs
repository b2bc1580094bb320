using System.CommandLine;

namespace Weir.App.Commands;

static class ExecCommand
{
    public static Command Create() => new("exec");
}
