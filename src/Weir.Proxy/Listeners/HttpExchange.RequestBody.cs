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
    bool isPumping;
    Task<bool>? pump;

    /// <summary>Copies what has come of the body behind the head.</summary>
    int TakeBody(Span<byte> room)
    {
        var available = Math.Min(connection.End - pumpStart, room.Length);
        var taken = requestBody.Advance(connection.Buffer.AsSpan(pumpStart, available));
        connection.Buffer.AsSpan(pumpStart, taken).CopyTo(room);
        pumpStart += taken;
        facts.BytesReceived = taken;
        return taken;
    }

    /// <summary>Sends the rest of the request's body while the answer may already be coming.</summary>
    /// <returns>Whether all of it was sent.</returns>
    async Task<bool> PumpAsync()
    {
        // The head's buffer stays as it is: the log still needs it.
        var socket = upstream!.Socket;
        pumpBuffer = loop.Buffers.Rent();
        pumpEnd = connection.End - pumpStart;
        if (pumpEnd > pumpBuffer.Length)
        {
            loop.Buffers.Return(pumpBuffer);
            pumpBuffer = GC.AllocateUninitializedArray<byte>(pumpEnd, pinned: true);
        }

        connection.Buffer.AsSpan(pumpStart, pumpEnd).CopyTo(pumpBuffer);
        connection.End = pumpStart;
        pumpStart = 0;
        while (true)
        {
            var taken = requestBody.Advance(pumpBuffer.AsSpan(pumpStart, pumpEnd - pumpStart));
            if (requestBody.IsBroken)
            {
                Abort(Cause.ClientProtocol);
                return false;
            }

            if (taken > 0 && await socket.WriteAsync(pumpBuffer.AsMemory(pumpStart, taken), IdleMilliseconds) < 0)
            {
                // The upstream wants no more; its answer may say why.
                return false;
            }

            pumpStart += taken;
            facts.BytesReceived += taken;
            if (requestBody.IsDone)
            {
                facts.RequestDoneTicks = Stopwatch.GetTimestamp();
                return true;
            }

            var read = await client.ReadAsync(pumpBuffer, IdleMilliseconds);
            if (read <= 0)
            {
                if (read != -Native.Ecanceled)
                {
                    Abort(read == -Native.EtimedOut ? Cause.StreamIdle : Cause.ClientGone);
                }

                return false;
            }

            pumpStart = 0;
            pumpEnd = read;
        }
    }

    /// <summary>Leaves what follows the request, if it was pipelined, as the beginning of the next.</summary>
    void AdvancePastRequest()
    {
        if (!isPumping)
        {
            connection.Start = request.Body == BodyKind.None ? connection.Start + request.Length : pumpStart;
            return;
        }

        loop.Buffers.Return(connection.Buffer!);
        connection.Buffer = pumpBuffer;
        connection.Start = pumpStart;
        connection.End = pumpEnd;
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
