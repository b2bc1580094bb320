using Weir.Proxy.Reactor;
using Weir.Proxy.Upstream;

namespace Weir.Proxy.Listeners;

/// <summary>
/// Serves connections, one after the other, each for as long as it has requests. Reused, with all that serving takes: so that neither a
/// connection nor a request needs a task of its own.
/// </summary>
sealed class HttpSession
{
    readonly Worker worker;
    readonly RequestReader input;
    readonly HttpExchange exchange;
    readonly Signal starts = new();
    readonly FairShare share;
    HttpConnection connection = null!;
    bool isRunning;

    public HttpSession(Worker worker)
    {
        this.worker = worker;
        share = new FairShare(worker.Loop);
        input = new RequestReader(worker.Loop);
        exchange = new HttpExchange(worker, input);
    }

    /// <summary>There is something to read. <see cref="HttpConnection.OnServed"/> is called when there is no more.</summary>
    public void Serve(HttpConnection next)
    {
        connection = next;
        input.Attach(next);
        exchange.Attach(next);
        if (isRunning)
        {
            starts.Complete();
        }
        else
        {
            isRunning = true;
            _ = RunAsync();
        }
    }

    async Task RunAsync()
    {
        while (true)
        {
            var keepsAlive = false;
            try
            {
                do
                {
                    await share.TakeAsync();
                    var length = await input.ReadHeadAsync();
                    if (length == 0)
                    {
                        keepsAlive = false;
                        break;
                    }

                    connection.CountRequest();
                    var step = length > 0 ? exchange.Begin(length) : exchange.Refuse(length switch
                    {
                        RequestReader.HeadTimedOut => Cause.HeadTimeout,
                        RequestReader.HeadMalformed => Cause.ClientProtocol,
                        _ => Cause.RequestHeadTooLarge,
                    });

                    // The usual way of a request is steps of the exchange around waits that are made here, in the one state machine
                    // that lives as long as the session.
                    while (step != Step.Done)
                    {
                        await share.TakeAsync();
                        step = step == Step.Waits ? exchange.Resume(await exchange.WaitAsync()) : await exchange.RestAsync();
                    }

                    keepsAlive = exchange.KeepsAlive;
                }
                while (keepsAlive && (input.Start != input.End || connection.HasMore));
            }
            catch (Exception e)
            {
                keepsAlive = false;
                worker.Engine.Report(e);
            }

            input.Release();

            // The connection may have more by now, and be given to this session again.
            starts.Reset();
            var served = connection;
            isRunning = worker.Return(this);
            served.OnServed(keepsAlive);
            if (!isRunning)
            {
                return;
            }

            await starts.WaitAsync();
        }
    }
}
