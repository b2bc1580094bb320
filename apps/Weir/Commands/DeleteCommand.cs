using System.CommandLine;

namespace Weir.App.Commands;

static class DeleteCommand
{
    public static Command Create() => new("delete");
}
