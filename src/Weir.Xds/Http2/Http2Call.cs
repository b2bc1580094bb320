using System.Buffers.Binary;
using System.Globalization;

namespace Weir.Xds.Http2;

/// <summary>The server has said that pings come too often for it.</summary>
public sealed class TooManyPingsException() : IOException("the control plane finds that pings come too often");

/// <summary>
/// One gRPC call over an HTTP/2 connection of its own (RFC 9113): all that an xDS client needs, at a fraction of a general client's
/// memory, which every sidecar would pay. It tells the server to use no header table (SETTINGS_HEADER_TABLE_SIZE 0), which leaves of
/// HPACK the static table and Huffman coding. One task reads, one writes, one watches that the peer lives; none waits for another.
/// </summary>
public sealed class Http2Call : IAsyncDisposable
{
    const int StreamId = 1;
    const int MaximumBlock = HeaderBlockDecoder.MaximumFields;
    const string TooManyPings = "too_many_pings";

    /// <summary>How long what a server has said is read for after it takes nothing more.</summary>
    static readonly TimeSpan LastWords = TimeSpan.FromSeconds(1);

    readonly Stream transport;
    readonly TimeProvider time;
    readonly ICallHandler handler;
    readonly FrameWriter writer;
    readonly KeepAlive keepAlive;
    readonly MessageAssembler assembler = new();
    readonly byte[] header = new byte[Http2Frame.HeaderLength];
    readonly byte[] payload = new byte[Http2Frame.MaximumPayload];
    readonly List<byte> block = [];
    bool isInBlock;
    bool endsWithBlock;
    bool hasSettings;
    int? httpStatus;
    CallEnd? end;

    public Http2Call(Stream transport, ICallHandler handler, KeepAliveOptions options, TimeProvider time)
    {
        (this.transport, this.handler, this.time) = (transport, handler, time);
        writer = new FrameWriter(transport, handler, StreamId);
        keepAlive = new KeepAlive(options, time, writer.Ping);
    }

    /// <summary>The handler has a message to send that no message of the peer has brought about. Any thread may call it.</summary>
    public void Wake() => writer.Wake();

