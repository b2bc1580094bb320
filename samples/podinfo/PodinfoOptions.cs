namespace Weir.Samples.Podinfo;

sealed record PodinfoOptions(int Port, int MetricsPort, string Level, bool RandomError, bool RandomDelay, string Version, string Host)
{
    public string[] Urls => MetricsPort > 0 && MetricsPort != Port
        ? [$"http://{Host}:{Port}", $"http://{Host}:{MetricsPort}"] : [$"http://{Host}:{Port}"];

    /// <summary>Flags as <c>--name=value</c>, <c>--name value</c> or, for switches, <c>--name</c>; one dash is as good as two.</summary>
    public static PodinfoOptions Parse(string[] args)
    {
        var values = new Dictionary<string, string>();
        for (var i = 0; i < args.Length; i++)
        {
            var flag = args[i].TrimStart('-').Split('=', 2);
            values[flag[0]] = flag.Length == 2 ? flag[1]
                : i + 1 < args.Length && !args[i + 1].StartsWith('-') ? args[++i] : "true";
        }

        int Number(string name, int otherwise) => values.TryGetValue(name, out var text) && int.TryParse(text, out var number) ? number : otherwise;
        bool Switch(string name) => values.GetValueOrDefault(name) == "true";
        return new PodinfoOptions(
            Number("port", 9898), Number("port-metrics", 0), values.GetValueOrDefault("level", "info"),
            Switch("random-error"), Switch("random-delay"),
            Environment.GetEnvironmentVariable("WEIR_IMAGE_TAG") ?? "dev",
            Environment.GetEnvironmentVariable("HOST") is { Length: > 0 } host ? host : "127.0.0.1");
    }
}
