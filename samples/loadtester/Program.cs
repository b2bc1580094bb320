using System.Text.Json.Nodes;
using Weir.Samples.Loadtester;

// A load tester with the HTTP API of Flagger's: releases post commands to it and ask its gates.
var flags = args.Select(a => a.TrimStart('-').Split('=', 2)).Where(f => f.Length == 2).ToDictionary(f => f[0], f => f[1]);
var port = int.TryParse(flags.GetValueOrDefault("port"), out var p) ? p : 9090;
var host = Environment.GetEnvironmentVariable("HOST") is { Length: > 0 } h ? h : "127.0.0.1";
var builder = WebApplication.CreateSlimBuilder();
builder.Logging.AddFilter("Microsoft", LogLevel.Warning);
builder.WebHost.UseUrls($"http://{host}:{port}");
var app = builder.Build();
var runner = new CommandRunner(CommandRunner.ParseTimeout(flags.GetValueOrDefault("timeout")), TimeProvider.System, app.Logger);
var gates = new Gates();
app.Lifetime.ApplicationStopping.Register(runner.StopAll);

app.MapGet("/healthz", () => Results.Text("OK"));
app.MapGet("/metrics", () => Results.Text($"# TYPE flagger_loadtester_commands_running gauge\nflagger_loadtester_commands_running {runner.Running}\n", "text/plain; version=0.0.4"));
app.MapPost("/gate/approve", () => Results.Text("OK"));
app.MapPost("/gate/halt", () => Results.Text("Forbidden", statusCode: 403));
foreach (var kind in new[] { "gate", "rollback" })
{
    app.MapPost($"/{kind}/check", async (HttpContext context) => await ReadAsync(context) is { } key
        ? gates.IsOpen(kind, key) ? Results.Text("Approved") : Results.Text("Forbidden", statusCode: 403)
        : Results.BadRequest("name and namespace are required"));

    // With a body, so that the result is not taken for a request delegate's and dropped.
    app.MapPost($"/{kind}/open", async (HttpContext context) => { return await SetAsync(context, kind, isOpen: true); });
    app.MapPost($"/{kind}/close", async (HttpContext context) => { return await SetAsync(context, kind, isOpen: false); });
}

app.MapPost("/", async (HttpContext context) =>
{
    var payload = await ParseAsync(context);
    var metadata = payload?["metadata"] as JsonObject;
    if (metadata is null)
    {
        return Results.BadRequest("metadata is required");
    }

    string? Field(string name) => metadata[name]?.ToString();
    var canary = $"{payload!["name"]}.{payload["namespace"]}";
    var type = Field("type") ?? "cmd";
    var command = Field("cmd");
    if (command is null)
    {
        return Results.BadRequest("cmd is required in metadata");
    }

    switch (type)
    {
        case "cmd":
            runner.Start(canary, command, Field("logCmdOutput") == "true");
            return Results.Text("", statusCode: 202);
        case "bash":
            var (code, output) = await runner.RunAsync(command, context.RequestAborted);
            var shown = Field("returnCmdOutput") == "true" || code != 0 ? output : "";
            return Results.Text(shown, statusCode: code == 0 ? 200 : 500);
        default:
            return Results.Text($"task type {type} is not supported by this load tester: use cmd or bash", statusCode: 400);
    }
});

app.Logger.LogInformation("Starting load tester on http://{Host}:{Port}", host, port);
app.Run();

async Task<IResult> SetAsync(HttpContext context, string kind, bool isOpen)
{
    if (await ReadAsync(context) is not { } key)
    {
        return Results.BadRequest("name and namespace are required");
    }

    gates.Set(kind, key, isOpen);
    app.Logger.LogInformation("{Kind} {Key} {State}", kind, key, isOpen ? "opened" : "closed");
    return Results.Text("", statusCode: 202);
}

static async Task<string?> ReadAsync(HttpContext context)
{
    var payload = await ParseAsync(context);
    return payload?["name"] is { } name && payload["namespace"] is { } ns ? $"{name}.{ns}" : null;
}

static async Task<JsonNode?> ParseAsync(HttpContext context)
{
    try
    {
        return await JsonNode.ParseAsync(context.Request.Body, cancellationToken: context.RequestAborted);
    }
    catch (System.Text.Json.JsonException)
    {
        return null;
    }
}
