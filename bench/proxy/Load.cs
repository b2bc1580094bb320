using System.Diagnostics;
using System.Text;
using Weir.Proxy.Reactor;
using Weir.Proxy.Tls;

namespace Weir.Proxy.Bench;

/// <summary>A load of one loop's connections.</summary>
sealed class Load(EventLoop loop)
{
    readonly HandshakeQueue handshakes = new(loop, HandshakeLimits.Default);
    readonly Schedule schedule = new(loop);

    /// <summary>Runs for so long; blocks the caller, not the loop.</summary>
    public LoadResult Run(LoadPlan plan, TimeSpan duration)
    {
        var result = new LoadResult();
        var done = new CountdownEvent(plan.Connections);
        var end = Stopwatch.GetTimestamp() + (long)(duration.TotalSeconds * Stopwatch.Frequency);
        loop.Post(() =>
        {
            for (var i = 0; i < plan.Connections; i++)
            {
                _ = ClientAsync(plan, i, end, result, done);
            }
        });
        done.Wait();
        result.Elapsed = duration;
        return result;
    }

    /// <summary>Connections that have made one request each and stay open until disposed of.</summary>
    public IDisposable HoldOpen(LoadPlan plan, out LoadResult result)
    {
        var sockets = new List<AwaitableSocket>();
        var outcome = result = new LoadResult();
        var done = new CountdownEvent(plan.Connections);
        loop.Post(() => _ = OpenAllAsync());
        async Task OpenAllAsync()
        {
            for (var i = 0; i < plan.Connections; i++)
            {
                if (await OpenAsync(plan) is { } socket && await AskAsync(socket, Request(plan), new byte[64 * 1024], outcome))
                {
                    sockets.Add(socket);
                }
                else
                {
                    outcome.Failures++;
                }

                done.Signal();
            }
        }

        done.Wait();
        return new Held(loop, sockets);
    }

    sealed class Held(EventLoop loop, List<AwaitableSocket> sockets) : IDisposable
    {
        public void Dispose()
        {
            using var done = new ManualResetEventSlim();
            loop.Post(() =>
            {
                sockets.ForEach(s => s.Close());
                done.Set();
            });
            done.Wait();
        }
    }

    static byte[] Request(LoadPlan plan) => Encoding.ASCII.GetBytes($"GET {plan.Path} HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n");

    async Task ClientAsync(LoadPlan plan, int index, long end, LoadResult result, CountdownEvent done)
    {
        var request = Request(plan);
        var buffer = new byte[64 * 1024];
        var message = new byte[plan.MessageBytes];
        AwaitableSocket? socket = null;
        var interval = plan.Rate > 0 ? Stopwatch.Frequency * plan.Connections / plan.Rate : 0;
        var due = Stopwatch.GetTimestamp() + (interval * index / plan.Connections);
        var pause = new Pause(schedule);
        while (Stopwatch.GetTimestamp() < end && !plan.Stop.IsCancellationRequested)
        {
            if (interval > 0)
            {
                await pause.UntilAsync((long)due);
            }

            var start = interval > 0 ? (long)due : Stopwatch.GetTimestamp();
            due += interval;
            socket ??= await OpenAsync(plan);
            var isGood = socket is not null && (plan.HandshakeOnly
                || (plan.MessageBytes > 0 ? await EchoAsync(socket, message, buffer, result) : await AskAsync(socket, request, buffer, result)));
            if (isGood)
            {
                result.Requests++;
                if (plan.KeepsLatencies)
                {
                    result.Latencies.Add((int)Stopwatch.GetElapsedTime(start).TotalMicroseconds);
                    if (plan.KeepsTimes)
                    {
                        result.Times.Add(Stopwatch.GetTimestamp());
                    }
                }
            }
            else
            {
                result.Failures++;
            }

            if (!isGood || plan.NewConnectionEach || plan.HandshakeOnly)
            {
                socket?.Close();
                socket = null;
            }
        }

        socket?.Close();
        done.Signal();
    }

    async ValueTask<AwaitableSocket?> OpenAsync(LoadPlan plan)
    {
        var socket = new AwaitableSocket(loop);
        if (await socket.ConnectAsync(plan.Target, 5000) < 0
            || (plan.Tls is { } tls && await socket.SecureAsync(handshakes, tls, isServer: false, 5000) < 0))
        {
            socket.Close();
            return null;
        }

        return socket;
    }

    /// <summary>One request; the answer's length is read from its head.</summary>
    static async ValueTask<bool> AskAsync(AwaitableSocket socket, byte[] request, byte[] buffer, LoadResult result)
    {
        if (await socket.WriteAsync(request, 10_000) < 0)
        {
            return false;
        }

        var have = 0;
        long left = -1;
        while (left != 0)
        {
            var read = await socket.ReadAsync(buffer.AsMemory(have), 10_000);
            if (read <= 0)
            {
                return false;
            }

            if (left > 0)
            {
                left -= read;
                result.Bytes += read;
                continue;
            }

            have += read;
            var head = buffer.AsSpan(0, have).IndexOf("\r\n\r\n"u8);
            if (head >= 0)
            {
                if (!buffer.AsSpan(9, 3).SequenceEqual("200"u8))
                {
                    return false;
                }

                left = LengthOf(buffer.AsSpan(0, head)) - (have - head - 4);
                result.Bytes += have;
                have = 0;
            }
        }

        return true;
    }

    static long LengthOf(ReadOnlySpan<byte> head)
    {
        var name = "content-length: "u8;
        for (var at = 0; at + name.Length < head.Length; at++)
        {
            if ((head[at] | 0x20) == 'c' && System.Text.Ascii.EqualsIgnoreCase(head.Slice(at, name.Length), name)
                && System.Buffers.Text.Utf8Parser.TryParse(head[(at + name.Length)..], out long length, out _))
            {
                return length;
            }
        }

        return 0;
    }

    static async ValueTask<bool> EchoAsync(AwaitableSocket socket, byte[] message, byte[] buffer, LoadResult result)
    {
        if (await socket.WriteAsync(message, 10_000) < 0)
        {
            return false;
        }

        for (var left = message.Length; left > 0;)
        {
            var read = await socket.ReadAsync(buffer, 10_000);
            if (read <= 0)
            {
                return false;
            }

            left -= read;
        }

        result.Bytes += message.Length * 2;
        return true;
    }
}
