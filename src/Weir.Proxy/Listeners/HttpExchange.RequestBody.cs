using System.Diagnostics;
using Weir.Proxy.Http1;
using Weir.Proxy.Reactor;
using Weir.Proxy.Upstream;

namespace Weir.Proxy.Listeners;

/// <summary>The request's body: what came with the head goes out with it, the rest is pumped while the answer may be coming.</summary>
sealed partial class HttpExchange
{
    byte[]? pumpBuffer;
    int pumpStart;
    int pumpEnd;

    /// <summary>There is more of the body than came with the head.</summary>
    bool isPumping;
    bool isPumpDone;
    bool isBodySent;
    Signal? pumpStarts;
    Signal? pumpEnds;
    FairShare? pumpShare;

    /// <summary>Copies what has come of the body behind the head.</summary>
    int TakeBody(Span<byte> room)
    {
        var available = Math.Min(input.End - pumpStart, room.Length);
        var taken = requestBody.Advance(input.Buffer.AsSpan(pumpStart, available));
        input.Buffer.AsSpan(pumpStart, taken).CopyTo(room);
        pumpStart += taken;
        facts.BytesReceived = taken;
        return taken;
    }

    /// <summary>Sends the rest of the request's body while the answer may already be coming.</summary>
    void BeginPumping()
    {
        isPumping = true;
        isPumpDone = isBodySent = false;
        if (pumpStarts is null)
        {
            pumpStarts = new Signal();
            pumpShare = new FairShare(loop);
            _ = PumpBodiesAsync();
        }
        else
        {
            pumpStarts.Complete();
        }
    }

    /// <returns>Whether all of the body was sent.</returns>
    async ValueTask<bool> PumpedAsync()
    {
        if (!isPumpDone)
        {
            pumpEnds = new Signal();
            await pumpEnds.WaitAsync();
            pumpEnds = null;
        }

        return isBodySent;
    }

    /// <summary>Of one request after the other, as long as the exchange is in use: so that none of them needs a task of its own.</summary>
    async Task PumpBodiesAsync()
    {
        while (true)
        {
            try
            {
                TakePumpBuffer();
                var socket = upstream!.Socket;
                while (NextPiece() is var taken and >= 0)
                {
                    if (taken > 0)
                    {
                        await pumpShare!.TakeAsync();
                        if (await socket.WriteAsync(pumpBuffer.AsMemory(pumpStart, taken), IdleMilliseconds) < 0)
                        {
                            // The upstream wants no more; its answer may say why.
                            break;
                        }
                    }

                    pumpStart += taken;
                    facts.BytesReceived += taken;
                    if (requestBody.IsDone)
                    {
                        facts.RequestDoneTicks = Stopwatch.GetTimestamp();
                        isBodySent = true;
                        break;
                    }

                    var read = await client.ReadAsync(pumpBuffer, IdleMilliseconds);
                    if (read <= 0)
                    {
                        Abort(read == -Native.Ecanceled ? Cause.None : read == -Native.EtimedOut ? Cause.StreamIdle : Cause.ClientGone);
                        break;
                    }

                    pumpStart = 0;
                    pumpEnd = read;
                }
            }
            catch (Exception e)
            {
                worker.Engine.Report(e);
                Abort(Cause.ClientGone);
            }

            // Whoever waits goes on at once, perhaps to the next body.
            pumpStarts!.Reset();
            isPumpDone = true;
            pumpEnds?.Complete();
            await pumpStarts.WaitAsync();
        }
    }

    /// <summary>The head's buffer stays as it is: the log still needs it.</summary>
    void TakePumpBuffer()
    {
        pumpBuffer = loop.Buffers.Rent();
        pumpEnd = input.End - pumpStart;
        if (pumpEnd > pumpBuffer.Length)
        {
            loop.Buffers.Return(pumpBuffer);
            pumpBuffer = GC.AllocateUninitializedArray<byte>(pumpEnd, pinned: true);
        }

        input.Buffer.AsSpan(pumpStart, pumpEnd).CopyTo(pumpBuffer);
        input.End = pumpStart;
        pumpStart = 0;
    }

    /// <returns>How much of what has come belongs to the body, or -1 if it is none.</returns>
    int NextPiece()
    {
        var taken = requestBody.Advance(pumpBuffer.AsSpan(pumpStart, pumpEnd - pumpStart));
        if (!requestBody.IsBroken)
        {
            return taken;
        }

        Abort(Cause.ClientProtocol);
        return -1;
    }

    /// <summary>Leaves what follows the request, if it was pipelined, as the beginning of the next.</summary>
    void AdvancePastRequest()
    {
        if (!isPumping)
        {
            input.Start = request.Body == BodyKind.None ? input.Start + request.Length : pumpStart;
            return;
        }

        loop.Buffers.Return(input.Buffer!);
        input.Buffer = pumpBuffer;
        input.Start = pumpStart;
        input.End = pumpEnd;
        pumpBuffer = null;
    }

    void ReleasePump()
    {
        if (pumpBuffer is { } held)
        {
            pumpBuffer = null;
            loop.Buffers.Return(held);
        }
    }
}
