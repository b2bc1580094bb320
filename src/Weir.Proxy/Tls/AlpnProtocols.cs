using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Weir.Proxy.Tls;

/// <summary>The protocols that are offered or accepted, best first (RFC 7301).</summary>
static unsafe class AlpnProtocols
{
    const int Accepted = 0;
    const int NotAcknowledged = 3;

    /// <summary>The wire form of a list of protocols: each with its length before it.</summary>
    public static byte[] Encode(IReadOnlyList<string> protocols)
    {
        if (protocols.Any(p => p.Length is 0 or > 255))
        {
            throw new TlsMaterialException("alpn_protocols: a name must have 1 to 255 bytes");
        }

        return [.. protocols.SelectMany(p => Encoding.ASCII.GetBytes(p).Prepend((byte)p.Length))];
    }

    /// <summary>The first of the server's protocols that the client offers; without one the connection goes on unnamed.</summary>
    [UnmanagedCallersOnly]
    public static int Select(nint ssl, byte** chosen, byte* chosenLength, byte* offered, uint offeredLength, nint argument)
    {
        if (GCHandle.FromIntPtr(argument).Target is not TlsContext context)
        {
            return NotAcknowledged;
        }

        for (var i = 0; i < context.Alpn.Length; i += context.Alpn[i] + 1)
        {
            var wanted = context.Alpn.AsSpan(i + 1, context.Alpn[i]);
            for (uint j = 0; j < offeredLength && j + offered[j] < offeredLength; j += offered[j] + 1u)
            {
                if (new ReadOnlySpan<byte>(offered + j + 1, offered[j]).SequenceEqual(wanted))
                {
                    *chosen = offered + j + 1;
                    *chosenLength = offered[j];
                    return Accepted;
                }
            }
        }

        return NotAcknowledged;
    }
}
