// An operation is looked at, and then awaited once.
#pragma warning disable CA2012
using System.Runtime.CompilerServices;
using Weir.Proxy.Reactor;
using Weir.Proxy.Upstream;

namespace Weir.Proxy.Listeners;

/// <summary>
/// Serves connections, one after the other, each for as long as it has requests. It runs until something has to be waited for, and is
/// called when that has come. Reused, with all that serving takes: neither a connection nor a request needs a task of its own.
/// </summary>
sealed class HttpSession
{
    readonly Worker worker;
    readonly RequestReader input;
    readonly HttpExchange exchange;
    readonly FairShare share;
    readonly Action goOn;
    HttpConnection connection = null!;
    Pause pause;
    Step next;
    ValueTaskAwaiter<int> operation;
    ValueTaskAwaiter<Step> rest;

    /// <summary>What the session waits for.</summary>
    enum Pause
    {
        /// <summary>For others to have had their turn.</summary>
        Turn,

        /// <summary>For the head of a request.</summary>
        Head,

        /// <summary>For an upstream to have something to read.</summary>
        Readable,

        /// <summary>For another operation of the exchange's.</summary>
        Operation,

        /// <summary>For what of an exchange is longer and rarer.</summary>
        Rest,
    }

    public HttpSession(Worker worker)
    {
        this.worker = worker;
        input = new RequestReader(worker.Loop);
        exchange = new HttpExchange(worker, input);
        share = new FairShare(worker.Loop);
        goOn = GoOn;
    }

    /// <summary>There is something to read. <see cref="HttpConnection.OnServed"/> is called when there is no more.</summary>
    public void Serve(HttpConnection served)
    {
        connection = served;
        input.Attach(served);
        exchange.Attach(served);
        (pause, next) = (Pause.Turn, Step.Reads);
        GoOn();
    }

    /// <summary>What was waited for has come.</summary>
    void GoOn()
    {
        try
        {
            Run(pause switch
            {
                Pause.Head => Begin(operation.GetResult()),
                Pause.Readable => exchange.Resume(exchange.Awaited!.WaitResult),
                Pause.Operation => exchange.Resume(operation.GetResult()),
                Pause.Rest => rest.GetResult(),
                _ => next,
            });
        }
        catch (Exception e)
        {
            worker.Engine.Report(e);
            exchange.Drop();
            Leave(keepsAlive: false);
        }
    }

    void Run(Step step)
    {
        while (step != Step.Done || (exchange.KeepsAlive && (input.Start != input.End || connection.HasMore)))
        {
            if (!share.TryTake())
            {
                (pause, next) = (Pause.Turn, step);
                share.YieldAsync().GetAwaiter().UnsafeOnCompleted(goOn);
                return;
            }

            switch (step)
            {
                case Step.Waits when exchange.Awaited is { } socket:
                    if (!socket.IsReadyToRead)
                    {
                        pause = Pause.Readable;
                        socket.WhenReadable(exchange.IdleMilliseconds, static session => Unsafe.As<HttpSession>(session!).GoOn(), this);
                        return;
                    }

                    step = exchange.Resume(1);
                    break;
                case Step.Waits:
                    operation = exchange.WaitAsync().GetAwaiter();
                    if (!operation.IsCompleted)
                    {
                        pause = Pause.Operation;
                        operation.UnsafeOnCompleted(goOn);
                        return;
                    }

                    step = exchange.Resume(operation.GetResult());
                    break;
                case Step.Rests:
                    rest = exchange.RestAsync().GetAwaiter();
                    if (!rest.IsCompleted)
                    {
                        pause = Pause.Rest;
                        rest.UnsafeOnCompleted(goOn);
                        return;
                    }

                    step = rest.GetResult();
                    break;
                default:
                    operation = input.ReadHeadAsync().GetAwaiter();
                    if (!operation.IsCompleted)
                    {
                        pause = Pause.Head;
                        operation.UnsafeOnCompleted(goOn);
                        return;
                    }

                    step = Begin(operation.GetResult());
                    break;
            }
        }

        Leave(exchange.KeepsAlive);
    }

    /// <param name="length">Of the head, or why there is none.</param>
    Step Begin(int length)
    {
        if (length == 0)
        {
            return exchange.End(keepsAlive: false);
        }

        connection.CountRequest();
        return length > 0 ? exchange.Begin(length) : exchange.Refuse(length switch
        {
            RequestReader.HeadTimedOut => Cause.HeadTimeout,
            RequestReader.HeadMalformed => Cause.ClientProtocol,
            _ => Cause.RequestHeadTooLarge,
        });
    }

    /// <summary>The connection may have more by now, and be given to this very session again.</summary>
    void Leave(bool keepsAlive)
    {
        var served = connection;
        input.Release();
        worker.Return(this);
        served.OnServed(keepsAlive);
    }
}
