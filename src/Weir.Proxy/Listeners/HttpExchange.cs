// The rest of an exchange is awaited once, by its connection, right after it was stored.
#pragma warning disable CA2012
using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Text;
using Weir.Proxy.Configuration;
using Weir.Proxy.Filters;
using Weir.Proxy.Http1;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;
using Weir.Proxy.Routing;
using Weir.Proxy.Telemetry;
using Weir.Proxy.Tracing;
using Weir.Proxy.Upstream;

namespace Weir.Proxy.Listeners;

/// <summary>What an exchange comes to next.</summary>
enum Step
{
    /// <summary>It is over; <see cref="HttpExchange.KeepsAlive"/> says what of the connection.</summary>
    Done,

    /// <summary>Before an exchange: for the head of the next request.</summary>
    Reads,

    /// <summary>
    /// For one operation on a socket: <see cref="HttpExchange.Awaited"/> or <see cref="HttpExchange.WaitAsync"/>, then
    /// <see cref="HttpExchange.Resume"/>.
    /// </summary>
    Waits,

    /// <summary>For something longer and rarer: <see cref="HttpExchange.RestAsync"/>.</summary>
    Rests,
}

/// <summary>
/// One request and its answer. Reused from request to request; awaits resume inline on the loop, and in steady state nothing is
/// allocated. This part decides what a request is answered by; the others send it to an upstream, relay the answer, and log it.
/// </summary>
sealed partial class HttpExchange(Worker worker, RequestReader input) : TimerEntry, IIdleObserver, ILogSubject
{
    static readonly byte[] ConnectUnsupported = "CONNECT is not supported by this listener"u8.ToArray();

    readonly EventLoop loop = worker.Loop;
    readonly MessageHead request = new();
    readonly MessageHead response = new();

    // Of the connection.
    HttpConnection connection = null!;
    AsyncSocket client = null!;
    HttpOptions options = null!;

    // Of the request at hand.
    Route? route;
    WeightedTarget? target;
    Cluster? cluster;
    Endpoint? endpoint;
    UpstreamConnection? upstream;
    PoolWaiter? waiter;
    BodyReader requestBody;
    TraceContext trace;
    Cause abortedBy;
    bool hasUpgrade;
    bool isPathRedirect;
    ulong? hash;
    bool givesCookie;
    LogFacts facts;

    /// <summary>The reader's buffer from where the request begins.</summary>
    Span<byte> Head => input.Buffer.AsSpan(input.Start);

    public void Attach(HttpConnection owner)
    {
        connection = owner;
        client = owner.Client;
        options = owner.Options;
    }

    /// <summary>Whether the connection can carry another request.</summary>
    public bool KeepsAlive { get; private set; }

    ValueTask<Step> rest;

    /// <summary>What <see cref="Step.Rests"/> is waiting for.</summary>
    public ValueTask<Step> RestAsync() => rest;

    /// <summary>Goes on in its own time.</summary>
    Step Later(ValueTask<Step> task)
    {
        // What is over already may itself have left something to wait for: that must not be overwritten.
        if (task.IsCompletedSuccessfully)
        {
            return task.Result;
        }

        rest = task;
        return Step.Rests;
    }

    /// <summary>It is over, whether or not it has begun.</summary>
    public Step End(bool keepsAlive)
    {
        KeepsAlive = keepsAlive;
        return Step.Done;
    }

    /// <summary>Begins to serve the request whose head has come.</summary>
    public Step Begin(int headLength)
    {
        Reset();
        var error = HeadParser.ParseRequest(Head, headLength, request);
        if (error != ParseError.None)
        {
            return Refuse(error);
        }

        if (request.Headers.Count > options.MaximumHeaders)
        {
            return Fail(Cause.RequestHeadTooLarge);
        }

        requestBody = new BodyReader(request.Body, request.ContentLength);
        if (options.Pages != Pages.None)
        {
            var answer = Admin.AdminPages.Answer(worker.Engine, options.Pages, Text(request.Method), Text(request.Target));
            return Reply(answer.Status, ResponseFlag.None, answer.Body, answer.ContentType);
        }

        if (worker.Engine.IsOverloaded)
        {
            return Fail(Cause.Overload);
        }

        if (!options.Path.DoesNothing && !NormalizePath())
        {
            return Fail(Cause.UnsafePath);
        }

        return isPathRedirect
            ? Reply(307, ResponseFlag.None, [], location: Text(request.Target))
            : Dispatch();
    }

    string Text(Slice slice) => Encoding.Latin1.GetString(slice.Of(Head));

