namespace Weir.Proxy.Http2;

/// <summary>How a literal field is written; the values are the patterns of its first octet (RFC 7541 section 6.2).</summary>
enum HpackIndexing : byte
{
    Without = 0x00,

    /// <summary>No intermediary may put it into a table either.</summary>
    Never = 0x10,

    /// <summary>It becomes an entry of the dynamic table.</summary>
    Incremental = 0x40,
}
