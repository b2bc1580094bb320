using System.Runtime.InteropServices;

namespace Weir.Proxy.Tls;

/// <summary>The material of a context cannot be used; the message says which and why.</summary>
sealed class TlsMaterialException(string message) : Exception(message);

/// <summary>Puts what the configuration gives into a native context: ciphers, a certificate with its key, and whom to trust.</summary>
static unsafe class TlsMaterial
{
    /// <summary>Of a cipher of TLS 1.3; those of TLS 1.2, which are configured apart, have no prefix.</summary>
    const string Tls13Prefix = "TLS_";

    public static void SetCiphers(nint handle, TlsSettings settings)
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

    public static void Use(nint handle, KeyPair pair)
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

    public static void Trust(nint handle, Validation validation)
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
}