    void Reset()
    {
        facts = LogFacts.Begin(options.AccessLogs.Length > 0 || options.Tracing is not null ? loop.Time.GetUtcNow() : default);
        route = null;
        target = null;
        cluster = null;
        endpoint = null;
        upstream = null;
        abortedBy = Cause.None;
        hasUpgrade = isPathRedirect = givesCookie = isPumping = false;
        hash = null;
        trace = default;
        captured?.Clear();
    }

    /// <summary>In place: a path never grows by it.</summary>
    bool NormalizePath()
    {
        if (request.Target.Length == 0 || Head[request.Target.Start] != '/')
        {
            return true;
        }

        var slice = Head.Slice(request.Target.Start, request.Target.Length);
        var question = slice.IndexOf((byte)'?');
        var path = question < 0 ? slice : slice[..question];
        var verdict = options.Path.Apply(path, out var length);
        if (verdict == PathVerdict.Unsafe)
        {
            return false;
        }

        slice[path.Length..].CopyTo(slice[length..]);
        request.Target = new Slice(request.Target.Start, slice.Length - path.Length + length);
        isPathRedirect = verdict == PathVerdict.Redirect;
        return true;
    }

    Step Dispatch()
    {
        if (request.IsConnect && !options.Upgrades.Contains("connect"))
        {
            return Reply(501, ResponseFlag.None, ConnectUnsupported);
        }

        route = options.Routes.Current?.Match(request, Head, connection.Downstream.IsSecure);
        if (route is null)
        {
            return Fail(Cause.NoRoute);
        }

        facts.Route = route.Name;
        if (route.Direct is { } direct)
        {
            facts.Details = "direct_response";
            var location = direct.Redirect is null ? null : Redirects.Location(direct.Redirect, request, Head, route, connection.Downstream.IsSecure);
            return Reply(direct.Status, ResponseFlag.None, direct.Body, location: location, rules: route.Rules);
        }

        target = route.Pick();
        cluster = target.Cluster.Current;
        if (cluster is null)
        {
            return Fail(Cause.NoCluster);
        }

        facts.Cluster = cluster.NameBytes;
        hasUpgrade = request.IsConnect || AllowsUpgrade();
        if (cluster.Balancing.Policy is BalancingPolicy.RingHash or BalancingPolicy.Maglev)
        {
            hash = HashPolicy.Compute(route.HashPolicies, request, Head, connection.Downstream.Peer);
            PrepareCookie();
        }

        if (options.Tracing is not null)
        {
            BeginTrace(options.Tracing);
        }

        SetDeadline();
        client.IdleObserver = this;
        return request.IsConnect && route.TerminatesConnect ? Later(TerminateConnectAsync()) : Attempt();
    }

    /// <summary>An offer that is not allowed is not passed on; the request is then served without it (RFC 9110 section 7.8).</summary>
    bool AllowsUpgrade()
    {
        if (request.Upgrade.Length is 0 or > 64 || request.Body != BodyKind.None)
        {
            return false;
        }

        Span<char> name = stackalloc char[request.Upgrade.Length];
        for (var i = 0; i < name.Length; i++)
        {
            name[i] = char.ToLowerInvariant((char)Head[request.Upgrade.Start + i]);
        }

        var protocol = name is "websocket" ? "websocket" : name.ToString();
        return route!.Upgrades.TryGetValue(protocol, out var allowed) ? allowed : options.Upgrades.Contains(protocol);
    }

    /// <summary>A client without the cookie that keeps it at one endpoint is given one, and is sent there at once.</summary>
    void PrepareCookie()
    {
        foreach (var policy in route!.HashPolicies)
        {
            if (policy is { Source: HashSource.Cookie, CookieSeconds: not null } && policy.FindCookie(request, Head).IsEmpty)
            {
                worker.RequestIds.Next(cookieValue ??= new byte[36]);
                hash = XxHash64.Hash(cookieValue);
                givesCookie = true;
                return;
            }
        }
    }

    byte[]? cookieValue;

    Step Refuse(ParseError error)
    {
        // What cannot be read cannot be logged either, nor can anything after it be trusted.
        request.Reset();
        var text = error switch
        {
            ParseError.BadLength => "Content-Length is not one valid number"u8.ToArray(),
            ParseError.BadTransferEncoding => "Transfer-Encoding must be \"chunked\" alone, without Content-Length, in HTTP/1.1"u8.ToArray(),
            ParseError.BadHost => "the request must name exactly one valid host"u8.ToArray(),
            ParseError.ConnectWithBody => "CONNECT has no body: what follows it belongs to the tunnel"u8.ToArray(),
            ParseError.Malformed => "the request's head is malformed"u8.ToArray(),
            _ => null,
        };
        return Refuse(error switch
        {
            ParseError.TooManyHeaders => Cause.RequestHeadTooLarge,
            ParseError.VersionNotSupported => Cause.VersionNotSupported,
            ParseError.UnknownTransferCoding => Cause.UnknownTransferCoding,
            _ => Cause.ClientProtocol,
        }, text);
    }

