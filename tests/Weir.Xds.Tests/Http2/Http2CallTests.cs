using System.Buffers.Binary;
using System.Text;
using Envoy.Service.Discovery.V3;
using Weir.Xds.Client;
using Weir.Xds.Http2;
using Weir.Xds.Tests.Client;

namespace Weir.Xds.Tests.Http2;

/// <summary>The client against a server that is written frame by frame.</summary>
public sealed class Http2CallTests
{
    /// <summary>Frames as <c>type flags stream payload</c> in hexadecimal, after the settings and the head.</summary>
    [Theory]
    [InlineData("1 5 1 000b677270632d737461747573023136000c677270632d6d6573736167650862616425326d6521", "gRPC status 16 (UNAUTHENTICATED): bad%2me!")]
    [InlineData("1 5 1 000b677270632d7374617475730130", "the control plane closed the stream")]
    [InlineData("0 1 1 ", "the control plane closed the stream")]
    [InlineData("0 1 1 0000000005aa", "the control plane closed the stream: in the middle of a message")]
    [InlineData("3 0 1 0000000b", "the control plane reset the stream (ENHANCE_YOUR_CALM)")]
    [InlineData("7 0 0 00000000000000026f6f7073", "the control plane closed the connection (INTERNAL_ERROR: oops)")]
    [InlineData("7 0 0 0000000000000000", "the control plane closed the connection (NO_ERROR)")]
    [InlineData("0 0 1 0100000000", "the control plane's message is compressed or too large")]
    [InlineData("0 8 1 05aa", "too short for its padding")]
    [InlineData("0 0 3 ", "the control plane's Data frame is not what it may send there")]
    [InlineData("4 0 1 ", "the control plane's Settings frame is not what it may send there")]
    [InlineData("4 0 0 0004", "the control plane's Settings frame is not what it may send there")]
    [InlineData("4 0 0 0004ffffffff", "window is larger than it may be")]
    [InlineData("5 4 1 0000000288", "the control plane's PushPromise frame is not what it may send there")]
    [InlineData("6 0 0 00", "the control plane's Ping frame is not what it may send there")]
    [InlineData("8 0 0 00000000", "WINDOW_UPDATE is of 0 bytes")]
    [InlineData("8 0 1 7fffffff", "window is larger than it may be")]
    [InlineData("9 4 1 88", "the control plane's Continuation frame is not what it may send there")]
    [InlineData("1 0 1 88|6 0 0 0000000000000000", "the control plane's Ping frame is not what it may send there")]
    [InlineData("1 0 1 88|9 0 1 ", "the control plane's header block has an empty piece")]
    [InlineData("1 5 1 be", "refers to a table that it was told not to use")]
    public async Task The_end_of_a_stream_is_explained(string frames, string line)
    {
        using var peer = new ScriptedPeer();
        await using var run = new ClientRun(peer.Address);
        using var connection = await peer.AcceptAsync();
        await connection.OpenAsync();
        foreach (var frame in frames.Split('|'))
        {
            var parts = frame.Split(' ');
            await connection.WriteAsync((FrameType)int.Parse(parts[0]), byte.Parse(parts[1]), int.Parse(parts[2]), Convert.FromHexString(parts[3]));
        }

        await run.Log.HasAsync(line);
        using var again = await peer.AcceptAsync();
    }

