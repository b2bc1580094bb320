using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Tls;

/// <summary>
/// The functions of OpenSSL 3 that the proxy uses; names are those of its manual pages without their prefixes. Handles are
/// pointers: who owns each is said where it is kept. Loaded when the first context is made, so that a proxy without TLS does
/// not carry it.
/// </summary>
static unsafe partial class OpenSsl
{
    const string Ssl = "libssl.so.3";
    const string Crypto = "libcrypto.so.3";

    public const int WantRead = 2;
    public const int WantWrite = 3;
    public const int ZeroReturn = 6;

    public const int VerifyNone = 0;
    public const int VerifyPeer = 1;
    public const int VerifyFailIfNoPeerCertificate = 2;
    public const int ErrorApplicationVerification = 50;

    public const ulong OptionNoTicket = 1UL << 14;
    public const ulong OptionNoCompression = 1UL << 17;
    public const ulong OptionCipherServerPreference = 1UL << 22;
    public const ulong OptionNoRenegotiation = 1UL << 30;

    public const int ControlMode = 33;
    public const int ControlSessionCacheMode = 44;
    public const int ControlHostName = 55;
    public const int ControlTicketKeys = 59;
    public const int ControlChainCertificate = 89;
    public const int ControlGroupsList = 92;
    public const int ControlMinimumVersion = 123;
    public const int ControlMaximumVersion = 124;
    public const int ControlReadAhead = 41;

    public const nint ModePartialWrite = 1;
    public const nint ModeMovingWriteBuffer = 2;
    public const nint ModeReleaseBuffers = 16;

    public const ulong StoreCrlCheck = 0x4;
    public const ulong StorePartialChain = 0x80000;
    public const ulong StoreNoCheckTime = 0x200000;

    public const int NidSubjectAltName = 85;
    public const int NameEmail = 1;
    public const int NameDns = 2;
    public const int NameUri = 6;
    public const int NameIp = 7;

    [LibraryImport(Ssl, EntryPoint = "TLS_server_method")] public static partial nint ServerMethod();
    [LibraryImport(Ssl, EntryPoint = "TLS_client_method")] public static partial nint ClientMethod();
    [LibraryImport(Ssl, EntryPoint = "SSL_CTX_new")] public static partial nint ContextNew(nint method);
    [LibraryImport(Ssl, EntryPoint = "SSL_CTX_free")] public static partial void ContextFree(nint context);
    [LibraryImport(Ssl, EntryPoint = "SSL_CTX_ctrl")] public static partial nint ContextControl(nint context, int command, nint number, void* pointer);
    [LibraryImport(Ssl, EntryPoint = "SSL_CTX_set_options")] public static partial ulong ContextSetOptions(nint context, ulong options);
    [LibraryImport(Ssl, EntryPoint = "SSL_CTX_set_cipher_list", StringMarshalling = StringMarshalling.Utf8)] public static partial int ContextSetCipherList(nint context, string list);
    [LibraryImport(Ssl, EntryPoint = "SSL_CTX_set_ciphersuites", StringMarshalling = StringMarshalling.Utf8)] public static partial int ContextSetCipherSuites(nint context, string list);
    [LibraryImport(Ssl, EntryPoint = "SSL_CTX_set_alpn_protos")] public static partial int ContextSetAlpnProtocols(nint context, byte* protocols, uint length);
    [LibraryImport(Ssl, EntryPoint = "SSL_CTX_set_alpn_select_cb")] public static partial void ContextSetAlpnSelect(nint context, delegate* unmanaged<nint, byte**, byte*, byte*, uint, nint, int> callback, nint argument);
    [LibraryImport(Ssl, EntryPoint = "SSL_CTX_use_certificate")] public static partial int ContextUseCertificate(nint context, nint certificate);
    [LibraryImport(Ssl, EntryPoint = "SSL_CTX_use_PrivateKey")] public static partial int ContextUsePrivateKey(nint context, nint key);
    [LibraryImport(Ssl, EntryPoint = "SSL_CTX_check_private_key")] public static partial int ContextCheckPrivateKey(nint context);
    [LibraryImport(Ssl, EntryPoint = "SSL_CTX_get_cert_store")] public static partial nint ContextGetStore(nint context);
    [LibraryImport(Ssl, EntryPoint = "SSL_CTX_set_verify")] public static partial void ContextSetVerify(nint context, int mode, nint callback);
    [LibraryImport(Ssl, EntryPoint = "SSL_CTX_set_cert_verify_callback")] public static partial void ContextSetVerifyCallback(nint context, delegate* unmanaged<nint, nint, int> callback, nint argument);
    [LibraryImport(Ssl, EntryPoint = "SSL_CTX_set_session_id_context")] public static partial int ContextSetSessionIdContext(nint context, byte* id, uint length);
    [LibraryImport(Ssl, EntryPoint = "SSL_CTX_set_num_tickets")] public static partial int ContextSetTickets(nint context, nint count);
    [LibraryImport(Ssl, EntryPoint = "SSL_CTX_set_timeout")] public static partial nint ContextSetTimeout(nint context, nint seconds);
    [LibraryImport(Ssl, EntryPoint = "SSL_CTX_add_client_CA")] public static partial int ContextAddClientAuthority(nint context, nint certificate);

