using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Weir.Proxy.Routing;

namespace Weir.Proxy.Tls;

/// <param name="MinimumVersion">As on the wire: 0x0303 for TLS 1.2, 0x0304 for TLS 1.3.</param>
/// <param name="CipherSuites">OpenSSL's names; empty for the library's choice.</param>
/// <param name="TicketKey">80 bytes that resumption tickets are protected with; empty for random ones of the context.</param>
sealed record TlsSettings(
    int MinimumVersion, int MaximumVersion, IReadOnlyList<string> CipherSuites, IReadOnlyList<string> Curves, IReadOnlyList<string> Alpn,
    bool RequiresPeerCertificate, bool AllowsResumption, byte[] TicketKey)
{
    /// <summary>How long a session may be resumed; 0 for the library's choice.</summary>
    public long SessionSeconds { get; init; }
}

/// <summary>The material of a context cannot be used; the message says which and why.</summary>
sealed class TlsMaterialException(string message) : Exception(message);

/// <summary>
/// An <c>SSL_CTX</c>: certificates, trust and parameters of one side. Immutable; replaced as a whole, while connections made with
/// the one before go on with it.
/// </summary>
sealed unsafe class TlsContext
{
    const int AlpnAccepted = 0;
    const int AlpnNotAcknowledged = 3;

    /// <summary>Of a TLS 1.2 cipher's name, which has no prefix; those of TLS 1.3 are configured apart.</summary>
    const string Tls13Prefix = "TLS_";

    readonly Validation? validation;
    readonly byte[] alpn;
    readonly VerifiedChains verified = new();
    GCHandle self;

    TlsContext(nint handle, Validation? validation, byte[] alpn)
    {
        Handle = handle;
        this.validation = validation;
        this.alpn = alpn;
        self = GCHandle.Alloc(this, GCHandleType.Weak);
    }

    ~TlsContext()
    {
        // Connections hold references of their own to the native context.
        OpenSsl.ContextFree(Handle);
        self.Free();
    }

    public nint Handle { get; }

    /// <summary>The DNS names that the certificate is for; of a server.</summary>
    public IReadOnlyList<string> ServerNames { get; private set; } = [];

    /// <summary>The first URI that the certificate is for: a SPIFFE identity; of a server.</summary>
    public string Principal { get; private set; } = "";

    /// <summary>When the certificate ends, as RFC 5280 writes it (YYYYMMDDHHMMSSZ); of a server.</summary>
    public string Expires { get; private set; } = "";

    /// <summary>Why the last peer was refused by its names, on whichever loop; for the log alone.</summary>
    public string LastMismatch { get; private set; } = "";

    /// <exception cref="TlsMaterialException">A certificate, key or setting cannot be used.</exception>
    public static TlsContext Server(TlsSettings settings, KeyPair certificate, Validation? validation)
    {
        var context = Create(OpenSsl.ServerMethod(), settings, certificate, validation);
        var handle = context.Handle;
        _ = OpenSsl.ContextSetOptions(handle, OpenSsl.OptionCipherServerPreference | (settings.AllowsResumption ? 0 : OpenSsl.OptionNoTicket));

        // Tickets alone: a cache of sessions would be one more thing that grows.
        _ = OpenSsl.ContextControl(handle, OpenSsl.ControlSessionCacheMode, 0, null);
        _ = OpenSsl.ContextSetTickets(handle, settings.AllowsResumption ? 1 : 0);
        if (settings.SessionSeconds > 0)
        {
            _ = OpenSsl.ContextSetTimeout(handle, (nint)settings.SessionSeconds);
        }

        if (settings.TicketKey.Length > 0)
        {
            fixed (byte* key = settings.TicketKey)
            {
                if (OpenSsl.ContextControl(handle, OpenSsl.ControlTicketKeys, settings.TicketKey.Length, key) != 1)
                {
                    throw new TlsMaterialException("session_ticket_keys: a key must have 80 bytes");
                }
            }
        }

        // A session counts only where the same peers are trusted.
        var scope = SHA256.HashData(Encoding.UTF8.GetBytes(Convert.ToBase64String(validation?.Authorities ?? []) + settings.RequiresPeerCertificate
            + string.Join('|', validation?.Names.Select(n => n.Value.ToString()) ?? [])));
        fixed (byte* id = scope)
        {
            _ = OpenSsl.ContextSetSessionIdContext(handle, id, 32);
        }

        if (context.alpn.Length > 0)
        {
            OpenSsl.ContextSetAlpnSelect(handle, &SelectAlpn, GCHandle.ToIntPtr(context.self));
        }

        if (validation is not null)
        {
            OpenSsl.ContextSetVerify(handle, OpenSsl.VerifyPeer | (settings.RequiresPeerCertificate ? OpenSsl.VerifyFailIfNoPeerCertificate : 0), 0);
        }

        context.ReadNames(certificate);
        return context;
    }

