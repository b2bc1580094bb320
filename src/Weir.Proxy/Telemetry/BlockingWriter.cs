using System.Runtime.InteropServices;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Telemetry;

/// <summary>Writes to a descriptor for as long as that takes: for threads that may wait.</summary>
static unsafe partial class BlockingWriter
{
    const short PollOut = 4;

    /// <returns>How many lines could not be written, because nobody reads them any more or the disk is full.</returns>
    public static int Write(int descriptor, ReadOnlySpan<byte> lines)
    {
        while (!lines.IsEmpty)
        {
            nint result;
            fixed (byte* start = lines)
            {
                result = Native.Write(descriptor, start, lines.Length);
            }

            if (result > 0)
            {
                lines = lines[(int)result..];
                continue;
            }

            switch (Native.Errno)
            {
                case Native.Eintr:
                    break;
                case Native.Eagain:
                    // Whoever opened the other end made it non-blocking.
                    var entry = new PollEntry { Descriptor = descriptor, Events = PollOut };
                    _ = Poll(&entry, 1, -1);
                    break;
                default:
                    return lines.Count((byte)'\n');
            }
        }

        return 0;
    }

    [StructLayout(LayoutKind.Sequential)]
    struct PollEntry
    {
        public int Descriptor;
        public short Events;
        public short Returned;
    }

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    private static partial int Poll(PollEntry* entries, nuint count, int timeoutMilliseconds);
}
