using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Weir.Proxy.Lifecycle;

/// <summary>
/// The parts of the program and its libraries that are not written to: code and constants. They stay where they are for the life of the
/// process (nothing here is unloaded), so that advice on them never meets memory that has become something else since it was listed.
/// </summary>
static unsafe partial class LoadedCode
{
    const uint Loadable = 1;
    const uint Writable = 2;
    const int DontNeed = 4;

    [StructLayout(LayoutKind.Sequential)]
    struct LoadedObject
    {
        public nint Base;
        public byte* Name;
        public Segment* Segments;
        public ushort SegmentCount;
    }

    /// <summary>As the ELF format lays it out for 64 bits.</summary>
    [StructLayout(LayoutKind.Sequential)]
    struct Segment
    {
        public uint Type;
        public uint Flags;
        public ulong Offset;
        public ulong Address;
        public ulong PhysicalAddress;
        public ulong FileSize;
        public ulong MemorySize;
        public ulong Alignment;
    }

    /// <summary>Whole pages, as the loader of this process keeps them.</summary>
    public static List<(nint Start, nint Length)> ReadOnlySegments()
    {
        var found = new List<(nint, nint)>();
        var handle = GCHandle.Alloc(found);
        _ = Iterate(&Collect, GCHandle.ToIntPtr(handle));
        handle.Free();
        return found;
    }

    /// <summary>Lets the kernel have the pages back of what nobody has written to; what is used again comes from the file.</summary>
    /// <returns>Bytes that were resident.</returns>
    public static long Drop()
    {
        long total = 0;
        var segments = ReadOnlySegments();
        foreach (var (start, length, resident) in CleanMappings(File.ReadLines("/proc/self/smaps")))
        {
            if (segments.Exists(s => s.Start <= start && start + length <= s.Start + s.Length) && Advise(start, length, DontNeed) == 0)
            {
                total += resident;
            }
        }

        return total;
    }

    /// <summary>Those of files, for reading, without a page that differs from the file's.</summary>
    /// <param name="lines">As proc(5) describes <c>/proc/[pid]/smaps</c>.</param>
    public static IEnumerable<(nint Start, nint Length, long Resident)> CleanMappings(IEnumerable<string> lines)
    {
        (nint Start, nint End, bool IsClean, long Resident) mapping = default;
        foreach (var line in lines.Append("0-0 ---p"))
        {
            var fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (!char.IsAsciiLetterUpper(line[0]))
            {
                if (mapping is { IsClean: true, Resident: > 0 })
                {
                    yield return (mapping.Start, mapping.End - mapping.Start, mapping.Resident);
                }

                var dash = fields[0].IndexOf('-', StringComparison.Ordinal);
                mapping = (Hexadecimal(fields[0][..dash]), Hexadecimal(fields[0][(dash + 1)..]), fields is [_, ['r', '-', _, 'p'], _, _, _, ['/', ..], ..], 0);
            }
            else if (fields[0] == "Rss:")
            {
                mapping.Resident = Kibibytes(fields) << 10;
            }
            else if (fields[0] is "Private_Dirty:" or "Shared_Dirty:" or "Anonymous:" or "Swap:")
            {
                mapping.IsClean &= Kibibytes(fields) == 0;
            }
        }
    }

    static nint Hexadecimal(string text) => nint.Parse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    static long Kibibytes(string[] fields) => long.Parse(fields[1], CultureInfo.InvariantCulture);

    [UnmanagedCallersOnly]
    static int Collect(LoadedObject* loaded, nuint size, nint list)
    {
        // The program has an empty name, a library its path; what has another is no file, such as the kernel's vDSO.
        if (loaded->Name is not null && *loaded->Name is not (0 or (byte)'/'))
        {
            return 0;
        }

        var found = (List<(nint, nint)>)GCHandle.FromIntPtr(list).Target!;
        var page = (nint)Environment.SystemPageSize;
        for (var i = 0; i < loaded->SegmentCount; i++)
        {
            ref var segment = ref loaded->Segments[i];
            if (segment.Type == Loadable && (segment.Flags & Writable) == 0 && segment.FileSize == segment.MemorySize && segment.FileSize > 0)
            {
                var address = loaded->Base + (nint)segment.Address;
                var start = address & ~(page - 1);
                found.Add((start, ((address + (nint)segment.FileSize + page - 1) & ~(page - 1)) - start));
            }
        }

        return 0;
    }

    [LibraryImport("libc", EntryPoint = "dl_iterate_phdr")]
    private static partial int Iterate(delegate* unmanaged<LoadedObject*, nuint, nint, int> callback, nint argument);

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(nint address, nint length, int advice);
}
