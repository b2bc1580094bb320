using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Weir.Proxy.Matching;
using Weir.Proxy.Reactor;
using Weir.Proxy.Tls;

namespace Weir.Proxy.Tests;

/// <summary>Both sides of TLS on one thread, step by step.</summary>
public sealed class TlsSessionTests : IDisposable
{
    readonly TestCertificates certificates = new();
    readonly EventLoop loop = new(0, TimeProvider.System);
    readonly byte[] ticketKey = RandomNumberGenerator.GetBytes(80);

    public void Dispose()
    {
        certificates.Dispose();
        loop.Dispose();
    }

    static KeyPair Pair(X509Certificate2 certificate) => new(
        Encoding.ASCII.GetBytes(certificate.ExportCertificatePem()), Encoding.ASCII.GetBytes(certificate.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem()));

    TlsSettings Settings(bool requires) => new(0x0303, 0x0304, [], [], [], requires, true, ticketKey);

    Validation Trust => new(Encoding.ASCII.GetBytes(certificates.AuthorityPem), [], [], [], [], false, false);

    /// <summary>A connection after its handshake, or null when that failed.</summary>
    sealed class Pipe : IDisposable
    {
        readonly TcpSocket client;
        readonly TcpSocket server;

        public Pipe(EventLoop loop, TlsContext clientContext, TlsContext serverContext, nint session)
        {
            using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            listener.Listen();
            using var near = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            near.Connect(listener.LocalEndPoint!);
            using var far = listener.Accept();
            near.Blocking = far.Blocking = false;
            client = TcpSocket.Accepted(loop, Native.Duplicate((int)near.Handle))!;
            server = TcpSocket.Accepted(loop, Native.Duplicate((int)far.Handle))!;
            Client = TlsLayer.Connect(clientContext, client, "a.example", session);
            Server = TlsLayer.Accept(serverContext, server);
            var (clientStep, serverStep) = (TlsLayer.Step.WantsRead, TlsLayer.Step.WantsRead);
            while ((clientStep != TlsLayer.Step.Done || serverStep != TlsLayer.Step.Done) && clientStep != TlsLayer.Step.Failed && serverStep != TlsLayer.Step.Failed)
            {
                clientStep = clientStep == TlsLayer.Step.Done ? clientStep : Client.Handshake();
                serverStep = serverStep == TlsLayer.Step.Done ? serverStep : Server.Handshake();
            }

            IsDone = clientStep == TlsLayer.Step.Done && serverStep == TlsLayer.Step.Done;
        }

        public TlsLayer Client { get; }

        public TlsLayer Server { get; }

        /// <summary>The client's socket, which reads through its layer.</summary>
        public TcpSocket ClientSocket()
        {
            client.Attach(Client, mayRead: true);
            return client;
        }

        public bool IsDone { get; }

        /// <summary>After the handshake a server of TLS 1.3 sends what its sessions are resumed by; the client reads it with the first bytes.</summary>
        public unsafe nint Session()
        {
            byte one = 1;
            Assert.Equal(1, Server.Send(&one, 1));
            int read;
            while ((read = Client.Receive(&one, 1)) == -Native.Eagain)
            {
            }

            Assert.Equal(1, read);
            return Client.TakeSession();
        }

        public void Dispose()
        {
            Client.Dispose();
            Server.Dispose();
            client.Close();
            server.Close();
        }
    }

    static readonly string[] Kinds = ["nothing", "authorities", "revocations", "names", "kinds", "certificate pins", "key pins", "expired", "untrusted", "required"];

    public static TheoryData<string> Changes => new(Kinds);

    Validation Changed(string what) => what switch
    {
        "authorities" => Trust with { Authorities = Encoding.ASCII.GetBytes(certificates.AuthorityPem + "\n") },
        "revocations" => Trust with { RevocationLists = Encoding.ASCII.GetBytes(certificates.RevocationsPem()) },
        "names" => Trust with { Names = [new NameMatch(OpenSsl.NameDns, StringMatch.Exact("client.example"))] },
        "kinds" => Trust with { Names = [new NameMatch(0, StringMatch.Exact("client.example"))] },
        "certificate pins" => Trust with { Hashes = ["ab"] },
        "key pins" => Trust with { KeyHashes = ["ab"] },
        "expired" => Trust with { AllowsExpired = true },
        "untrusted" => Trust with { AcceptsUntrusted = true },
        _ => Trust,
    };

    [Theory]
    [MemberData(nameof(Changes))]
    public void A_session_is_resumed_only_where_the_same_is_asked_of_the_client(string what)
    {
        var shown = Pair(certificates.Issue("client.example"));
        var server = Pair(certificates.Issue("a.example"));
        var client = TlsContext.Client(Settings(false), shown, Trust);
        using var first = new Pipe(loop, client, TlsContext.Server(Settings(true), server, Trust), 0);
        var session = first.Session();
        Assert.NotEqual(0, session);

        using var second = new Pipe(loop, client, TlsContext.Server(Settings(what != "required"), server, Changed(what)), session);

        // A pin that the client does not have refuses it; before, the session let it in.
        Assert.Equal(!what.EndsWith("pins", StringComparison.Ordinal), second.IsDone);
        Assert.Equal(what == "nothing", second.Server.IsResumed);
        OpenSsl.SessionFree(session);
    }

