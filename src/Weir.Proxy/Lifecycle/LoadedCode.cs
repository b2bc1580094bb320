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

    /// <summary>Of those, the mappings without a page that differs from the file's, and how much of them is resident.</summary>
    /// <exception cref="IOException">The kernel does not say.</exception>
    public static List<CleanMapping> FindClean()
    {
        var segments = ReadOnlySegments();
        var found = new List<CleanMapping>();
        foreach (var mapping in MappingReader.ReadClean())
        {
            foreach (var (start, length) in segments)
            {
                if (start <= mapping.Start && mapping.Start + mapping.Length <= start + length)
                {
                    found.Add(mapping);
                    break;
                }
            }
        }

        return found;
    }

    /// <summary>
    /// Lets the kernel have the pages back; what is used again comes from the file. Nothing else is done here: what ran after the first
    /// call would be back at once, with the pages around it.
    /// </summary>
    public static void Drop(List<CleanMapping> mappings)
    {
        for (var i = 0; i < mappings.Count; i++)
        {
            _ = Advise(mappings[i].Start, mappings[i].Length, DontNeed);
        }
    }

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
