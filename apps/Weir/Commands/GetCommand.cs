using System.CommandLine;

namespace Weir.App.Commands;

static class GetCommand
{
    public static Command Create() => new("get");
}
