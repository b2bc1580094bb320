using System.Text;
using Weir.Proxy.Lifecycle;

namespace Weir.Proxy.Tests;

public class LoadedCodeTests
{
    static string[] Mapping(string head, int resident, int dirty = 0, int anonymous = 0) =>
        [head, $"Rss:   {resident} kB", $"Private_Dirty:   {dirty} kB", $"Anonymous:  {anonymous} kB", "VmFlags: rd mr mw me"];

    [Fact]
    public void Only_mappings_of_files_that_nobody_has_written_to_are_clean()
    {
        string[] lines =
        [
            .. Mapping("1000-3000 r-xp 00000000 08:01 1 /usr/lib/a.so", 8),
            .. Mapping("3000-4000 r--p 00000000 08:01 1 /usr/lib/a.so", 4, dirty: 4),
            .. Mapping("4000-5000 r--p 00000000 08:01 1 /usr/lib/a.so", 4, anonymous: 4),
            .. Mapping("5000-6000 rw-p 00000000 08:01 1 /usr/lib/a.so", 4),
            .. Mapping("6000-7000 r--s 00000000 08:01 1 /dev/shm/b", 4),
            .. Mapping("7000-8000 r--p 00000000 00:00 0", 4),
            .. Mapping("8000-9000 r-xp 00000000 00:00 0 [vdso]", 4),
            .. Mapping("9000-a000 r--p 00000000 08:01 1 /usr/lib/c.so", 0),
            .. Mapping("ffff9000-ffffa000 r--p 00000000 08:01 1 /usr/lib/d e.so", 4),
        ];

        var found = new List<CleanMapping>();
        var reader = default(MappingReader);
        foreach (var line in lines)
        {
            reader.Add(Encoding.UTF8.GetBytes(line), found);
        }

        reader.End(found);

        Assert.Equal([new(0x1000, 0x2000, 8192), new(unchecked((nint)0xffff9000), 0x1000, 4096)], found);
    }

    [Fact]
    public void A_file_that_is_mapped_as_data_is_no_code_that_stays()
    {
        using var own = System.IO.MemoryMappedFiles.MemoryMappedFile.CreateFromFile(typeof(LoadedCode).Assembly.Location, FileMode.Open, null, 0, System.IO.MemoryMappedFiles.MemoryMappedFileAccess.Read);
        using var view = own.CreateViewAccessor(0, 0, System.IO.MemoryMappedFiles.MemoryMappedFileAccess.Read);
        var address = view.SafeMemoryMappedViewHandle.DangerousGetHandle();

        var segments = LoadedCode.ReadOnlySegments();

        Assert.True(segments.Count > 10);
        Assert.DoesNotContain(segments, s => s.Start <= address && address < s.Start + s.Length);
    }

    /// <summary>The heap is at its smallest when this runs: what it leaves behind is what an idle proxy keeps.</summary>
    [Fact]
    public void Finding_what_can_be_given_back_leaves_little_behind()
    {
        LoadedCode.FindClean();

        var before = GC.GetAllocatedBytesForCurrentThread();
        var found = LoadedCode.FindClean();
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        Assert.NotEmpty(found);
        Assert.InRange(allocated, 0, 64 * 1024);
    }
}
