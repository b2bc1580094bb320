using System.Net;
using System.Net.Http.Headers;
using System.Runtime.InteropServices;
using Weir.Samples.Hey;

// A load generator with the options and the report of hey, which many release manifests call; unlike it, it honours HTTP_PROXY
// for every host.
HeyOptions options;
try
{
    if (args.Length == 0 || args.Contains("-h") || args.Contains("--help"))
    {
        Console.WriteLine(HeyOptions.Usage);
        return args.Length == 0 ? 1 : 0;
    }

    options = HeyOptions.Parse(args);
}
catch (Exception e) when (e is FormatException or IOException)
{
    Console.Error.WriteLine($"hey: {e.Message}\n{HeyOptions.Usage}");
    return 1;
}

var time = TimeProvider.System;
using var stopping = new CancellationTokenSource();
using var sigint = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
using var sigterm = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
void Stop(PosixSignalContext context)
{
    context.Cancel = true;
    stopping.Cancel();
}

if (options.Duration is { } duration)
{
    stopping.CancelAfter(duration);
}

using var handler = new SocketsHttpHandler
{
    AllowAutoRedirect = options.FollowRedirects,
    MaxConnectionsPerServer = options.Workers,
    PooledConnectionLifetime = options.KeepAlive ? Timeout.InfiniteTimeSpan : TimeSpan.Zero,
};
if (options.Proxy is not null)
{
    handler.Proxy = new WebProxy("http://" + options.Proxy);
}

using var http = new HttpClient(handler) { Timeout = options.Timeout ?? Timeout.InfiniteTimeSpan };
var results = new List<Result>();
var gate = new Lock();
var remaining = options.Duration is null ? options.Count : int.MaxValue;
var started = time.GetTimestamp();
await Task.WhenAll(Enumerable.Range(0, options.Workers).Select(_ => Task.Run(WorkAsync)));
var total = time.GetElapsedTime(started);
Console.Write(options.IsCsv ? Report.Csv(results) : Report.Summary(results, total));
return 0;

async Task WorkAsync()
{
    var sent = 0;
    var began = time.GetTimestamp();
    while (!stopping.IsCancellationRequested && Interlocked.Decrement(ref remaining) >= 0)
    {
        if (options.RatePerWorker > 0)
        {
            var due = TimeSpan.FromSeconds(sent / options.RatePerWorker) - time.GetElapsedTime(began);
            if (due > TimeSpan.Zero)
            {
                await Task.Delay(due, time, stopping.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                if (stopping.IsCancellationRequested)
                {
                    return;
                }
            }
        }

        sent++;
        if (await SendAsync() is { } result)
        {
            lock (gate)
            {
                if (results.Count < Report.MaximumKept)
                {
                    results.Add(result);
                }
            }
        }
    }
}

async Task<Result?> SendAsync()
{
    var offset = time.GetElapsedTime(started);
    var begin = time.GetTimestamp();
    using var request = new HttpRequestMessage(new HttpMethod(options.Method), options.Url);
    if (options.Body is { } body)
    {
        request.Content = new ByteArrayContent(body);
        request.Content.Headers.ContentType = MediaTypeHeaderValue.Parse(options.ContentType);
    }

    request.Headers.Host = options.Host;
    request.Headers.ConnectionClose = !options.KeepAlive;
    request.Headers.TryAddWithoutValidation("User-Agent", "hey/0.0.1");
    foreach (var (name, value) in options.Headers)
    {
        request.Headers.TryAddWithoutValidation(name, value);
    }

    try
    {
        using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, stopping.Token);
        var bytes = (await response.Content.ReadAsByteArrayAsync(stopping.Token)).LongLength;
        return new Result(offset, time.GetElapsedTime(begin), (int)response.StatusCode, bytes, null);
    }
    catch (OperationCanceledException) when (stopping.IsCancellationRequested)
    {
        return null;
    }
    catch (Exception e) when (e is HttpRequestException or OperationCanceledException or IOException)
    {
        return new Result(offset, time.GetElapsedTime(begin), 0, 0, $"{options.Method} \"{options.Url}\": {e.Message}");
    }
}
