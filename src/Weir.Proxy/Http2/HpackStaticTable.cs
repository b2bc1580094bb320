using Weir.Proxy.Http;

namespace Weir.Proxy.Http2;

/// <summary>The static table (RFC 7541 appendix A).</summary>
static class HpackStaticTable
{
    public const int Count = 61;

    public const int Authorization = 23;
    public const int Cookie = 32;
    public const int ProxyAuthorization = 49;
    public const int SetCookie = 55;

    /// <summary>The entries in order, a name and a value a line.</summary>
    static ReadOnlySpan<byte> Text => """
        :authority
        :method GET
        :method POST
        :path /
        :path /index.html
        :scheme http
        :scheme https
        :status 200
        :status 204
        :status 206
        :status 304
        :status 400
        :status 404
        :status 500
        accept-charset
        accept-encoding gzip, deflate
        accept-language
        accept-ranges
        accept
        access-control-allow-origin
        age
        allow
        authorization
        cache-control
        content-disposition
        content-encoding
        content-language
        content-length
        content-location
        content-range
        content-type
        cookie
        date
        etag
        expect
        expires
        from
        host
        if-match
        if-modified-since
        if-none-match
        if-range
        if-unmodified-since
        last-modified
        link
        location
        max-forwards
        proxy-authenticate
        proxy-authorization
        range
        referer
        refresh
        retry-after
        server
        set-cookie
        strict-transport-security
        transfer-encoding
        user-agent
        vary
        via
        www-authenticate
        """u8;

    /// <summary>A power of two, large enough that few names share a place.</summary>
    const int Buckets = 256;

    static readonly byte[] Bytes = new byte[Text.Length];
    static readonly Entry[] Entries = new Entry[Count + 1];

    /// <summary>The first entry of a name, at its hash or in the places after it; 0 where there is none.</summary>
    static readonly byte[] ByName = new byte[Buckets];

    struct Entry
    {
        public ushort Start;
        public byte NameLength;
        public byte ValueLength;
        public FieldKind Kind;
    }

    static HpackStaticTable()
    {
        var index = 1;
        var used = 0;
        foreach (var range in Text.Split((byte)'\n'))
        {
            var line = Text[range];
            var space = line.IndexOf((byte)' ');
            var name = space < 0 ? line : line[..space];
            var value = space < 0 ? default : line[(space + 1)..];
            name.CopyTo(Bytes.AsSpan(used));
            value.CopyTo(Bytes.AsSpan(used + name.Length));
            Entries[index] = new Entry
            {
                Start = (ushort)used,
                NameLength = (byte)name.Length,
                ValueLength = (byte)value.Length,
                Kind = HeaderFieldRules.Classify(name, value),
            };
            if (index == 1 || !NameOf(index - 1).SequenceEqual(name))
            {
                var bucket = HpackHash.OfName(name) % Buckets;
                while (ByName[bucket] != 0)
                {
                    bucket = (bucket + 1) % Buckets;
                }

                ByName[bucket] = (byte)index;
            }

            used += name.Length + value.Length;
            index++;
        }
    }

    /// <summary>Name and value in one stretch.</summary>
    public static ReadOnlySpan<byte> Read(int index, out int nameLength, out FieldKind kind)
    {
        ref readonly var entry = ref Entries[index];
        nameLength = entry.NameLength;
        kind = entry.Kind;
        return Bytes.AsSpan(entry.Start, entry.NameLength + entry.ValueLength);
    }

    /// <summary>The entry of the field, or else the first of its name, or else 0. The name may be in any case.</summary>
    public static int Find(uint nameHash, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, out bool isExact)
    {
        isExact = false;
        for (var bucket = nameHash % Buckets; ; bucket = (bucket + 1) % Buckets)
        {
            int first = ByName[bucket];
            if (first == 0)
            {
                return 0;
            }

            if (!Ascii.EqualsLower(name, NameOf(first)))
            {
                continue;
            }

            for (var index = first; index <= Count && (index == first || NameOf(index).SequenceEqual(NameOf(first))); index++)
            {
                if (ValueOf(index).SequenceEqual(value))
                {
                    isExact = true;
                    return index;
                }
            }

            return first;
        }
    }

    static ReadOnlySpan<byte> NameOf(int index) => Bytes.AsSpan(Entries[index].Start, Entries[index].NameLength);

    static ReadOnlySpan<byte> ValueOf(int index) =>
        Bytes.AsSpan(Entries[index].Start + Entries[index].NameLength, Entries[index].ValueLength);
}
