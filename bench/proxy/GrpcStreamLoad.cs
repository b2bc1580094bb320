using System.Diagnostics;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Bench;

/// <summary>One call of gRPC that streams both ways: so many messages of 1 KiB are on their way, and each that comes back sends the next.</summary>
sealed class GrpcStreamLoad : Http2Peer
{
    /// <summary>With the five octets before each message: its length, not compressed.</summary>
    static readonly byte[] Message = [0, 0, 0, 4, 0, .. Enumerable.Repeat((byte)'x', 1024)];

    const int Stream = 1;
    const int OnTheirWay = 32;

    readonly LoadResult result = new();
    readonly ManualResetEventSlim ended = new();
    readonly long end;
    long sent;
    int window;
    int received;
    bool isConnected;
    bool hasEnded;

    GrpcStreamLoad(EventLoop loop, TimeSpan duration)
        : base(loop) => end = Stopwatch.GetTimestamp() + (long)(duration.TotalSeconds * Stopwatch.Frequency);

    /// <summary>Blocks the caller, not the loop.</summary>
    public static LoadResult Run(EventLoop loop, SocketAddressV4 target, TimeSpan duration)
    {
        var watch = Stopwatch.StartNew();
        var load = new GrpcStreamLoad(loop, duration);
        loop.Post(() => load.Socket = TcpSocket.Connect(loop, target, load));
        if (!load.ended.Wait(duration + TimeSpan.FromSeconds(10)))
        {
            load.result.Failures++;
            loop.Post(load.Close);
            load.ended.Wait();
        }

        load.result.Requests = load.result.Bytes / Message.Length;
        load.result.Elapsed = watch.Elapsed;
        return load.result;
    }

    public override void OnReady()
    {
        if (!isConnected)
        {
            if (Socket?.ConnectResult is not 0)
            {
                if (Socket?.ConnectResult != -Native.Einprogress)
                {
                    result.Failures++;
                    Close();
                }

                return;
            }

            isConnected = true;
            Begin(isServer: false);
            window = InitialWindow;
            WriteHeaders(Stream, FieldBlocks.GrpcCall, isEnd: false);
            Send();
        }

        base.OnReady();
    }

    void Send()
    {
        while (!hasEnded && sent - (result.Bytes / Message.Length) < OnTheirWay)
        {
            if (Stopwatch.GetTimestamp() >= end)
            {
                hasEnded = true;
                WriteData(Stream, [], isEnd: true);
                return;
            }

            if (Math.Min(window, ConnectionWindow) < Message.Length)
            {
                return;
            }

            window -= Message.Length;
            sent++;
            WriteData(Stream, Message, isEnd: false);
        }
    }

    protected override void OnHeaders(int stream, bool isEnd)
    {
        // The answer's trailers: after all that was sent has come back.
        if (isEnd)
        {
            result.Failures += sent - (result.Bytes / Message.Length);
            Close();
        }
    }

    protected override void OnData(int stream, ReadOnlySpan<byte> content, bool isEnd)
    {
        result.Bytes += content.Length;
        received += content.Length;
        if (received >= UpdateAfter)
        {
            WriteWindowUpdate(Stream, received);
            received = 0;
        }

        Send();
    }

    protected override void OnReset(int stream)
    {
        result.Failures++;
        Close();
    }

    protected override void OnWindow(int stream, int increment)
    {
        window += stream == Stream ? increment : 0;
        Send();
    }

    protected override void Close()
    {
        base.Close();
        ended.Set();
    }
}