    /// <inheritdoc cref="Server"/>
    /// <param name="certificate">To show to the server; null for none.</param>
    public static TlsContext Client(TlsSettings settings, KeyPair? certificate, Validation? validation)
    {
        var context = Create(OpenSsl.ClientMethod(), settings, certificate, validation);
        OpenSsl.ContextSetVerify(context.Handle, validation is null ? OpenSsl.VerifyNone : OpenSsl.VerifyPeer, 0);
        if (context.alpn.Length > 0)
        {
            fixed (byte* protocols = context.alpn)
            {
                _ = OpenSsl.ContextSetAlpnProtocols(context.Handle, protocols, (uint)context.alpn.Length);
            }
        }

        return context;
    }

    static TlsContext Create(nint method, TlsSettings settings, KeyPair? certificate, Validation? validation)
    {
        var handle = OpenSsl.ContextNew(method);
        if (handle == 0)
        {
            throw new TlsMaterialException("no TLS context: " + OpenSsl.TakeError());
        }

        // From here on the finaliser frees it, also after an exception.
        var context = new TlsContext(handle, validation, EncodeAlpn(settings.Alpn));
        _ = OpenSsl.ContextSetOptions(handle, OpenSsl.OptionNoRenegotiation | OpenSsl.OptionNoCompression);
        _ = OpenSsl.ContextControl(handle, OpenSsl.ControlMode, OpenSsl.ModePartialWrite | OpenSsl.ModeMovingWriteBuffer | OpenSsl.ModeReleaseBuffers, null);
        _ = OpenSsl.ContextControl(handle, OpenSsl.ControlReadAhead, 1, null);
        _ = OpenSsl.ContextControl(handle, OpenSsl.ControlMinimumVersion, settings.MinimumVersion, null);
        _ = OpenSsl.ContextControl(handle, OpenSsl.ControlMaximumVersion, settings.MaximumVersion, null);
        SetCiphers(handle, settings);
        if (certificate is not null)
        {
            Use(handle, certificate);
        }

        if (validation is not null)
        {
            Trust(handle, validation);
            OpenSsl.ContextSetVerifyCallback(handle, &Verify, GCHandle.ToIntPtr(context.self));
        }

        return context;
    }

    static void SetCiphers(nint handle, TlsSettings settings)
    {
        var old = string.Join(':', settings.CipherSuites.Where(c => !c.StartsWith(Tls13Prefix, StringComparison.Ordinal)));
        var modern = string.Join(':', settings.CipherSuites.Where(c => c.StartsWith(Tls13Prefix, StringComparison.Ordinal)));
        if ((old.Length > 0 && OpenSsl.ContextSetCipherList(handle, old) != 1) || (modern.Length > 0 && OpenSsl.ContextSetCipherSuites(handle, modern) != 1))
        {
            throw new TlsMaterialException($"cipher_suites: {OpenSsl.TakeError()}: {string.Join(", ", settings.CipherSuites)}");
        }

        if (settings.Curves.Count > 0)
        {
            var list = Marshal.StringToCoTaskMemUTF8(string.Join(':', settings.Curves));
            var result = OpenSsl.ContextControl(handle, OpenSsl.ControlGroupsList, 0, (void*)list);
            Marshal.FreeCoTaskMem(list);
            if (result != 1)
            {
                OpenSsl.ClearErrors();
                throw new TlsMaterialException($"ecdh_curves: not all are known: {string.Join(", ", settings.Curves)}");
            }
        }
    }

    static void Use(nint handle, KeyPair pair)
    {
        var chain = Pem.Certificates(pair.Chain);
        var key = Pem.PrivateKey(pair.Key);
        try
        {
            if (chain.Count == 0)
            {
                throw new TlsMaterialException("certificate_chain: no certificate in it");
            }

            if (key == 0)
            {
                throw new TlsMaterialException("private_key: not a private key in PEM");
            }

            if (OpenSsl.ContextUseCertificate(handle, chain[0]) != 1 || OpenSsl.ContextUsePrivateKey(handle, key) != 1 || OpenSsl.ContextCheckPrivateKey(handle) != 1)
            {
                throw new TlsMaterialException($"certificate_chain: {OpenSsl.TakeError()}");
            }

            foreach (var intermediate in chain.Skip(1))
            {
                // Adds a reference of the context's own.
                _ = OpenSsl.ContextControl(handle, OpenSsl.ControlChainCertificate, 1, (void*)intermediate);
            }
        }
        finally
        {
            chain.ForEach(OpenSsl.CertificateFree);
            if (key != 0)
            {
                OpenSsl.KeyFree(key);
            }
        }
    }

