using System.CommandLine;

namespace Weir.App.Commands;

static class ImageCommand
{
    public static Command Create() => new("image");
}
