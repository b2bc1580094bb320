using System.CommandLine;

namespace Weir.App.Commands;

static class DemoCommand
{
    public static Command Create() => new("demo");
}