    static void Trust(nint handle, Validation validation)
    {
        var store = OpenSsl.ContextGetStore(handle);
        var authorities = Pem.Certificates(validation.Authorities);
        if (authorities.Count == 0 && validation.Authorities.Length > 0)
        {
            throw new TlsMaterialException("trusted_ca: no certificate in it");
        }

        foreach (var authority in authorities)
        {
            _ = OpenSsl.StoreAddCertificate(store, authority);
            _ = OpenSsl.ContextAddClientAuthority(handle, authority);
            OpenSsl.CertificateFree(authority);
        }

        var lists = Pem.RevocationLists(validation.RevocationLists);
        foreach (var list in lists)
        {
            _ = OpenSsl.StoreAddRevocationList(store, list);
            OpenSsl.RevocationListFree(list);
        }

        OpenSsl.ClearErrors();
        _ = OpenSsl.StoreSetFlags(store, OpenSsl.StorePartialChain | (lists.Count > 0 ? OpenSsl.StoreCrlCheck : 0) | (validation.AllowsExpired ? OpenSsl.StoreNoCheckTime : 0));
    }

    void ReadNames(KeyPair pair)
    {
        var chain = Pem.Certificates(pair.Chain);
        var names = SubjectAltNames.Of(chain[0]);
        ServerNames = [.. names.Where(n => n.Kind == OpenSsl.NameDns).Select(n => n.Value.ToLowerInvariant())];
        Principal = names.Find(n => n.Kind == OpenSsl.NameUri).Value ?? "";
        Expires = Pem.EndOf(chain[0]);
        chain.ForEach(OpenSsl.CertificateFree);
    }

    /// <summary>The wire form of a list of protocols: each with its length before it (RFC 7301).</summary>
    static byte[] EncodeAlpn(IReadOnlyList<string> protocols)
    {
        if (protocols.Any(p => p.Length is 0 or > 255))
        {
            throw new TlsMaterialException("alpn_protocols: a name must have 1 to 255 bytes");
        }

        return [.. protocols.SelectMany(p => Encoding.ASCII.GetBytes(p).Prepend((byte)p.Length))];
    }

    /// <summary>The first of the server's protocols that the client offers; without one the connection goes on unnamed.</summary>
    [UnmanagedCallersOnly]
    static int SelectAlpn(nint ssl, byte** chosen, byte* chosenLength, byte* offered, uint offeredLength, nint argument)
    {
        if (GCHandle.FromIntPtr(argument).Target is not TlsContext context)
        {
            return AlpnNotAcknowledged;
        }

        for (var i = 0; i < context.alpn.Length; i += context.alpn[i] + 1)
        {
            var wanted = context.alpn.AsSpan(i + 1, context.alpn[i]);
            for (uint j = 0; j < offeredLength && j + offered[j] < offeredLength; j += offered[j] + 1u)
            {
                if (new ReadOnlySpan<byte>(offered + j + 1, offered[j]).SequenceEqual(wanted))
                {
                    *chosen = offered + j + 1;
                    *chosenLength = offered[j];
                    return AlpnAccepted;
                }
            }
        }

        return AlpnNotAcknowledged;
    }

    /// <summary>The chain first, then what the configuration asks of the peer's own certificate.</summary>
    [UnmanagedCallersOnly]
    static int Verify(nint storeContext, nint argument)
    {
        if (GCHandle.FromIntPtr(argument).Target is not TlsContext { validation: { } validation } context)
        {
            return 0;
        }

        // Whether a list of revoked certificates is still in date is known to OpenSSL alone.
        var length = validation.RevocationLists.Length == 0 ? LengthOf(storeContext) : MaximumRemembered + 1;
        Span<byte> chain = stackalloc byte[length <= MaximumRemembered ? length : 0];
        if (chain.Length > 0)
        {
            Encode(storeContext, chain);
            if (context.verified.Contains(chain, Environment.TickCount64))
            {
                return 1;
            }
        }

        if (!validation.AcceptsUntrusted && OpenSsl.VerifyCertificate(storeContext) != 1)
        {
            return 0;
        }

        if (validation.Mismatch(OpenSsl.StoreContextGetCertificate(storeContext)) is { } mismatch)
        {
            context.LastMismatch = mismatch;
            OpenSsl.StoreContextSetError(storeContext, OpenSsl.ErrorApplicationVerification);
            return 0;
        }

        if (chain.Length > 0 && MillisecondsLeft(storeContext) is > 0 and var left)
        {
            context.verified.Add(chain, Environment.TickCount64, left);
        }

        return 1;
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
