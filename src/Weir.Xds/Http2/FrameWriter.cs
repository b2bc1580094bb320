using System.Buffers.Binary;

namespace Weir.Xds.Http2;

/// <summary>
/// All that a call sends: one task writes, so that nobody else ever waits for the socket; the reader in particular goes on reading,
/// which is what makes the peer's windows, and ours, open again. Answers that the peer can provoke are kept as counts and small bounded
/// lists, and go before messages.
/// </summary>
sealed class FrameWriter(Stream transport, ICallHandler handler, int stream) : IDisposable
{
    /// <summary>How much the peer may send before it is told that there is room again.</summary>
    public const int ReceiveWindow = 1024 * 1024;

    /// <summary>Room is told in pieces, not for each frame.</summary>
    const int LeastCredit = ReceiveWindow / 4;

    /// <summary>A peer that sends more PING or SETTINGS frames than are answered is flooding.</summary>
    const int MaximumAnswers = 32;

    const int PingLength = 8;
    const int ControlSpace = 2 * MaximumAnswers * (Http2Frame.HeaderLength + PingLength) + 1024;

    readonly Lock gate = new();
    readonly WakeUp wake = new();
    readonly SendWindow window = new();
    readonly Queue<ulong> pings = [];
    readonly byte[] buffer = new byte[ControlSpace + Http2Frame.HeaderLength + Http2Frame.MaximumPayload];
    int settingsToAcknowledge;
    int connectionCredit;
    int streamCredit;
    ulong? ownPing;
    byte[] message = [];
    int sent;

    /// <summary>Writes what there is to write until the token is cancelled or the transport fails.</summary>
    public async Task RunAsync(ReadOnlyMemory<byte> opening, CancellationToken cancel)
    {
        await transport.WriteAsync(opening, cancel).ConfigureAwait(false);
        await transport.FlushAsync(cancel).ConfigureAwait(false);
        while (true)
        {
            var length = Compose();
            if (length == 0)
            {
                await wake.WaitAsync(cancel).ConfigureAwait(false);
                continue;
            }

            await transport.WriteAsync(buffer.AsMemory(0, length), cancel).ConfigureAwait(false);
            await transport.FlushAsync(cancel).ConfigureAwait(false);
        }
    }

    /// <summary>There may be another message to send.</summary>
    public void Wake() => wake.Set();

    public void Ping(ulong content)
    {
        lock (gate)
        {
            ownPing = content;
        }

        wake.Set();
    }

    public void AnswerPing(ulong content) => Answer(() => pings.Enqueue(content));

    public void AcknowledgeSettings() => Answer(() => settingsToAcknowledge++);

    /// <summary>What has come was dealt with: the peer may send as much again.</summary>
    public void Credit(int connection, int ofStream)
    {
        bool isEnough;
        lock (gate)
        {
            connectionCredit += connection;
            streamCredit += ofStream;
            isEnough = connectionCredit >= LeastCredit || streamCredit >= LeastCredit;
        }

        if (isEnough)
        {
            wake.Set();
        }
    }

    public void Grow(bool isConnection, int by) => Change(() => window.Grow(isConnection, by));

    public void ChangeInitialWindow(uint size) => Change(() => window.ChangeInitial(size));

    void Answer(Action add)
    {
        lock (gate)
        {
            if (pings.Count + settingsToAcknowledge >= MaximumAnswers)
            {
                throw new InvalidDataException("the control plane sends PING or SETTINGS frames faster than it takes their answers");
            }

            add();
        }

        wake.Set();
    }

    void Change(Action change)
    {
        lock (gate)
        {
            change();
        }

        wake.Set();
    }

    /// <returns>How much of the buffer to write; 0 when there is nothing that may be sent.</returns>
    int Compose()
    {
        // The handler has a lock of its own, so it is not asked under this one.
        if (sent == message.Length)
        {
            (message, sent) = (handler.TryTakeMessage(out var next) ? next : [], 0);
        }

        lock (gate)
        {
            var at = ComposeControl_NeedsLock();
            var size = window.Take(Math.Min(Http2Frame.MaximumPayload, message.Length - sent));
            if (size > 0)
            {
                message.AsSpan(sent, size).CopyTo(Add(ref at, FrameType.Data, 0, stream, size));
                sent += size;
            }

            return at;
        }
    }

    int ComposeControl_NeedsLock()
    {
        var at = 0;
        for (; settingsToAcknowledge > 0; settingsToAcknowledge--)
        {
            Add(ref at, FrameType.Settings, Http2Frame.Acknowledge, 0, 0);
        }

        while (pings.TryDequeue(out var content))
        {
            BinaryPrimitives.WriteUInt64BigEndian(Add(ref at, FrameType.Ping, Http2Frame.Acknowledge, 0, PingLength), content);
        }

        if (ownPing is { } own)
        {
            BinaryPrimitives.WriteUInt64BigEndian(Add(ref at, FrameType.Ping, 0, 0, PingLength), own);
            ownPing = null;
        }

        AddCredit(ref at, 0, ref connectionCredit);
        AddCredit(ref at, stream, ref streamCredit);
        return at;
    }

    void AddCredit(ref int at, int id, ref int credit)
    {
        if (credit >= LeastCredit)
        {
            BinaryPrimitives.WriteInt32BigEndian(Add(ref at, FrameType.WindowUpdate, 0, id, sizeof(int)), credit);
            credit = 0;
        }
    }

    Span<byte> Add(ref int at, FrameType type, byte flags, int id, int length)
    {
        new Http2Frame(type, flags, id, length).WriteTo(buffer.AsSpan(at));
        var payload = buffer.AsSpan(at + Http2Frame.HeaderLength, length);
        at += Http2Frame.HeaderLength + length;
        return payload;
    }

    public void Dispose() => wake.Dispose();
}
