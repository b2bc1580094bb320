namespace Weir.Proxy.Http2;

/// <summary>
/// Finds fields and names in an encoder's dynamic table. Chains of entries by hash, newest first; an entry that has left the table ends
/// its chain, since what follows is older still, so that evicting costs nothing here. A walk visits at most the table's entries.
/// </summary>
sealed class HpackIndex(HpackDynamicTable table)
{
    /// <summary>Powers of two.</summary>
    const int Buckets = 128;
    const int Recent = 64;

    uint[] fields = [];
    uint[] names = [];
    uint[] recent = [];

    /// <summary>Beside the table's entries, at the same places.</summary>
    Link[] links = [];

    struct Link
    {
        public uint FieldHash;
        public uint NameHash;
        public uint OlderField;
        public uint OlderName;
    }

    /// <summary>The bytes that the index occupies at the moment.</summary>
    public int Footprint => ((fields.Length + names.Length + recent.Length) * 4) + (links.Length * 16);

    /// <summary>The entry's index in the dynamic table, from 1, or 0.</summary>
    public int FindField(uint fieldHash, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        if (fields.Length == 0)
        {
            return 0;
        }

        for (var number = fields[fieldHash % Buckets]; table.Contains(number);)
        {
            ref readonly var link = ref links[number & (uint)(links.Length - 1)];
            if (link.FieldHash == fieldHash)
            {
                var index = (int)(table.Next - number);
                var field = table.Read(index, out var nameLength, out _);
                if (nameLength == name.Length && field[nameLength..].SequenceEqual(value) && NameEquals(name, field[..nameLength]))
                {
                    return index;
                }
            }

            number = link.OlderField;
        }

        return 0;
    }

    /// <summary>The index of the newest entry with this name, from 1, or 0.</summary>
    public int FindName(uint nameHash, ReadOnlySpan<byte> name)
    {
        if (names.Length == 0)
        {
            return 0;
        }

        for (var number = names[nameHash % Buckets]; table.Contains(number);)
        {
            ref readonly var link = ref links[number & (uint)(links.Length - 1)];
            if (link.NameHash == nameHash)
            {
                var index = (int)(table.Next - number);
                var field = table.Read(index, out var nameLength, out _);
                if (nameLength == name.Length && NameEquals(name, field[..nameLength]))
                {
                    return index;
                }
            }

            number = link.OlderName;
        }

        return 0;
    }

    /// <summary>Takes up the table's newest entry; to be called for each, since every link has to be one of its own entry.</summary>
    public void AddNewest(uint nameHash, uint fieldHash)
    {
        if (fields.Length == 0)
        {
            fields = new uint[Buckets];
            names = new uint[Buckets];
        }

        if (links.Length != table.Slots)
        {
            Grow();
        }

        var number = table.Next - 1;
        links[number & (uint)(links.Length - 1)] = new Link
        {
            FieldHash = fieldHash,
            NameHash = nameHash,
            OlderField = Older(fields[fieldHash % Buckets], number),
            OlderName = Older(names[nameHash % Buckets], number),
        };
        fields[fieldHash % Buckets] = number;
        names[nameHash % Buckets] = number;
    }

    /// <summary>Whether this hash was remembered lately. A few of those remembered since may have taken its place.</summary>
    public bool IsRecent(uint hash) => recent.Length != 0 && recent[hash % Recent] == hash;

    public void Remember(uint hash)
    {
        if (recent.Length == 0)
        {
            recent = new uint[Recent];
        }

        recent[hash % Recent] = hash;
    }

    /// <summary>
    /// The head of the chain, or the number that is farthest from being in the table: links lead to older entries only, although numbers
    /// wrap and heads may be very old.
    /// </summary>
    uint Older(uint head, uint number) => head != number && table.Contains(head) ? head : number ^ 0x8000_0000;

    static bool NameEquals(ReadOnlySpan<byte> name, ReadOnlySpan<byte> lower) =>
        name.SequenceEqual(lower) || Http.Ascii.EqualsLower(name, lower);

    void Grow()
    {
        var larger = new Link[table.Slots];
        if (links.Length != 0)
        {
            // All but the newest, which is not here yet.
            for (var number = table.Next - (uint)table.Count; number != table.Next - 1; number++)
            {
                larger[number & (uint)(larger.Length - 1)] = links[number & (uint)(links.Length - 1)];
            }
        }

        links = larger;
    }
}
