using System.CommandLine;
using Weir.App.Commands;

// weir: one program for the whole platform. This is the list of what it can do.
var root = new RootCommand("Weir: a service mesh on one machine, with progressive releases.\n\nStart with: weir demo canary")
{
    UpCommand.Create(),
    DownCommand.Create(),
    StatusCommand.Create(),
    GatewayCommand.Create(),
    DemoCommand.Create(),
    ImageCommand.Create(),
    ApplyCommand.Create(),
    GetCommand.Create(),
    DescribeCommand.Create(),
    DeleteCommand.Create(),
    LogsCommand.Create(),
    ExecCommand.Create(),
    EventsCommand.Create(),
    XdsCommand.Create(),
    CompletionCommand.Create(),
};
try
{
    return await root.Parse(args).InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
}
catch (CommandException e)
{
    Console.Error.WriteLine("error: " + e.Message);
    return e.ExitCode;
}
catch (Exception e) when (e is HttpRequestException or IOException or InvalidDataException or UnauthorizedAccessException)
{
    Console.Error.WriteLine("error: " + e.Message);
    return 1;
}
catch (OperationCanceledException)
{
    return 130;
}
