using System.CommandLine;

namespace Weir.App.Commands;

static class EventsCommand
{
    public static Command Create() => new("events");
}
