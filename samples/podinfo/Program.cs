using System.Globalization;
using System.Text.Json;
using Weir.Samples.Podinfo;

// A small web service that says what it is: a stand-in, path for path, for the one that release tutorials use.
var options = PodinfoOptions.Parse(args);
var builder = WebApplication.CreateSlimBuilder();
builder.Logging.SetMinimumLevel(options.Level switch
{
    "debug" => LogLevel.Debug,
    "warn" => LogLevel.Warning,
    "error" => LogLevel.Error,
    _ => LogLevel.Information,
}).AddFilter("Microsoft", LogLevel.Warning);
builder.WebHost.UseUrls(options.Urls);
builder.Services.ConfigureHttpJsonOptions(json => json.SerializerOptions.WriteIndented = true);
var app = builder.Build();
var time = TimeProvider.System;
var metrics = new RequestMetrics();
var tokens = new TokenService(time);
var random = new Random();
var isReady = true;
var host = Environment.MachineName;
var hostname = Environment.GetEnvironmentVariable("HOSTNAME") ?? host;

app.Use(async (context, next) =>
{
    var started = time.GetTimestamp();
    if (options.RandomDelay)
    {
        await Task.Delay(TimeSpan.FromMilliseconds(random.Next(0, 5000)), time, context.RequestAborted);
    }

    if (options.RandomError && random.Next(3) == 0)
    {
        context.Response.StatusCode = new[] { 500, 400, 409 }[random.Next(3)];
        await context.Response.WriteAsync("random error");
    }
    else
    {
        await next();
    }

    metrics.Record(context.Request.Method, context.Response.StatusCode, time.GetElapsedTime(started));
});

object Info() => new
{
    hostname,
    version = options.Version,
    revision = "unknown",
    color = Environment.GetEnvironmentVariable("PODINFO_UI_COLOR") ?? "#34577c",
    logo = Environment.GetEnvironmentVariable("PODINFO_UI_LOGO") ?? "",
    message = Environment.GetEnvironmentVariable("PODINFO_UI_MESSAGE") ?? $"greetings from podinfo v{options.Version}",
    goos = "linux",
    goarch = "amd64",
    runtime = Environment.Version.ToString(),
    num_cpu = Environment.ProcessorCount.ToString(CultureInfo.InvariantCulture),
};

app.MapGet("/", Info);
app.MapGet("/api/info", Info);
app.MapGet("/version", () => new { version = options.Version, commit = "unknown" });
app.MapGet("/healthz", () => new { status = "OK" });
app.MapGet("/readyz", () => isReady ? Results.Ok(new { status = "OK" }) : Results.StatusCode(503));
app.MapMethods("/readyz/enable", ["GET", "POST"], () =>
{
    isReady = true;
    return Results.Accepted();
});
app.MapMethods("/readyz/disable", ["GET", "POST"], () =>
{
    isReady = false;
    return Results.Accepted();
});
app.Map("/status/{code:int}", (int code) => code is >= 200 and <= 599
    ? Results.Json(new { status = code }, statusCode: code) : Results.BadRequest(new { error = "the code must be 200 to 599" }));
app.Map("/delay/{seconds:double}", async (double seconds, CancellationToken cancel) =>
{
    await Task.Delay(TimeSpan.FromSeconds(Math.Clamp(seconds, 0, 300)), time, cancel);
    return Results.Json(new { delay = seconds });
});
app.Map("/headers", (HttpContext context) => context.Request.Headers.ToDictionary(h => h.Key, h => h.Value.ToArray()));
app.Map("/env", () => Results.StatusCode(404));
app.MapMethods("/echo", ["POST", "PUT"], async (HttpContext context) =>
{
    context.Response.StatusCode = 202;
    context.Response.ContentType = context.Request.ContentType ?? "application/octet-stream";
    await context.Request.Body.CopyToAsync(context.Response.Body, context.RequestAborted);
});
app.MapPost("/token", async (HttpContext context) =>
{
    using var reader = new StreamReader(context.Request.Body);
    var name = await reader.ReadToEndAsync(context.RequestAborted);
    var (token, expires) = tokens.Issue(name.Length == 0 ? "anonymous" : name[..Math.Min(name.Length, 200)]);
    return Results.Ok(new { token, expiresAt = expires });
});
app.MapMethods("/token/validate", ["GET", "POST"], (HttpContext context) =>
    tokens.Validate(context.Request.Headers.Authorization.ToString().Replace("Bearer ", "", StringComparison.Ordinal)) is { } name
        ? Results.Ok(new { token_name = name }) : Results.Unauthorized());
app.MapGet("/metrics", () => Results.Text(metrics.ToPrometheus(), "text/plain; version=0.0.4"));
app.Map("/panic", () =>
{
    app.Logger.LogError("Panic command received");
    Environment.Exit(255);
});
app.Logger.LogInformation("Starting podinfo {Version} on {Urls}", options.Version, string.Join(' ', options.Urls));
app.Run();