    [LibraryImport(Ssl, EntryPoint = "SSL_new")] public static partial nint New(nint context);
    [LibraryImport(Ssl, EntryPoint = "SSL_free")] public static partial void Free(nint ssl);
    [LibraryImport(Ssl, EntryPoint = "SSL_set_bio")] public static partial void SetBio(nint ssl, nint read, nint write);
    [LibraryImport(Ssl, EntryPoint = "SSL_set_accept_state")] public static partial void SetAcceptState(nint ssl);
    [LibraryImport(Ssl, EntryPoint = "SSL_set_connect_state")] public static partial void SetConnectState(nint ssl);
    [LibraryImport(Ssl, EntryPoint = "SSL_ctrl")] public static partial nint Control(nint ssl, int command, nint number, void* pointer);
    [LibraryImport(Ssl, EntryPoint = "SSL_do_handshake")] public static partial int Handshake(nint ssl);
    [LibraryImport(Ssl, EntryPoint = "SSL_read")] public static partial int Read(nint ssl, byte* buffer, int length);
    [LibraryImport(Ssl, EntryPoint = "SSL_write")] public static partial int Write(nint ssl, byte* buffer, int length);
    [LibraryImport(Ssl, EntryPoint = "SSL_shutdown")] public static partial int Shutdown(nint ssl);
    [LibraryImport(Ssl, EntryPoint = "SSL_get_error")] public static partial int GetError(nint ssl, int result);
    [LibraryImport(Ssl, EntryPoint = "SSL_has_pending")] public static partial int HasPending(nint ssl);
    [LibraryImport(Ssl, EntryPoint = "SSL_get_verify_result")] public static partial nint GetVerifyResult(nint ssl);
    [LibraryImport(Ssl, EntryPoint = "SSL_get0_alpn_selected")] public static partial void GetAlpn(nint ssl, byte** protocol, uint* length);
    [LibraryImport(Ssl, EntryPoint = "SSL_get_version")] public static partial nint GetVersion(nint ssl);
    [LibraryImport(Ssl, EntryPoint = "SSL_get_current_cipher")] public static partial nint GetCipher(nint ssl);
    [LibraryImport(Ssl, EntryPoint = "SSL_CIPHER_get_name")] public static partial nint GetCipherName(nint cipher);
    [LibraryImport(Ssl, EntryPoint = "SSL_get1_peer_certificate")] public static partial nint GetPeerCertificate(nint ssl);
    [LibraryImport(Ssl, EntryPoint = "SSL_get1_session")] public static partial nint GetSession(nint ssl);
    [LibraryImport(Ssl, EntryPoint = "SSL_set_session")] public static partial int SetSession(nint ssl, nint session);
    [LibraryImport(Ssl, EntryPoint = "SSL_SESSION_is_resumable")] public static partial int IsResumable(nint session);
    [LibraryImport(Ssl, EntryPoint = "SSL_session_reused")] public static partial int IsReused(nint ssl);
    [LibraryImport(Ssl, EntryPoint = "SSL_SESSION_free")] public static partial void SessionFree(nint session);

