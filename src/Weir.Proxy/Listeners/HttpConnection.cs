using Weir.Proxy.Http1;
using Weir.Proxy.Reactor;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Upstream;

namespace Weir.Proxy.Listeners;

/// <summary>
/// A client's connection: reads the heads of requests and has each served, one after the other. Between requests it holds neither
/// buffer nor exchange, so that idle connections cost little.
/// </summary>
sealed class HttpConnection(Worker worker, AsyncSocket client, Downstream downstream, string listenerName, FilterChain chain)
    : Connection
{
    HttpExchange? exchange;
    bool isIdle;
    bool isEnding;
    bool isRetired;
    int requests;

    public AsyncSocket Client => client;
    public Downstream Downstream => downstream;
    public HttpOptions Options => chain.Http!;
    public override string ListenerName => listenerName;
    public override FilterChain Chain => chain;

    /// <summary>What has been read and not yet served lies from <see cref="Start"/> to <see cref="End"/>.</summary>
    public byte[]? Buffer;
    public int Start;
    public int End;

    /// <summary>The last request has been taken: its answer tells the client so.</summary>
    public bool IsLast => isEnding || isRetired || worker.IsDraining || (Options.MaximumRequestsPerConnection > 0 && requests >= Options.MaximumRequestsPerConnection);

    public bool IsInbound => chain.IsInbound;

    /// <summary>The counters of requests with this client's proven identity.</summary>
    public StatsScope ScopeFor(StatsScope scope)
    {
        var tls = downstream.Tls!;
        if (tls.Scope.Key != scope)
        {
            tls.Scope = new(scope, worker.Engine.Stats.Get(scope.Labels with { SourcePrincipal = downstream.Principal, DestinationPrincipal = tls.LocalPrincipal, IsMutualTls = true }));
        }

        return tls.Scope.Value;
    }

    public override void Begin() => _ = RunAsync();

    public override void Drain()
    {
        isEnding = true;

        // The request of a connection that has not had one yet is most likely on its way.
        if (isIdle && requests > 0)
        {
            client.Close();
        }
    }

    public override void Retire() => isRetired = true;

    /// <summary>Ends the connection when it has been open for as long as it may be.</summary>
    sealed class Lifetime(HttpConnection connection) : TimerEntry
    {
        public override void OnDue() => connection.Drain();
    }

    async Task RunAsync()
    {
        if (Options.MaximumConnectionMilliseconds > 0)
        {
            worker.Loop.Timers.Set(new Lifetime(this), worker.Loop.Now + Options.MaximumConnectionMilliseconds);
        }

        try
        {
            while (true)
            {
                if (Start == End)
                {
                    if ((isEnding || worker.IsDraining) && requests > 0)
                    {
                        return;
                    }

                    Release();
                    isIdle = true;
                    var ready = await client.WaitReadableAsync(Options.ConnectionIdleMilliseconds);
                    isIdle = false;
                    if (ready < 0)
                    {
                        return;
                    }
                }

                var length = await ReadHeadAsync();
                if (length == 0)
                {
                    return;
                }

                requests++;
                exchange ??= worker.RentExchange(this);
                var step = length > 0 ? exchange.Begin(length) : exchange.Refuse(length switch
                {
                    HeadTimedOut => Cause.HeadTimeout,
                    HeadMalformed => Cause.ClientProtocol,
                    _ => Cause.RequestHeadTooLarge,
                });

                // The usual way of a request is steps of the exchange around waits that are made here, in the one state machine that
                // lives as long as the connection: so no request needs one of its own.
                while (step != Step.Done)
                {
                    step = step == Step.Waits ? exchange.Resume(await exchange.WaitAsync()) : await exchange.RestAsync();
                }

                if (!exchange.KeepsAlive)
                {
                    return;
                }
            }
        }
        catch (Exception e)
        {
            worker.Engine.Report(e);
        }
        finally
        {
            client.Close();
            Release();
            worker.Remove(this);
        }
    }

    const int HeadTooLarge = -1;
    const int HeadTimedOut = -2;
    const int HeadMalformed = -3;

    /// <returns>The head's length; 0 when there will be none; or one of the negative constants.</returns>
    ValueTask<int> ReadHeadAsync()
    {
        // The head is most often there in one piece.
        Buffer ??= worker.Loop.Buffers.RentSmall();
        if (Start == End)
        {
            var read = client.ReadAsync(Buffer.AsMemory(End), Options.HeadMilliseconds);
            if (!read.IsCompletedSuccessfully)
            {
                return ReadMoreAsync(read, hasFirst: true, 0);
            }

            var count = read.Result;
            if (count <= 0)
            {
                return new ValueTask<int>(0);
            }

            End += count;
        }

        SkipEmptyLines();
        var length = HeadParser.FindEnd(Buffer.AsSpan(Start, End - Start), 0);
        return length > 0 ? new ValueTask<int>(Checked(length))
            : HeadParser.HasLoneLineFeed(Buffer.AsSpan(Start, End - Start)) ? new ValueTask<int>(HeadMalformed)
            : ReadMoreAsync(default, hasFirst: false, End - Start);
    }

    async ValueTask<int> ReadMoreAsync(ValueTask<int> first, bool hasFirst, int searched)
    {
        // However slowly the bytes come, the head must be there in time.
        var deadline = worker.Loop.Now + Options.HeadMilliseconds;
        while (true)
        {
            if (End == Buffer!.Length && !hasFirst && !MakeRoom())
            {
                return HeadTooLarge;
            }

            var left = Options.HeadMilliseconds == 0 ? 0 : (int)Math.Max(deadline - worker.Loop.Now, 1);
            var read = hasFirst ? await first : await client.ReadAsync(Buffer.AsMemory(End), left);
            hasFirst = false;
            if (read <= 0)
            {
                return read == -Native.EtimedOut && Start != End ? HeadTimedOut : 0;
            }

            End += read;
            if (SkipEmptyLines())
            {
                searched = 0;
            }

            var length = HeadParser.FindEnd(Buffer.AsSpan(Start, End - Start), searched);
            if (length > 0)
            {
                return Checked(length);
            }

            searched = End - Start;
            if (HeadParser.HasLoneLineFeed(Buffer.AsSpan(Start, searched)))
            {
                return HeadMalformed;
            }
        }
    }

    int Checked(int length) => length > Options.MaximumHeadBytes ? HeadTooLarge : length;

    /// <summary>Also those of which a part has been looked at before.</summary>
    bool SkipEmptyLines()
    {
        var skipped = HeadParser.LeadingEmptyLines(Buffer.AsSpan(Start, End - Start));
        Start += skipped;
        return skipped > 0;
    }

    /// <summary>Moves what is there to the front, or to a larger buffer, up to the listener's limit for a head.</summary>
    bool MakeRoom()
    {
        if (Start > 0)
        {
            Buffer.AsSpan(Start, End - Start).CopyTo(Buffer);
            End -= Start;
            Start = 0;
            return true;
        }

        if (Buffer!.Length >= Options.MaximumHeadBytes)
        {
            return false;
        }

        var larger = Buffer.Length < BufferPool.BufferSize ? worker.Loop.Buffers.Rent()
            : GC.AllocateUninitializedArray<byte>(Math.Min(Buffer.Length * 2, Math.Max(Options.MaximumHeadBytes, BufferPool.BufferSize)), pinned: true);
        Buffer.AsSpan(0, End).CopyTo(larger);
        worker.Loop.Buffers.Return(Buffer);
        Buffer = larger;
        return true;
    }

    void Release()
    {
        if (exchange is { } held)
        {
            exchange = null;
            worker.ReturnExchange(held);
        }

        if (Buffer is { } bytes)
        {
            Start = End = 0;
            Buffer = null;
            worker.Loop.Buffers.Return(bytes);
        }
    }
}
