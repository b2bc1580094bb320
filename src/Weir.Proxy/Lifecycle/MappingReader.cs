using System.Buffers.Text;
using System.Text;

namespace Weir.Proxy.Lifecycle;

/// <summary>A mapping of a file, for reading, without a page that differs from the file's.</summary>
readonly record struct CleanMapping(nint Start, nint Length, long Resident);

/// <summary>
/// Reads <c>/proc/[pid]/smaps</c> (proc(5)) line by line. Nothing but what is found is allocated: this runs when the heap has just become
/// as small as it can be.
/// </summary>
struct MappingReader
{
    /// <summary>Longer than the longest line, which has a path in it.</summary>
    const int BlockSize = 8 * 1024;

    nint start;
    nint end;
    bool isClean;
    long resident;

    /// <exception cref="IOException">The kernel does not say.</exception>
    public static List<CleanMapping> ReadClean()
    {
        var found = new List<CleanMapping>();
        var reader = default(MappingReader);
        using var file = File.OpenHandle("/proc/self/smaps");
        Span<byte> block = stackalloc byte[BlockSize];
        var held = 0;
        long offset = 0;
        while (RandomAccess.Read(file, block[held..], offset) is > 0 and var read)
        {
            offset += read;
            held += read;
            ReadOnlySpan<byte> unread = block[..held];
            while (unread.IndexOf((byte)'\n') is >= 0 and var length)
            {
                reader.Add(unread[..length], found);
                unread = unread[(length + 1)..];
            }

            if (unread.Length == BlockSize)
            {
                throw new IOException("/proc/self/smaps has a line that is too long");
            }

            unread.CopyTo(block);
            held = unread.Length;
        }

        reader.End(found);
        return found;
    }

    /// <summary>One line; a mapping is found when the next begins.</summary>
    public void Add(ReadOnlySpan<byte> line, List<CleanMapping> found)
    {
        if (line.IsEmpty)
        {
            return;
        }

        if (line[0] is < (byte)'A' or > (byte)'Z')
        {
            End(found);
            Begin(line);
        }
        else if (line.StartsWith("Rss:"u8))
        {
            resident = Kibibytes(line) << 10;
        }
        else if (line.StartsWith("Private_Dirty:"u8) || line.StartsWith("Shared_Dirty:"u8) || line.StartsWith("Anonymous:"u8) || line.StartsWith("Swap:"u8))
        {
            isClean &= Kibibytes(line) == 0;
        }
    }

    public void End(List<CleanMapping> found)
    {
        if (isClean && resident > 0)
        {
            found.Add(new CleanMapping(start, end - start, resident));
        }

        this = default;
    }

    /// <summary>Addresses, permissions, offset, device, inode, and the file's path: <c>1000-3000 r-xp 00000000 08:01 1 /a</c>.</summary>
    void Begin(ReadOnlySpan<byte> line)
    {
        var dash = line.IndexOf((byte)'-');
        var space = line.IndexOf((byte)' ');
        if (dash < 0 || space < dash || !TryHexadecimal(line[..dash], out start) || !TryHexadecimal(line[(dash + 1)..space], out end))
        {
            return;
        }

        var rest = line[(space + 1)..];
        isClean = rest.Length > 4 && rest[0] == 'r' && rest[1] == '-' && rest[3] == 'p' && HasPath(rest);
    }

    /// <summary>Behind permissions, offset, device and inode.</summary>
    static bool HasPath(ReadOnlySpan<byte> rest)
    {
        for (var field = 0; field < 4; field++)
        {
            var space = rest.IndexOf((byte)' ');
            if (space < 0)
            {
                return false;
            }

            rest = rest[space..].TrimStart((byte)' ');
        }

        return !rest.IsEmpty && rest[0] == '/';
    }

    static bool TryHexadecimal(ReadOnlySpan<byte> text, out nint value)
    {
        var isNumber = Utf8Parser.TryParse(text, out long number, out var length, 'x') && length == text.Length;
        value = (nint)number;
        return isNumber;
    }

    static long Kibibytes(ReadOnlySpan<byte> line)
    {
        var number = line[(line.IndexOf((byte)':') + 1)..].TrimStart((byte)' ');
        return Utf8Parser.TryParse(number, out long value, out _) ? value
            : throw new IOException($"/proc/self/smaps has a line that is no number: {Encoding.UTF8.GetString(line)}");
    }
}
