using System.Globalization;
using System.Text.RegularExpressions;

namespace Weir.Samples.Hey;

sealed partial record HeyOptions
{
    public const string Usage = """
        Usage: hey [options...] <url>

        Options:
          -n  Number of requests to run. Default is 200.
          -c  Number of workers to run concurrently. Default is 50.
          -q  Rate limit, in queries per second (QPS) per worker. Default is no rate limit.
          -z  Duration of application to send requests, such as 10s or 3m. When given, n is ignored.
          -o  Output type: empty for the summary, "csv" for one line a response.
          -m  HTTP method, one of GET, POST, PUT, DELETE, HEAD, OPTIONS.
          -H  Custom HTTP header, such as -H "Accept: text/html". May be repeated.
          -t  Timeout for each request in seconds. Default is 20, use 0 for infinite.
          -A  HTTP Accept header.
          -d  HTTP request body.
          -D  HTTP request body from file.
          -T  Content-type, defaults to "text/html".
          -a  Basic authentication, username:password.
          -x  HTTP Proxy address as host:port. HTTP_PROXY is honoured.
          -host  HTTP Host header.
          -disable-keepalive  Open a new connection for each request.
          -disable-redirects  Do not follow redirects.
          -h2, -cpus N, -disable-compression  Accepted.

        Example: hey -z 10s -q 5 -c 2 http://podinfo.test:9898/
        """;

    public int Count { get; private set; } = 200;
    public int Workers { get; private set; } = 50;
    public double RatePerWorker { get; private set; }
    public TimeSpan? Duration { get; private set; }
    public bool IsCsv { get; private set; }
    public string Method { get; private set; } = "GET";
    public List<(string Name, string Value)> Headers { get; } = [];
    public TimeSpan? Timeout { get; private set; } = TimeSpan.FromSeconds(20);
    public byte[]? Body { get; private set; }
    public string ContentType { get; private set; } = "text/html";
    public string? Proxy { get; private set; }
    public string? Host { get; private set; }
    public bool KeepAlive { get; private set; } = true;
    public bool FollowRedirects { get; private set; } = true;
    public Uri? Url { get; private set; }

    [GeneratedRegex(@"^(\d+(?:\.\d+)?)(ms|s|m|h)$")]
    private static partial Regex DurationText();

    /// <exception cref="FormatException">The arguments are not hey's.</exception>
    public static HeyOptions Parse(string[] args)
    {
        var options = new HeyOptions();
        for (var i = 0; i < args.Length; i++)
        {
            if (!args[i].StartsWith('-'))
            {
                options.Url = Uri.TryCreate(args[i], UriKind.Absolute, out var url) && url.Scheme is "http" or "https"
                    ? url : throw new FormatException($"\"{args[i]}\" is not an http or https URL");
                continue;
            }

            var parts = args[i].TrimStart('-').Split('=', 2);
            if (parts[0] is "disable-keepalive" or "disable-redirects" or "disable-compression" or "h2")
            {
                options.KeepAlive &= parts[0] != "disable-keepalive";
                options.FollowRedirects &= parts[0] != "disable-redirects";
                continue;
            }

            var value = parts.Length == 2 ? parts[1] : ++i < args.Length ? args[i] : throw new FormatException($"-{parts[0]} needs a value");
            options.Set(parts[0], value);
        }

        if (options.Url is null)
        {
            throw new FormatException("no URL was given");
        }

        if (options.Duration is null && options.Count < options.Workers)
        {
            throw new FormatException("-n cannot be less than -c");
        }

        return options;
    }

    void Set(string name, string value)
    {
        switch (name)
        {
            case "n": Count = Positive(name, value); break;
            case "c": Workers = Math.Min(Positive(name, value), 10_000); break;
            case "q": RatePerWorker = double.Parse(value, CultureInfo.InvariantCulture); break;
            case "z": Duration = ParseDuration(value); break;
            case "o": IsCsv = value == "csv"; break;
            case "m": Method = value.ToUpperInvariant(); break;
            case "H": AddHeader(value); break;
            case "A": Headers.Add(("Accept", value)); break;
            case "t": Timeout = value == "0" ? null : TimeSpan.FromSeconds(Positive(name, value)); break;
            case "d": Body = System.Text.Encoding.UTF8.GetBytes(value); break;
            case "D": Body = File.ReadAllBytes(value); break;
            case "T": ContentType = value; break;
            case "a": Headers.Add(("Authorization", "Basic " + Convert.ToBase64String(System.Text.Encoding.UTF8.GetBytes(value)))); break;
            case "x": Proxy = value; break;
            case "host": Host = value; break;
            case "cpus": break;
            default: throw new FormatException($"flag provided but not defined: -{name}");
        }
    }

    void AddHeader(string text)
    {
        var colon = text.IndexOf(':', StringComparison.Ordinal);
        if (colon <= 0)
        {
            throw new FormatException($"\"{text}\" is not a header");
        }

        Headers.Add((text[..colon].Trim(), text[(colon + 1)..].Trim()));
    }

    static int Positive(string name, string value) =>
        int.TryParse(value, out var number) && number > 0 ? number : throw new FormatException($"-{name} must be a positive number");

    static TimeSpan ParseDuration(string value)
    {
        var match = DurationText().Match(value);
        if (!match.Success)
        {
            throw new FormatException($"\"{value}\" is not a duration such as 10s or 3m");
        }

        var number = double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture);
        return match.Groups[2].Value switch
        {
            "ms" => TimeSpan.FromMilliseconds(number),
            "s" => TimeSpan.FromSeconds(number),
            "m" => TimeSpan.FromMinutes(number),
            _ => TimeSpan.FromHours(number),
        };
    }
}
