using System.Net;
using System.Net.Sockets;
using Weir.Controllers;
using Weir.Resources;

namespace Weir.App.Cluster;

/// <summary>Connects to services by their cluster names (<c>loadtester.test:80</c>) from this process, which is no pod.</summary>
sealed class ServiceConnector(Informer services, Informer endpointSlices)
{
    int turn;

    public HttpClient CreateClient() => new(new SocketsHttpHandler
    {
        UseProxy = false,
        ConnectCallback = ConnectAsync,
        PooledConnectionIdleTimeout = TimeSpan.FromSeconds(5),
    })
    { Timeout = Timeout.InfiniteTimeSpan };

    async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken cancel)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            var name = context.DnsEndPoint.Host.Split('.');
            var key = name.Length > 1 ? new ObjectKey(name[1], name[0]) : new ObjectKey("default", name[0]);
            if (services.Get(key) is { } service)
            {
                await socket.ConnectAsync(Resolve(service, context.DnsEndPoint.Port), cancel);
            }
            else
            {
                await socket.ConnectAsync(context.DnsEndPoint, cancel);
            }

            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    IPEndPoint Resolve(Resource service, int port)
    {
        var portName = service.Spec.Objects("ports").FirstOrDefault(p => p.Number("port") == port)?.Text("name") ?? "";
        foreach (var slice in endpointSlices.In(service.Namespace).Where(s => s.Labels.GetValueOrDefault("kubernetes.io/service-name") == service.Name))
        {
            var number = slice.Json.Objects("ports").FirstOrDefault(p => (p.Text("name") ?? "") == portName).Number("port");
            var ready = slice.Json.Objects("endpoints").Where(e => e.Flag("conditions", "ready")).SelectMany(e => e.Texts("addresses")).ToList();
            if (number is not null && ready.Count > 0)
            {
                return new IPEndPoint(IPAddress.Parse(ready[(int)((uint)Interlocked.Increment(ref turn) % ready.Count)]), (int)number.Value);
            }
        }

        throw new HttpRequestException($"service {service.Key} has no ready endpoint for port {port}");
    }
}