    /// <summary>Carries the call until the server ends it.</summary>
    /// <exception cref="IOException">The connection broke, or the peer is dead.</exception>
    /// <exception cref="InvalidDataException">The server does not keep to HTTP/2 or gRPC.</exception>
    public async Task<CallEnd> RunAsync(CallRequest request, CancellationToken cancel)
    {
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        var reading = ReadAsync(ending.Token);
        var writing = writer.RunAsync(CallOpening.Make(request, StreamId), ending.Token);
        var watching = keepAlive.RunAsync(ending.Token);
        var first = await Task.WhenAny(reading, writing, watching).ConfigureAwait(false);
        if (first == writing)
        {
            // A server that ends the call may close the connection at once, so that writing fails first; what it said before counts.
            await Task.WhenAny(reading, Task.Delay(LastWords, time, cancel)).ConfigureAwait(false);
            first = reading.IsFaulted ? reading : writing;
        }

        await ending.CancelAsync().ConfigureAwait(false);
        foreach (var task in new[] { reading, writing, watching })
        {
            await task.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        if (end is null)
        {
            await first.ConfigureAwait(false);
        }

        return end!;
    }

    async Task ReadAsync(CancellationToken cancel)
    {
        while (end is null)
        {
            await FillAsync(header, cancel).ConfigureAwait(false);
            var frame = Http2Frame.Parse(header);
            if (frame.Length > Http2Frame.MaximumPayload)
            {
                throw new InvalidDataException("the control plane's frame is larger than it may be; does it speak HTTP/2?");
            }

            await FillAsync(payload.AsMemory(0, frame.Length), cancel).ConfigureAwait(false);
            keepAlive.IsBusy = true;
            Handle(frame, payload.AsSpan(0, frame.Length));
            keepAlive.IsBusy = false;
        }
    }

    async Task FillAsync(Memory<byte> target, CancellationToken cancel)
    {
        if (await transport.ReadAtLeastAsync(target, target.Length, throwOnEndOfStream: false, cancel).ConfigureAwait(false) < target.Length)
        {
            throw new IOException("the control plane closed the connection");
        }
    }

    void Handle(Http2Frame frame, ReadOnlySpan<byte> data)
    {
        Check(frame);
        switch (frame.Type)
        {
            case FrameType.Data:
                OnData(frame, data);
                break;
            case FrameType.Headers:
                endsWithBlock = frame.Has(Http2Frame.EndStream);
                OnBlock(frame, frame.Content(data));
                break;
            case FrameType.Continuation:
                OnBlock(frame, data);
                break;
            case FrameType.Settings when !frame.Has(Http2Frame.Acknowledge):
                ApplySettings(data);
                writer.AcknowledgeSettings();
                break;
            case FrameType.Ping when !frame.Has(Http2Frame.Acknowledge):
                writer.AnswerPing(BinaryPrimitives.ReadUInt64BigEndian(data));
                break;
            case FrameType.WindowUpdate:
                writer.Grow(frame.Stream == 0, BinaryPrimitives.ReadInt32BigEndian(data) & int.MaxValue);
                break;
            case FrameType.ResetStream:
                throw new IOException($"the control plane reset the stream ({Http2Error.Name(BinaryPrimitives.ReadUInt32BigEndian(data))})");
            case FrameType.GoAway:
                OnGoAway(data);
                break;
        }
    }

    /// <summary>SETTINGS come first, and a header block is not interrupted.</summary>
    void Check(Http2Frame frame)
    {
        if (!frame.IsWellFormed(StreamId) || isInBlock != (frame.Type == FrameType.Continuation) || (!hasSettings && frame.Type != FrameType.Settings))
        {
            throw new InvalidDataException($"the control plane's {frame.Type} frame is not what it may send there");
        }

        hasSettings = true;
    }

    void OnData(Http2Frame frame, ReadOnlySpan<byte> data)
    {
        if (httpStatus is null)
        {
            throw new InvalidDataException("the control plane sends content before a head");
        }

        var content = frame.Content(data);
        while (content.Length > 0 && assembler.Add(ref content) is { } message)
        {
            handler.OnMessage(message);
            writer.Wake();
        }

        // Each message is dealt with before more is read, so that there is never more to hold than one, and what was read may come again.
        writer.Credit(frame.Length, frame.Length);
        if (frame.Has(Http2Frame.EndStream))
        {
            end = new CallEnd(httpStatus, null, assembler.IsPartial ? "in the middle of a message" : "");
        }
    }

    void OnBlock(Http2Frame frame, ReadOnlySpan<byte> fragment)
    {
        if (block.Count + fragment.Length > MaximumBlock)
        {
            throw new InvalidDataException("the control plane's header block is too large");
        }

        block.AddRange(fragment);
        isInBlock = !frame.Has(Http2Frame.EndHeaders);
        if (isInBlock)
        {
            // A fragment of nothing costs the sender little and could go on for ever.
            if (fragment.Length == 0)
            {
                throw new InvalidDataException("the control plane's header block has an empty piece");
            }

            return;
        }

        OnFields(HeaderBlockDecoder.Decode(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(block)));
        block.Clear();
    }

    void OnFields(List<(string Name, string Value)> fields)
    {
        const int firstFinal = 200;
        string? Find(string name) => fields.Find(f => f.Name == name).Value;
        if (httpStatus is null)
        {
            var status = Number(Find(":status")) ?? throw new InvalidDataException("the control plane's head has no status");
            if (status < firstFinal && !endsWithBlock)
            {
                return;
            }

            httpStatus = status;
        }

        var grpc = Number(Find("grpc-status"));
        if (endsWithBlock || httpStatus != firstFinal)
        {
            end = new CallEnd(httpStatus, grpc, GrpcMessage.Decode(Find("grpc-message") ?? ""));
        }
    }

    static int? Number(string? text) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;

    void ApplySettings(ReadOnlySpan<byte> data)
    {
        const int initialWindowSize = 4;
        for (; data.Length > 0; data = data[6..])
        {
            if (BinaryPrimitives.ReadUInt16BigEndian(data) == initialWindowSize)
            {
                writer.ChangeInitialWindow(BinaryPrimitives.ReadUInt32BigEndian(data[2..]));
            }
        }
    }

    /// <summary>A server that stops in an orderly way lets the stream go on until it ends it.</summary>
    static void OnGoAway(ReadOnlySpan<byte> data)
    {
        var last = BinaryPrimitives.ReadInt32BigEndian(data) & int.MaxValue;
        var code = BinaryPrimitives.ReadUInt32BigEndian(data[4..]);
        var reason = GrpcMessage.Printable(data[8..]);
        if (code == Http2Error.EnhanceYourCalm && reason == TooManyPings)
        {
            throw new TooManyPingsException();
        }

        if (code != Http2Error.None || last < StreamId)
        {
            throw new IOException($"the control plane closed the connection ({Http2Error.Name(code)}{(reason.Length > 0 ? $": {reason}" : "")})");
        }
    }

    public async ValueTask DisposeAsync()
    {
        await transport.DisposeAsync().ConfigureAwait(false);
        writer.Dispose();
    }
}
