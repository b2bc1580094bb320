using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Weir.Xds.Http2;
using Weir.Xds.Transport;

namespace Weir.Xds.Tests.Http2;

/// <summary>A server of which a test writes each frame.</summary>
sealed class ScriptedPeer : IDisposable
{
    readonly TcpListener listener = new(IPAddress.Loopback, 0);

    public ScriptedPeer()
    {
        // Connections inherit it: what the test does not read soon fills it.
        listener.Server.ReceiveBufferSize = 4096;
        listener.Start();
    }

    public XdsServer Address => new([XdsAddress.Tcp("127.0.0.1", ((IPEndPoint)listener.LocalEndpoint).Port)], null, "xds.test");

    /// <summary>The next connection, its preface read.</summary>
    public async Task<Connection> AcceptAsync()
    {
        var connection = new Connection((await listener.AcceptTcpClientAsync().WaitAsync(TimeSpan.FromSeconds(30))).GetStream());
        var preface = new byte[24];
        await connection.ReadAsync(preface);
        Assert.StartsWith("PRI * HTTP/2.0", Encoding.ASCII.GetString(preface), StringComparison.Ordinal);
        return connection;
    }

    public void Dispose() => listener.Dispose();

    internal sealed class Connection(NetworkStream stream) : IDisposable
    {
        /// <summary>A response's head: status 200 and nothing else.</summary>
        static readonly byte[] Ok = [0x88];

        public Task ReadAsync(byte[] target) => stream.ReadExactlyAsync(target).AsTask().WaitAsync(TimeSpan.FromSeconds(30));

        /// <summary>All the content that has been read.</summary>
        public List<byte> Content { get; } = [];

        public async Task<(FrameType Type, byte Flags, int Stream, byte[] Payload)> ReadFrameAsync()
        {
            var header = new byte[Http2Frame.HeaderLength];
            await ReadAsync(header);
            var frame = Http2Frame.Parse(header);
            var payload = new byte[frame.Length];
            await ReadAsync(payload);
            if (frame.Type == FrameType.Data)
            {
                Content.AddRange(payload);
            }

            return (frame.Type, frame.Flags, frame.Stream, payload);
        }

        /// <summary>Reads on to a frame of this type that is no answer to one of ours, or is one.</summary>
        public async Task<byte[]> ReadToAsync(FrameType type, bool isAnswer = false, int? id = null)
        {
            while (true)
            {
                var (found, flags, stream, payload) = await ReadFrameAsync();
                if (found == type && (id ?? stream) == stream && (flags & Http2Frame.Acknowledge) != 0 == isAnswer)
                {
                    return payload;
                }
            }
        }

        public async Task WriteAsync(FrameType type, byte flags, int id, byte[] payload)
        {
            var frame = new byte[Http2Frame.HeaderLength + payload.Length];
            new Http2Frame(type, flags, id, payload.Length).WriteTo(frame);
            payload.CopyTo(frame, Http2Frame.HeaderLength);
            await stream.WriteAsync(frame);
        }

        public Task WriteRawAsync(byte[] octets) => stream.WriteAsync(octets).AsTask();

        public async Task OpenAsync(uint? window = null)
        {
            var settings = new byte[window is null ? 0 : 6];
            if (window is { } size)
            {
                settings[1] = 4;
                BinaryPrimitives.WriteUInt32BigEndian(settings.AsSpan(2), size);
            }

            await WriteAsync(FrameType.Settings, 0, 0, settings);
            await WriteAsync(FrameType.Headers, Http2Frame.EndHeaders, 1, Ok);
        }

        public void Dispose() => stream.Dispose();
    }
}
