using Weir.Proxy.Reactor;

namespace Weir.Proxy.Listeners;

/// <summary>
/// Bytes both ways between two sockets; the end of each direction is passed on. A buffer is held only while there is something in
/// it, and nothing is read before what was read is written: a slow reader slows the writer, and memory does not grow.
/// </summary>
sealed class Relay(EventLoop loop, AsyncSocket client, AsyncSocket upstream, int idleMilliseconds)
{
    public long FromClient { get; private set; }

    public long FromUpstream { get; private set; }

    /// <summary>Nothing moved for too long.</summary>
    public bool IsTimedOut { get; private set; }

    long lastMoved;

    public async ValueTask RunAsync()
    {
        lastMoved = loop.Now;
        var up = PumpAsync(client, upstream, isFromClient: true);
        await PumpAsync(upstream, client, isFromClient: false);
        await up;
    }

    async ValueTask PumpAsync(AsyncSocket from, AsyncSocket to, bool isFromClient)
    {
        var share = new FairShare(loop);
        while (true)
        {
            await share.TakeAsync();
            var ready = await from.WaitReadableAsync(idleMilliseconds);
            if (ready == -Native.EtimedOut && loop.Now - lastMoved < idleMilliseconds)
            {
                // The other direction is busy: the session is not idle.
                continue;
            }

            if (ready < 0)
            {
                IsTimedOut |= ready == -Native.EtimedOut;
                from.Close();
                to.Close();
                return;
            }

            var buffer = loop.Buffers.Rent();
            try
            {
                var read = await from.ReadAsync(buffer, idleMilliseconds);
                if (read == -Native.EtimedOut)
                {
                    // A layer may have taken bytes that were no content.
                    continue;
                }

                if (read == 0)
                {
                    to.ShutdownWrite();
                    return;
                }

                if (read < 0 || await to.WriteAsync(buffer.AsMemory(0, read), idleMilliseconds) < 0)
                {
                    // A reset is passed on as a reset: the other side must not take it for a complete stream.
                    from.Abort();
                    to.Abort();
                    return;
                }

                lastMoved = loop.Now;
                if (isFromClient)
                {
                    FromClient += read;
                }
                else
                {
                    FromUpstream += read;
                }
            }
            finally
            {
                loop.Buffers.Return(buffer);
            }
        }
    }
}
