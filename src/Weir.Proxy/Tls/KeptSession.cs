namespace Weir.Proxy.Tls;

/// <summary>
/// The session that the next connection to one host may resume, under the context that it was agreed on with: resuming skips the check of
/// the server's chain, and whom we trust may have changed since. Owns the native session; one owner at a time may use it.
/// </summary>
sealed class KeptSession
{
    nint session;
    TlsContext? context;
    bool isRetired;

    // A host that is forgotten without being retired.
    ~KeptSession() => Free();

    /// <summary>0 when there is none for this context. Stays this object's.</summary>
    public nint For(TlsContext wanted) => ReferenceEquals(wanted, context) ? session : 0;

    /// <summary>Takes over a session; the one before is freed.</summary>
    public void Keep(nint next, TlsContext under)
    {
        Free();
        session = next;
        context = under;
        if (isRetired)
        {
            // The last connections of a host that is gone bring theirs when they end.
            Free();
        }
    }

    /// <summary>The host is no longer part of the mesh: nothing is kept from now on.</summary>
    public void Retire()
    {
        isRetired = true;
        Free();
    }

    void Free()
    {
        if (session != 0)
        {
            OpenSsl.SessionFree(session);
        }

        session = 0;
        context = null;
    }
}