    [LibraryImport(Crypto, EntryPoint = "BIO_new_mem_buf")] public static partial nint BioFromMemory(byte* bytes, int length);
    [LibraryImport(Crypto, EntryPoint = "BIO_new")] public static partial nint BioNew(nint method);
    [LibraryImport(Crypto, EntryPoint = "BIO_free")] public static partial int BioFree(nint bio);
    [LibraryImport(Crypto, EntryPoint = "BIO_get_data")] public static partial nint BioGetData(nint bio);
    [LibraryImport(Crypto, EntryPoint = "BIO_set_data")] public static partial void BioSetData(nint bio, nint data);
    [LibraryImport(Crypto, EntryPoint = "BIO_set_init")] public static partial void BioSetInit(nint bio, int initialised);
    [LibraryImport(Crypto, EntryPoint = "BIO_set_flags")] public static partial void BioSetFlags(nint bio, int flags);
    [LibraryImport(Crypto, EntryPoint = "BIO_clear_flags")] public static partial void BioClearFlags(nint bio, int flags);
    [LibraryImport(Crypto, EntryPoint = "BIO_meth_new", StringMarshalling = StringMarshalling.Utf8)] public static partial nint BioMethodNew(int type, string name);
    [LibraryImport(Crypto, EntryPoint = "BIO_meth_set_read")] public static partial int BioMethodSetRead(nint method, delegate* unmanaged<nint, byte*, int, int> read);
    [LibraryImport(Crypto, EntryPoint = "BIO_meth_set_write")] public static partial int BioMethodSetWrite(nint method, delegate* unmanaged<nint, byte*, int, int> write);
    [LibraryImport(Crypto, EntryPoint = "BIO_meth_set_ctrl")] public static partial int BioMethodSetControl(nint method, delegate* unmanaged<nint, int, nint, nint, nint> control);
    [LibraryImport(Crypto, EntryPoint = "PEM_read_bio_X509")] public static partial nint ReadCertificate(nint bio, nint target, nint password, nint argument);
    [LibraryImport(Crypto, EntryPoint = "PEM_read_bio_X509_CRL")] public static partial nint ReadRevocationList(nint bio, nint target, nint password, nint argument);
    [LibraryImport(Crypto, EntryPoint = "PEM_read_bio_PrivateKey")] public static partial nint ReadPrivateKey(nint bio, nint target, nint password, nint argument);
    [LibraryImport(Crypto, EntryPoint = "X509_free")] public static partial void CertificateFree(nint certificate);
    [LibraryImport(Crypto, EntryPoint = "X509_CRL_free")] public static partial void RevocationListFree(nint list);
    [LibraryImport(Crypto, EntryPoint = "EVP_PKEY_free")] public static partial void KeyFree(nint key);
    [LibraryImport(Crypto, EntryPoint = "X509_STORE_add_cert")] public static partial int StoreAddCertificate(nint store, nint certificate);
    [LibraryImport(Crypto, EntryPoint = "X509_STORE_add_crl")] public static partial int StoreAddRevocationList(nint store, nint list);
    [LibraryImport(Crypto, EntryPoint = "X509_STORE_set_flags")] public static partial int StoreSetFlags(nint store, ulong flags);
    [LibraryImport(Crypto, EntryPoint = "X509_verify_cert")] public static partial int VerifyCertificate(nint storeContext);
    [LibraryImport(Crypto, EntryPoint = "X509_verify_cert_error_string")] public static partial nint VerifyErrorString(nint error);
    [LibraryImport(Crypto, EntryPoint = "X509_STORE_CTX_get0_cert")] public static partial nint StoreContextGetCertificate(nint storeContext);
    [LibraryImport(Crypto, EntryPoint = "X509_STORE_CTX_get0_untrusted")] public static partial nint StoreContextGetUntrusted(nint storeContext);
    [LibraryImport(Crypto, EntryPoint = "X509_STORE_CTX_get0_chain")] public static partial nint StoreContextGetChain(nint storeContext);
    [LibraryImport(Crypto, EntryPoint = "X509_STORE_CTX_set_error")] public static partial void StoreContextSetError(nint storeContext, int error);
    [LibraryImport(Crypto, EntryPoint = "X509_get_ext_d2i")] public static partial nint GetExtension(nint certificate, int nid, nint critical, nint index);
    [LibraryImport(Crypto, EntryPoint = "X509_get_subject_name")] public static partial nint GetSubject(nint certificate);
    [LibraryImport(Crypto, EntryPoint = "X509_NAME_oneline")] public static partial nint NameOneLine(nint name, byte* buffer, int size);
    [LibraryImport(Crypto, EntryPoint = "X509_get0_notAfter")] public static partial nint GetNotAfter(nint certificate);
    [LibraryImport(Crypto, EntryPoint = "ASN1_TIME_diff")] public static partial int TimeDifference(int* days, int* seconds, nint from, nint to);
    [LibraryImport(Crypto, EntryPoint = "i2d_X509")] public static partial int EncodeCertificate(nint certificate, byte** target);
    [LibraryImport(Crypto, EntryPoint = "X509_get_X509_PUBKEY")] public static partial nint GetPublicKey(nint certificate);
    [LibraryImport(Crypto, EntryPoint = "i2d_X509_PUBKEY")] public static partial int EncodePublicKey(nint key, byte** target);
    [LibraryImport(Crypto, EntryPoint = "OPENSSL_sk_num")] public static partial int StackCount(nint stack);
    [LibraryImport(Crypto, EntryPoint = "OPENSSL_sk_value")] public static partial nint StackItem(nint stack, int index);
    [LibraryImport(Crypto, EntryPoint = "GENERAL_NAME_get0_value")] public static partial nint GeneralNameValue(nint name, int* type);
    [LibraryImport(Crypto, EntryPoint = "GENERAL_NAMES_free")] public static partial void GeneralNamesFree(nint names);
    [LibraryImport(Crypto, EntryPoint = "ASN1_STRING_get0_data")] public static partial byte* StringData(nint text);
    [LibraryImport(Crypto, EntryPoint = "ASN1_STRING_length")] public static partial int StringLength(nint text);
    [LibraryImport(Crypto, EntryPoint = "ERR_get_error")] public static partial nint NextError();
    [LibraryImport(Crypto, EntryPoint = "ERR_reason_error_string")] public static partial nint ErrorReason(nint error);
    [LibraryImport(Crypto, EntryPoint = "ERR_clear_error"), SuppressGCTransition] public static partial void ClearErrors();

    public static string Text(nint text) => text == 0 ? "" : Marshal.PtrToStringUTF8(text) ?? "";

    /// <summary>The oldest error of this thread's queue, which is emptied.</summary>
    public static string TakeError()
    {
        var reason = Text(ErrorReason(NextError()));
        ClearErrors();
        return reason.Length > 0 ? reason : "unknown error";
    }
}
