using System.Runtime.InteropServices;

namespace Weir.Proxy.Tls;

/// <summary>
/// An <c>SSL_CTX</c>: certificates, trust and parameters of one side. Immutable; replaced as a whole, while connections made with
/// the one before go on with it.
/// </summary>
sealed unsafe class TlsContext
{
    GCHandle self;

    TlsContext(nint handle, Validation? validation, byte[] alpn)
    {
        Handle = handle;
        Validation = validation;
        Alpn = alpn;
        self = GCHandle.Alloc(this, GCHandleType.Weak);
    }

    ~TlsContext()
    {
        // Connections hold references of their own to the native context.
        OpenSsl.ContextFree(Handle);
        self.Free();
    }

    public nint Handle { get; }

    public Validation? Validation { get; }

    /// <summary>Chains that were found to be trusted before.</summary>
    public VerifiedChains Verified { get; } = new();

    /// <summary>In the form of the wire.</summary>
    public byte[] Alpn { get; }

    /// <summary>The DNS names that the certificate is for; of a server.</summary>
    public IReadOnlyList<string> ServerNames { get; private set; } = [];

    /// <summary>The first URI that the certificate is for: a SPIFFE identity; of a server.</summary>
    public string Principal { get; private set; } = "";

    /// <summary>When the certificate ends, as RFC 5280 writes it (YYYYMMDDHHMMSSZ); of a server.</summary>
    public string Expires { get; private set; } = "";

    /// <summary>A peer that was let in is who its certificate says.</summary>
    public bool ProvesPeers => Validation is { ProvesPeers: true };

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

        // Resuming skips the look at the client's certificate, so a session counts only where the same is asked of it in every respect.
        fixed (byte* id = Validations.Fingerprint(validation, settings.RequiresPeerCertificate))
        {
            _ = OpenSsl.ContextSetSessionIdContext(handle, id, Validations.FingerprintLength);
        }

        if (context.Alpn.Length > 0)
        {
            OpenSsl.ContextSetAlpnSelect(handle, &AlpnProtocols.Select, GCHandle.ToIntPtr(context.self));
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
        if (context.Alpn.Length > 0)
        {
            fixed (byte* protocols = context.Alpn)
            {
                _ = OpenSsl.ContextSetAlpnProtocols(context.Handle, protocols, (uint)context.Alpn.Length);
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
        var context = new TlsContext(handle, validation, AlpnProtocols.Encode(settings.Alpn));
        _ = OpenSsl.ContextSetOptions(handle, OpenSsl.OptionNoRenegotiation | OpenSsl.OptionNoCompression);
        _ = OpenSsl.ContextControl(handle, OpenSsl.ControlMode, OpenSsl.ModePartialWrite | OpenSsl.ModeMovingWriteBuffer | OpenSsl.ModeReleaseBuffers, null);
        _ = OpenSsl.ContextControl(handle, OpenSsl.ControlReadAhead, 1, null);
        _ = OpenSsl.ContextControl(handle, OpenSsl.ControlMinimumVersion, settings.MinimumVersion, null);
        _ = OpenSsl.ContextControl(handle, OpenSsl.ControlMaximumVersion, settings.MaximumVersion, null);
        TlsMaterial.SetCiphers(handle, settings);
        if (certificate is not null)
        {
            TlsMaterial.Use(handle, certificate);
        }

        if (validation is not null)
        {
            TlsMaterial.Trust(handle, validation);
            OpenSsl.ContextSetVerifyCallback(handle, &PeerVerification.Verify, GCHandle.ToIntPtr(context.self));
        }

        return context;
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
}