    [Theory]
    [InlineData("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "does it speak HTTP/2?")]
    [InlineData("", "the control plane closed the connection")]
    public async Task A_server_without_HTTP_2_is_recognised(string answer, string line)
    {
        using var peer = new ScriptedPeer();
        await using var run = new ClientRun(peer.Address);
        using (var connection = await peer.AcceptAsync())
        {
            await connection.ReadToAsync(FrameType.Headers);
            await connection.WriteRawAsync(Encoding.ASCII.GetBytes(answer));
        }

        await run.Log.HasAsync(line);
    }

    [Fact]
    public async Task An_orderly_goaway_lets_the_stream_go_on()
    {
        using var peer = new ScriptedPeer();
        await using var run = new ClientRun(peer.Address);
        using var connection = await peer.AcceptAsync();
        await connection.OpenAsync();
        await connection.WriteAsync(FrameType.GoAway, 0, 0, [0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        await SendAsync(connection, new DeltaDiscoveryResponse { TypeUrl = XdsTypes.Cluster, Nonce = "1" });
        await connection.WriteAsync(FrameType.Data, Http2Frame.EndStream, 1, []);

        await run.Log.HasAsync("the control plane closed the stream");
        Assert.Equal(1, run.Client.Status.Responses);
    }

    [Fact]
    public async Task Pings_and_settings_are_answered_while_messages_wait_for_their_window()
    {
        using var peer = new ScriptedPeer();
        await using var run = new ClientRun(peer.Address);
        using var connection = await peer.AcceptAsync();
        await connection.OpenAsync(window: 0);
        await connection.ReadToAsync(FrameType.Settings, isAnswer: true);
        await connection.WriteAsync(FrameType.Ping, 0, 0, [1, 2, 3, 4, 5, 6, 7, 8]);

        Assert.Equal([1, 2, 3, 4, 5, 6, 7, 8], await connection.ReadToAsync(FrameType.Ping, isAnswer: true));
    }

    /// <summary>It sends more than two windows before it reads anything, as long as it is told that there is room; and lets us send a byte at a time.</summary>
    [Fact]
    public async Task A_server_that_writes_before_it_reads_does_not_stop_the_client()
    {
        const int resources = 60;
        using var peer = new ScriptedPeer();
        await using var run = new ClientRun(peer.Address);
        using var connection = await peer.AcceptAsync();
        await connection.OpenAsync(window: 1);
        var response = new DeltaDiscoveryResponse { TypeUrl = XdsTypes.Cluster, Nonce = "1" };
        for (var i = 0; i < resources; i++)
        {
            response.Resources.Add(new Resource { Name = $"c{i}", Version = "1", Resource_ = new() { TypeUrl = XdsTypes.Cluster, Value = Large($"c{i}") } });
        }

        var room = 1024 * 1024;
        var message = GrpcFraming.Encode(response);
        for (var at = 0; at < message.Length;)
        {
            var piece = message[at..Math.Min(at + Http2Frame.MaximumPayload, message.Length)];
            while (room < piece.Length)
            {
                room += BinaryPrimitives.ReadInt32BigEndian(await connection.ReadToAsync(FrameType.WindowUpdate, id: 1));
            }

            await connection.WriteAsync(FrameType.Data, 0, 1, piece);
            room -= piece.Length;
            at += piece.Length;
        }

        await run.Sink.IncludesAsync(XdsTypes.Cluster, $"c{resources - 1}");
        Assert.True(message.Length > 3 * 1024 * 1024);

        // Byte by byte it is let say what it has to: the last thing is the acknowledgement.
        byte[] grant = [0, 0, 4, (byte)FrameType.WindowUpdate, 0, 0, 0, 0, 1, 0, 0, 0, 1];
        await connection.WriteRawAsync([.. Enumerable.Repeat(grant, 1000).SelectMany(g => g)]);
        while (!Requests(connection.Content).Any(r => r.ResponseNonce == "1"))
        {
            await connection.ReadFrameAsync();
        }
    }

    /// <summary>The whole requests in this content.</summary>
    static IEnumerable<DeltaDiscoveryRequest> Requests(List<byte> content)
    {
        var octets = content.ToArray();
        for (var at = 0; at + 5 <= octets.Length;)
        {
            var length = BinaryPrimitives.ReadInt32BigEndian(octets.AsSpan(at + 1));
            if (at + 5 + length > octets.Length)
            {
                yield break;
            }

            yield return DeltaDiscoveryRequest.Parser.ParseFrom(octets, at + 5, length);
            at += 5 + length;
        }
    }

    static Google.Protobuf.ByteString Large(string name) => Google.Protobuf.ByteString.CopyFrom(
        [0x0a, (byte)name.Length, .. Encoding.ASCII.GetBytes(name), 0xe2, 0x01, 0x80, 0x80, 0x04, .. new byte[64 * 1024]]);

    static async Task SendAsync(ScriptedPeer.Connection connection, DeltaDiscoveryResponse response) =>
        await connection.WriteAsync(FrameType.Data, 0, 1, GrpcFraming.Encode(response));

    [Fact]
    public async Task A_server_that_never_reads_is_given_up_before_its_answers_fill_the_memory()
    {
        using var peer = new ScriptedPeer();
        await using var run = new ClientRun(peer.Address);
        using var connection = await peer.AcceptAsync();
        await connection.OpenAsync(window: 0);
        var sent = 0;
        try
        {
            while (run.Log.Lines.Count == 0)
            {
                await SendAsync(connection, new DeltaDiscoveryResponse { TypeUrl = XdsTypes.Cluster, Nonce = $"{++sent}" });
            }
        }
        catch (IOException)
        {
            // The client has closed.
        }

        Assert.InRange(sent, 1025, 100_000);

        await run.Log.HasAsync("sends responses and reads no answers");
    }

    [Fact]
    public async Task A_flood_of_pings_ends_the_connection()
    {
        using var peer = new ScriptedPeer();
        await using var run = new ClientRun(peer.Address);
        using var connection = await peer.AcceptAsync();
        await connection.OpenAsync();
        byte[] ping = [0, 0, 8, (byte)FrameType.Ping, 0, 0, 0, 0, 0, .. new byte[8]];
        byte[] pings = [.. Enumerable.Repeat(ping, 100).SelectMany(p => p)];
        try
        {
            // It reads none of the answers; the socket's buffers take a while to fill.
            while (run.Log.Lines.Count == 0)
            {
                await connection.WriteRawAsync(pings);
            }
        }
        catch (IOException)
        {
            // The client has closed.
        }

        await run.Log.HasAsync("faster than it takes their answers");
    }
}
