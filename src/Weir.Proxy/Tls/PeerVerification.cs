using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Weir.Proxy.Tls;

/// <summary>Whether a peer's chain is trusted, as OpenSSL asks it in the middle of a handshake, on the thread that does that.</summary>
static unsafe class PeerVerification
{
    [ThreadStatic]
    static string? lastMismatch;

    /// <summary>Why this thread refused the last peer by more than its chain; for the log alone.</summary>
    public static string LastMismatch => lastMismatch ?? "";

    /// <summary>The callback of OpenSSL's. Nothing may be thrown through its frames: a defect here refuses the peer.</summary>
    [UnmanagedCallersOnly]
    public static int Verify(nint storeContext, nint argument)
    {
        try
        {
            return GCHandle.FromIntPtr(argument).Target is TlsContext { Validation: { } validation } context && IsTrusted(storeContext, validation, context.Verified) ? 1 : 0;
        }
        catch (Exception e)
        {
            Refuse(storeContext, $"the check itself failed ({e.GetType().Name})");
            return 0;
        }
    }

    /// <summary>The chain first, then what the configuration asks of the peer's own certificate.</summary>
    static bool IsTrusted(nint storeContext, Validation validation, VerifiedChains verified)
    {
        // Whether a list of revoked certificates is still in date is known to OpenSSL alone.
        var length = validation.RevocationLists.Length == 0 ? LengthOf(storeContext) : MaximumRemembered + 1;
        Span<byte> chain = stackalloc byte[length <= MaximumRemembered ? length : 0];
        if (chain.Length > 0)
        {
            Encode(storeContext, chain);
            if (verified.Contains(chain, Environment.TickCount64))
            {
                return true;
            }
        }

        if (validation.VerifiesChain && OpenSsl.VerifyCertificate(storeContext) != 1)
        {
            return false;
        }

        if (validation.Mismatch(OpenSsl.StoreContextGetCertificate(storeContext)) is { } mismatch)
        {
            Refuse(storeContext, mismatch);
            return false;
        }

        if (chain.Length > 0 && MillisecondsLeft(storeContext) is > 0 and var left)
        {
            verified.Add(chain, Environment.TickCount64, left);
        }

        return true;
    }

    static void Refuse(nint storeContext, string reason)
    {
        lastMismatch = reason;
        OpenSsl.StoreContextSetError(storeContext, OpenSsl.ErrorApplicationVerification);
    }

    /// <summary>Bytes of a chain; a longer one is verified each time.</summary>
    const int MaximumRemembered = 8 * 1024;

    static int LengthOf(nint storeContext)
    {
        var sent = OpenSsl.StoreContextGetUntrusted(storeContext);
        var length = OpenSsl.EncodeCertificate(OpenSsl.StoreContextGetCertificate(storeContext), null);
        for (var i = 0; i < OpenSsl.StackCount(sent); i++)
        {
            length += OpenSsl.EncodeCertificate(OpenSsl.StackItem(sent, i), null);
        }

        return length;
    }

    /// <summary>The certificate that is asked about, then all that the peer sent.</summary>
    static void Encode(nint storeContext, Span<byte> target)
    {
        var sent = OpenSsl.StoreContextGetUntrusted(storeContext);
        fixed (byte* start = target)
        {
            var at = start;
            _ = OpenSsl.EncodeCertificate(OpenSsl.StoreContextGetCertificate(storeContext), &at);
            for (var i = 0; i < OpenSsl.StackCount(sent); i++)
            {
                _ = OpenSsl.EncodeCertificate(OpenSsl.StackItem(sent, i), &at);
            }
        }
    }

    /// <summary>Until the first certificate of the chain that was found ends; 0 when there is none.</summary>
    static long MillisecondsLeft(nint storeContext)
    {
        var chain = OpenSsl.StoreContextGetChain(storeContext);
        var least = long.MaxValue;
        for (var i = 0; i < OpenSsl.StackCount(chain); i++)
        {
            int days, seconds;
            if (OpenSsl.TimeDifference(&days, &seconds, 0, OpenSsl.GetNotAfter(OpenSsl.StackItem(chain, i))) != 1)
            {
                return 0;
            }

            least = Math.Min(least, ((days * 86_400L) + seconds) * 1000);
        }

        return least == long.MaxValue ? 0 : least;
    }
}
