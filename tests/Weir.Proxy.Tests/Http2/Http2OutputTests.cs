using System.Net;
using System.Net.Sockets;
using Weir.Proxy.Http2;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Tests.Http2;

public class Http2OutputTests
{
    /// <summary>Like TLS when the socket is full: what it was offered it has encrypted, and will write whatever it is offered next.</summary>
    sealed unsafe class FullOnce : SocketLayer
    {
        byte[]? encrypted;
        bool wasFull;

        public List<byte> Written { get; } = [];

        public override bool MayReadMore => false;

        public override void OnReadable()
        {
        }

        public override int Receive(byte* buffer, int length) => -Native.Eagain;

        public override int Send(byte* buffer, int length)
        {
            var offered = new ReadOnlySpan<byte>(buffer, length).ToArray();
            if (!wasFull)
            {
                wasFull = true;
                encrypted = offered;
                return -Native.Eagain;
            }

            var written = encrypted ?? offered;
            encrypted = null;
            Written.AddRange(written);
            return written.Length;
        }

        public override void ShutdownWrite()
        {
        }

        public override void Dispose()
        {
        }
    }

    [Fact]
    public void What_was_offered_to_the_socket_does_not_change_when_the_stream_ends()
    {
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        using var client = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        client.Connect(listener.LocalEndPoint!);
        using var accepted = listener.Accept();
        using var loop = new EventLoop(0, TimeProvider.System);
        var socket = TcpSocket.Accepted(loop, (int)accepted.Handle)!;
        var layer = new FullOnce();
        socket.Attach(layer, mayRead: false);
        var output = new Http2Output(loop, socket, 1000);

        output.Data(1, "hello"u8);
        output.Flush();
        output.EndOfStream(1);
        socket.OnEvents(SocketEvents.Writable);
        while (output.Pending > 0)
        {
            Assert.True(output.Flush());
        }

        ReadOnlySpan<byte> written = layer.Written.ToArray();
        var isEnded = false;
        while (FrameHeader.TryRead(written, out var frame))
        {
            Assert.False(isEnded);
            isEnded = frame.IsEndStream;
            written = written[(FrameHeader.Size + frame.Length)..];
        }

        Assert.True(isEnded);
    }
}
