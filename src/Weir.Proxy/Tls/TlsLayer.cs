using System.Runtime.InteropServices;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Tls;

/// <summary>One TLS connection on a socket. Owns its <c>SSL</c>.</summary>
sealed unsafe class TlsLayer : SocketLayer
{
    /// <summary>Kept alive while its native part is in use.</summary>
    readonly TlsContext context;
    SocketBio.State* state;
    nint ssl;
    bool isEstablished;
    bool hasFailed;

    TlsLayer(TlsContext context, TcpSocket socket)
    {
        this.context = context;
        state = (SocketBio.State*)NativeMemory.AllocZeroed((nuint)sizeof(SocketBio.State));
        state->Kernel = socket.Kernel.Handle;
        state->Descriptor = socket.Descriptor;
        ssl = OpenSsl.New(context.Handle);
        var bio = SocketBio.Create(state);
        OpenSsl.SetBio(ssl, bio, bio);
    }

    public static TlsLayer Accept(TlsContext context, TcpSocket socket)
    {
        var layer = new TlsLayer(context, socket);
        OpenSsl.SetAcceptState(layer.ssl);
        return layer;
    }

    /// <param name="serverName">For SNI; empty for none.</param>
    /// <param name="session">To resume; 0 for none. Stays its owner's.</param>
    public static TlsLayer Connect(TlsContext context, TcpSocket socket, string serverName, nint session)
    {
        var layer = new TlsLayer(context, socket);
        if (serverName.Length > 0)
        {
            var name = Marshal.StringToCoTaskMemUTF8(serverName);
            _ = OpenSsl.Control(layer.ssl, OpenSsl.ControlHostName, 0, (void*)name);
            Marshal.FreeCoTaskMem(name);
        }

        if (session != 0)
        {
            _ = OpenSsl.SetSession(layer.ssl, session);
        }

        OpenSsl.SetConnectState(layer.ssl);
        return layer;
    }

    /// <summary>Why the handshake failed.</summary>
    public string FailureReason { get; private set; } = "";

    public override bool MayReadMore => ssl != 0 && (state->IsDrained == 0 || OpenSsl.HasPending(ssl) != 0);

    public override void OnReadable()
    {
        // What is given next may come from what was read before: this is then all that says that the socket has more.
        if (ssl != 0)
        {
            state->IsDrained = 0;
        }
    }

    public enum Step
    {
        Done,
        WantsRead,
        WantsWrite,
        Failed,
    }

    /// <summary>One step of the handshake: as much of it as what has come allows.</summary>
    public Step Handshake()
    {
        if (ssl == 0)
        {
            FailureReason = "closed";
            return Step.Failed;
        }

        // What another connection left in the thread's queue of errors would be taken for one of this call.
        OpenSsl.ClearErrors();
        var result = OpenSsl.Handshake(ssl);
        if (result == 1)
        {
            isEstablished = true;
            return Step.Done;
        }

        switch (OpenSsl.GetError(ssl, result))
        {
            case OpenSsl.WantRead:
                return Step.WantsRead;
            case OpenSsl.WantWrite:
                return Step.WantsWrite;
            default:
                var verify = OpenSsl.GetVerifyResult(ssl);
                FailureReason = OpenSsl.TakeError() + (verify == 0 ? "" : $": {(verify == OpenSsl.ErrorApplicationVerification ? PeerVerification.LastMismatch : OpenSsl.Text(OpenSsl.VerifyErrorString(verify)))}");
                hasFailed = true;
                return Step.Failed;
        }
    }

    public override int Receive(byte* buffer, int length)
    {
        if (ssl == 0)
        {
            return -Native.Ecanceled;
        }

        OpenSsl.ClearErrors();
        return Result(OpenSsl.Read(ssl, buffer, length));
    }

    public override int Send(byte* buffer, int length)
    {
        if (ssl == 0)
        {
            return -Native.Ecanceled;
        }

        OpenSsl.ClearErrors();
        return Result(OpenSsl.Write(ssl, buffer, length));
    }

    int Result(int result)
    {
        if (result > 0)
        {
            return result;
        }

        switch (OpenSsl.GetError(ssl, result))
        {
            case OpenSsl.WantRead or OpenSsl.WantWrite:
                return -Native.Eagain;
            case OpenSsl.ZeroReturn:
                return 0;
            default:
                // Also an end without close_notify: what was cut off cannot be told from what was complete.
                OpenSsl.ClearErrors();
                hasFailed = true;
                return -Native.EconnReset;
        }
    }

    /// <summary>Whether the server is who it should be; asked once the handshake is done.</summary>
    public bool Accepts(Validation validation)
    {
        var peer = OpenSsl.GetPeerCertificate(ssl);
        if (peer == 0)
        {
            FailureReason = "the server showed no certificate";
            return false;
        }

        FailureReason = validation.Mismatch(peer) ?? "";
        OpenSsl.CertificateFree(peer);
        return FailureReason.Length == 0;
    }

    public TlsInfo Info()
    {
        byte* protocol = null;
        uint length = 0;
        OpenSsl.GetAlpn(ssl, &protocol, &length);
        var peer = OpenSsl.GetPeerCertificate(ssl);
        try
        {
            return new TlsInfo(
                OpenSsl.Text(OpenSsl.GetVersion(ssl)),
                OpenSsl.Text(OpenSsl.GetCipherName(OpenSsl.GetCipher(ssl))),
                length == 0 ? "" : Marshal.PtrToStringUTF8((nint)protocol, (int)length),
                context.Principal,
                peer == 0 ? null : PeerCertificate.Read(peer))
            {
                IsVerified = peer != 0 && context.ProvesPeers,
            };
        }
        finally
        {
            if (peer != 0)
            {
                OpenSsl.CertificateFree(peer);
            }
        }
    }

    /// <summary>The handshake was short: what the peers had agreed on before holds.</summary>
    public bool IsResumed => ssl != 0 && OpenSsl.IsReused(ssl) == 1;

    /// <summary>What the server gave to resume this connection with, or 0. The caller owns it.</summary>
    public nint TakeSession()
    {
        var session = ssl == 0 || !isEstablished ? 0 : OpenSsl.GetSession(ssl);
        if (session != 0 && OpenSsl.IsResumable(session) == 0)
        {
            OpenSsl.SessionFree(session);
            return 0;
        }

        return session;
    }

    public override void ShutdownWrite()
    {
        // After a failure OpenSSL must not be asked for more.
        if (ssl != 0 && isEstablished && !hasFailed)
        {
            OpenSsl.ClearErrors();
            _ = OpenSsl.Shutdown(ssl);
            OpenSsl.ClearErrors();
        }
    }

    public override void Dispose()
    {
        if (ssl != 0)
        {
            OpenSsl.Free(ssl);
            NativeMemory.Free(state);
            ssl = 0;
            state = null;
        }
    }
}
