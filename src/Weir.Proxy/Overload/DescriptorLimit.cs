using System.Runtime.InteropServices;

namespace Weir.Proxy.Overload;

/// <summary>How many files and sockets this process may have open at a time (getrlimit(2)).</summary>
public static unsafe partial class DescriptorLimit
{
    const int OpenFiles = 7;

    [StructLayout(LayoutKind.Sequential)]
    struct Limits
    {
        public nuint Soft;
        public nuint Hard;
    }

    /// <summary>The limit in force.</summary>
    public static long Current
    {
        get
        {
            Limits limits;
            return Get(OpenFiles, &limits) == 0 ? (long)Math.Min(limits.Soft, int.MaxValue) : 1024;
        }
    }

    /// <summary>
    /// Raises the soft limit to the hard one. The soft one is low for the sake of programs that wait with select(2); the hard one is what
    /// the administrator means.
    /// </summary>
    /// <returns>The limit in force after it.</returns>
    public static long Raise()
    {
        Limits limits;
        if (Get(OpenFiles, &limits) == 0 && limits.Soft < limits.Hard)
        {
            limits.Soft = limits.Hard;
            _ = Set(OpenFiles, &limits);
        }

        return Current;
    }

    [LibraryImport("libc", EntryPoint = "getrlimit", SetLastError = true)]
    private static partial int Get(int resource, Limits* limits);

    [LibraryImport("libc", EntryPoint = "setrlimit", SetLastError = true)]
    private static partial int Set(int resource, Limits* limits);
}
