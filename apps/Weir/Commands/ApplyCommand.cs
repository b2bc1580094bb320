using System.CommandLine;

namespace Weir.App.Commands;

static class ApplyCommand
{
    public static Command Create() => new("apply");
}
