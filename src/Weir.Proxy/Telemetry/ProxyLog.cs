namespace Weir.Proxy.Telemetry;

public enum LogLevel
{
    Error,
    Warning,
    Info,
    Debug,
}

/// <summary>The proxy's own messages, one line each. The level can be changed while it runs.</summary>
public sealed class ProxyLog(TimeProvider time, TextWriter output)
{
    public volatile LogLevel Level = LogLevel.Info;

    public void Write(LogLevel level, string message)
    {
        if (level <= Level)
        {
            output.WriteLine($"{time.GetUtcNow().UtcDateTime:yyyy-MM-dd'T'HH:mm:ss.fff'Z'} {NameOf(level)} {message}");
        }
    }

    /// <summary>An enumeration's own names come by reflection, which a proxy that is idle would carry for them alone.</summary>
    static string NameOf(LogLevel level) => level switch
    {
        LogLevel.Error => "error",
        LogLevel.Warning => "warning",
        LogLevel.Info => "info",
        _ => "debug",
    };

    public void Error(string message) => Write(LogLevel.Error, message);

    public void Warning(string message) => Write(LogLevel.Warning, message);

    public void Info(string message) => Write(LogLevel.Info, message);

    public void Debug(string message) => Write(LogLevel.Debug, message);
}