    /// <summary>Answers a request that cannot be served, and ends the connection.</summary>
    public Step Refuse(Cause cause)
    {
        Reset();
        request.Reset();
        return Refuse(cause, null);
    }

    Step Refuse(Cause cause, byte[]? text)
    {
        request.KeepAlive = false;
        return Fail(cause, text);
    }

    /// <summary>Answers in the place of an upstream.</summary>
    /// <param name="text">In the place of the cause's own.</param>
    Step Fail(Cause cause, byte[]? text = null)
    {
        ref readonly var description = ref CauseDescription.Of(cause);
        facts.Details = description.Details;
        return Reply(description.Status, description.Flag, text ?? description.Body);
    }

    Step Reply(int status, ResponseFlag flag, byte[] body, string contentType = "text/plain", string? location = null, HeaderRules? rules = null) =>
        Later(ReplyAsync(status, flag, body, contentType, location, rules));

    /// <summary>An answer of the proxy's own. The connection goes on only if nothing of a body is still to come.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    async ValueTask<Step> ReplyAsync(int status, ResponseFlag flag, byte[] body, string contentType, string? location, HeaderRules? rules)
    {
        var keepAlive = SkipBody(out var bodyLength) && request.KeepAlive && !connection.IsLast;
        var output = loop.Buffers.Rent();
        var needed = body.Length + 2048 + (location?.Length ?? 0) + (rules?.ResponseLength ?? 0);
        if (needed > output.Length)
        {
            loop.Buffers.Return(output);
            output = new byte[needed];
        }

        try
        {
            var length = WriteReply(output, status, body, keepAlive, contentType, location, rules ?? HeaderRules.None);
            facts.BytesSent = request.IsHead ? 0 : body.Length;
            facts.ResponseStartTicks = Stopwatch.GetTimestamp();
            var sent = await client.WriteAsync(output.AsMemory(0, length), options.StreamIdleMilliseconds);
            Record(status, sent < 0 ? ResponseFlag.DC : flag);
            if (!keepAlive && sent >= 0)
            {
                await LingerAsync();
            }

            input.Start += request.Length + bodyLength;
            return End(keepAlive && sent >= 0);
        }
        finally
        {
            loop.Buffers.Return(output);
        }
    }

    /// <summary>Finds the end of the request where its body has come whole with its head.</summary>
    bool SkipBody(out int length)
    {
        length = 0;
        if (request.Body == BodyKind.None)
        {
            return true;
        }

        var reader = new BodyReader(request.Body, request.ContentLength);
        length = reader.Advance(input.Buffer.AsSpan(input.Start + request.Length, input.End - input.Start - request.Length));
        return reader is { IsDone: true, IsBroken: false };
    }

    int WriteReply(byte[] output, int status, byte[] body, bool keepAlive, string contentType, string? location, HeaderRules rules)
    {
        var writer = new HeadWriter(output);
        writer.Write("HTTP/1.1 "u8);
        writer.Write(status);
        writer.Write(" "u8);
        writer.Write(Redirects.ReasonOf(status));
        writer.Write("\r\n"u8);
        if (location is not null)
        {
            writer.WriteHeader("location"u8, Encoding.Latin1.GetBytes(location));
        }

        if (body.Length > 0)
        {
            writer.WriteHeader("content-type"u8, Encoding.ASCII.GetBytes(contentType));
        }

        rules.WriteResponse(ref writer);
        writer.Write("content-length: "u8);
        writer.Write(body.Length);
        writer.Write("\r\n"u8);
        if (!keepAlive)
        {
            writer.Write("connection: close\r\n"u8);
        }
        else if (request.IsHttp10)
        {
            writer.Write("connection: keep-alive\r\n"u8);
        }

        writer.Write("\r\n"u8);
        if (!request.IsHead)
        {
            writer.Write(body);
        }

        return writer.Length;
    }

    /// <summary>
    /// Reads on for a moment before closing: closing with unread bytes would reset the connection and could take the answer with it
    /// (RFC 9112 section 9.6).
    /// </summary>
    async ValueTask LingerAsync()
    {
        client.ShutdownWrite();
        if (options.DelayedCloseMilliseconds == 0)
        {
            return;
        }

        var scratch = loop.Buffers.Rent();
        var deadline = loop.Now + options.DelayedCloseMilliseconds;
        for (var i = 0; i < 64 && loop.Now < deadline && await client.ReadAsync(scratch, (int)(deadline - loop.Now)) > 0; i++)
        {
        }

        loop.Buffers.Return(scratch);
    }
}
