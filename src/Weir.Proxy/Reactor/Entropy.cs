using System.Runtime.InteropServices;

namespace Weir.Proxy.Reactor;

/// <summary>
/// Random numbers of the kernel's, as secret as any. The runtime's own come from OpenSSL, which a proxy without TLS does not have to load.
/// </summary>
public static unsafe partial class Entropy
{
    /// <summary>From 0 on.</summary>
    public static int NextSeed()
    {
        var value = 0;
        Fill(MemoryMarshal.AsBytes(new Span<int>(ref value)));
        return value & int.MaxValue;
    }

    public static void Fill(Span<byte> target)
    {
        fixed (byte* bytes = target)
        {
            for (var filled = 0; filled < target.Length;)
            {
                var read = GetRandom(bytes + filled, target.Length - filled, 0);
                if (read < 0 && Marshal.GetLastPInvokeError() != Native.Eintr)
                {
                    throw new IOException($"the kernel gives no random numbers (errno {Marshal.GetLastPInvokeError()})");
                }

                filled += (int)Math.Max(read, 0);
            }
        }
    }

    [LibraryImport("libc", EntryPoint = "getrandom", SetLastError = true)]
    private static partial nint GetRandom(byte* target, nint length, uint flags);
}
