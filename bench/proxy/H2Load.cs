using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Weir.Proxy.Bench;

/// <summary>nghttp2's load generator, on the core of the load: 10 connections of 100 streams each.</summary>
static class H2Load
{
    const int RequestsASecond = 60_000;

    static readonly Regex Finished = new(@"finished in ([0-9.]+)(us|ms|s),");
    static readonly Regex Succeeded = new(@"(\d+) succeeded");
    static readonly Regex Content = new(@"\((\d+)\) data");
    static readonly Regex Outcome = new(@"(?:requests|status codes|traffic): .*");

    /// <summary>So many requests as take about so long.</summary>
    public static LoadResult Run(int port, TimeSpan length, int answerBytes = 1024, string path = "/1k", string extra = "") =>
        Run(port, (long)(RequestsASecond * length.TotalSeconds), answerBytes, path, extra);

    /// <param name="answerBytes">Of content. What comes with less has failed: gRPC's failures too have a status of 200.</param>
    public static LoadResult Run(int port, long requests, int answerBytes = 1024, string path = "/1k", string extra = "")
    {
        var arguments = string.Create(CultureInfo.InvariantCulture, $"exec taskset -c 1 h2load -t1 -c10 -m100 -n{requests} {extra} http://127.0.0.1:{port}{path}");
        using var process = Process.Start(new ProcessStartInfo("sh", ["-c", arguments]) { RedirectStandardOutput = true })!;
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        var finished = Finished.Match(output);
        var succeeded = Succeeded.Match(output);
        if (!finished.Success || !succeeded.Success)
        {
            throw new InvalidDataException($"h2load said: {output}");
        }

        var bytes = long.Parse(Content.Match(output).Groups[1].Value, CultureInfo.InvariantCulture);
        var done = Math.Min(long.Parse(succeeded.Groups[1].Value, CultureInfo.InvariantCulture), bytes / answerBytes);
        var time = double.Parse(finished.Groups[1].Value, CultureInfo.InvariantCulture);
        return new LoadResult
        {
            Requests = done,
            Failures = requests - done,
            Bytes = bytes,
            Detail = done == requests ? "" : string.Join("; ", Outcome.Matches(output).Select(m => m.Value)),
            Elapsed = finished.Groups[2].Value switch { "us" => TimeSpan.FromMicroseconds(time), "ms" => TimeSpan.FromMilliseconds(time), _ => TimeSpan.FromSeconds(time) },
        };
    }
}