    [Fact]
    public void Every_part_of_what_is_asked_is_part_of_its_fingerprint()
    {
        var all = Kinds.Where(c => c is not ("nothing" or "required")).Select(Changed).ToList();
        all.Add(Trust with { Hashes = ["a", "b"] });
        all.Add(Trust with { Hashes = ["ab", ""] });
        all.Add(Trust with { Hashes = ["a"], KeyHashes = ["b"] });
        all.Add(Trust);

        Assert.Equal(all.Count * 2, all.SelectMany(v => new[] { true, false }.Select(r => Convert.ToHexString(Validations.Fingerprint(v, r)))).Distinct().Count());

        // Of positional parameters, so that a new one is not forgotten.
        Assert.Equal(7, typeof(Validation).GetConstructors().Max(c => c.GetParameters().Length));
    }

    [Fact]
    public unsafe void An_error_that_another_connection_left_resets_nobody()
    {
        var server = TlsContext.Server(Settings(false), Pair(certificates.Issue("a.example")), null);
        using var pipe = new Pipe(loop, TlsContext.Client(Settings(false), null, null), server, 0);
        _ = pipe.Session();
        byte one;

        Assert.Equal(0, OpenSsl.ContextSetCipherList(server.Handle, "no-such-cipher"));
        var received = pipe.Client.Receive(&one, 1);
        Assert.Equal(0, OpenSsl.ContextSetCipherList(server.Handle, "no-such-cipher"));
        var sent = pipe.Client.Send(&one, 1);

        Assert.Equal((-Native.Eagain, 1), (received, sent));
        OpenSsl.ClearErrors();
    }

    [Fact]
    public unsafe void What_came_while_earlier_records_were_kept_back_is_not_forgotten()
    {
        using var pipe = new Pipe(
            loop, TlsContext.Client(Settings(false), null, null), TlsContext.Server(Settings(false), Pair(certificates.Issue("a.example")), null), 0);
        _ = pipe.Session();
        var socket = pipe.ClientSocket();
        Span<byte> bytes = stackalloc byte[1];
        fixed (byte* record = "abc"u8)
        {
            // Two records that are taken from the socket at once; the loop tells of a third when only the first has been given out.
            Assert.Equal((1, 1), (pipe.Server.Send(record, 1), pipe.Server.Send(record + 1, 1)));
            Assert.Equal(1, socket.Receive(bytes));
            Assert.Equal(1, pipe.Server.Send(record + 2, 1));
            socket.OnEvents(SocketEvents.Readable);
            Assert.Equal(1, socket.Receive(bytes));
        }

        Assert.True(socket.IsReadable);
        Assert.Equal(1, socket.Receive(bytes));
        Assert.Equal((byte)'c', bytes[0]);
    }

    [Fact]
    public void Pins_without_an_authority_let_in_those_who_are_pinned_and_nobody_else()
    {
        var shown = certificates.Issue("client.example");
        var pin = Convert.ToHexStringLower(SHA256.HashData(shown.RawData));
        var server = TlsContext.Server(Settings(true), Pair(certificates.Issue("a.example")), Trust with { Authorities = [], Hashes = [pin] });

        using var pinned = new Pipe(loop, TlsContext.Client(Settings(false), Pair(shown), null), server, 0);
        using var other = new Pipe(loop, TlsContext.Client(Settings(false), Pair(certificates.Issue("client.example")), null), server, 0);

        Assert.True(pinned.IsDone);
        Assert.False(other.IsDone);
        Assert.False((Trust with { Authorities = [], Hashes = [pin] }).OfChain().VerifiesChain);
        Assert.True((Trust with { Hashes = [pin] }).OfChain().VerifiesChain);
    }

    [Fact]
    public void Nothing_is_kept_for_a_host_that_is_gone()
    {
        var context = TlsContext.Client(Settings(false), null, null);
        using var pipe = new Pipe(loop, context, TlsContext.Server(Settings(false), Pair(certificates.Issue("a.example")), null), 0);
        var kept = new KeptSession();

        kept.Keep(pipe.Session(), context);
        Assert.NotEqual(0, kept.For(context));
        Assert.Equal(0, kept.For(TlsContext.Client(Settings(false), null, null)));
        kept.Retire();
        Assert.Equal(0, kept.For(context));

        // The last connection of the host ends after it.
        kept.Keep(pipe.Client.TakeSession(), context);
        Assert.Equal(0, kept.For(context));
    }
}
