using System.Text;
using Envoy.Config.Core.V3;
using Envoy.Extensions.AccessLoggers.File.V3;
using Weir.Proxy.Telemetry;
using Weir.Xds;
using AccessLogMessage = Envoy.Config.AccessLog.V3.AccessLog;

namespace Weir.Proxy.Configuration;

/// <summary>Access logs from their messages.</summary>
static class AccessLogTranslator
{
    public static AccessLog[] Translate(string owner, IEnumerable<AccessLogMessage> logs, Translation translation) => [.. logs.Select(log =>
    {
        var field = $"{owner}: access log {log.Name}";
        if (log.TypedConfig?.TypeUrl != XdsTypes.FileAccessLog)
        {
            throw new ConfigException($"{field} is not supported");
        }

        if (log.Filter is not null)
        {
            throw new ConfigException($"{field}: filter is not supported");
        }

        var file = FileAccessLog.Parser.ParseFrom(log.TypedConfig.Value);
        if (file.LogFormat?.OmitEmptyValues == true)
        {
            throw new ConfigException($"{field}: omit_empty_values is not supported");
        }

        try
        {
            return new AccessLog(Format(field, file), translation.LogFiles.Open(Common.Name($"{field}: path", file.Path)), translation.Loops);
        }
        catch (FormatException e)
        {
            throw new ConfigException($"{field}: {e.Message}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ConfigException($"{field}: {Failure.Describe(e)}");
        }
    })];

    static AccessLogFormat Format(string field, FileAccessLog file) => file.AccessLogFormatCase switch
    {
        FileAccessLog.AccessLogFormatOneofCase.Format => AccessLogFormat.Text(file.Format),
        FileAccessLog.AccessLogFormatOneofCase.JsonFormat => AccessLogFormat.Json(file.JsonFormat),
        FileAccessLog.AccessLogFormatOneofCase.TypedJsonFormat => AccessLogFormat.Json(file.TypedJsonFormat),
        FileAccessLog.AccessLogFormatOneofCase.LogFormat => file.LogFormat.FormatCase switch
        {
            SubstitutionFormatString.FormatOneofCase.TextFormat => AccessLogFormat.Text(file.LogFormat.TextFormat),
            SubstitutionFormatString.FormatOneofCase.JsonFormat => AccessLogFormat.Json(file.LogFormat.JsonFormat),
            SubstitutionFormatString.FormatOneofCase.TextFormatSource =>
                AccessLogFormat.Text(Encoding.UTF8.GetString(Common.Bytes(file.LogFormat.TextFormatSource, $"{field}: text_format_source"))),
            _ => AccessLogFormat.Text(AccessLogFormat.Default),
        },
        _ => AccessLogFormat.Text(AccessLogFormat.Default),
    };
}
