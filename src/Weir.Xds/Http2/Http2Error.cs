namespace Weir.Xds.Http2;

/// <summary>Error codes of RFC 9113 section 7, by the names that logs show.</summary>
static class Http2Error
{
    public const uint None = 0;
    public const uint EnhanceYourCalm = 0xb;

    static readonly string[] Names =
    [
        "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM",
        "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
    ];

    public static string Name(uint code) => code < Names.Length ? Names[code] : $"error {code}";
}
