using System.CommandLine;

namespace Weir.App.Commands;

static class DescribeCommand
{
    public static Command Create() => new("describe");
}
