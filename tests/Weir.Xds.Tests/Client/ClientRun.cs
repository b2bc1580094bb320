using Envoy.Config.Core.V3;
using Weir.Xds.Client;
using Weir.Xds.Transport;

namespace Weir.Xds.Tests.Client;

/// <summary>A client at work, with what it applies and logs.</summary>
sealed class ClientRun : IAsyncDisposable
{
    readonly CancellationTokenSource ending = new();
    readonly Task running;

    public ClientRun(XdsServer server, AdsClientOptions? options = null, FakeSink? sink = null, TimeProvider? time = null)
    {
        Sink = sink ?? new FakeSink();
        var node = new Node { Id = "n", Cluster = "c", UserAgentName = "test", Locality = new() { Zone = "z" } };
        Client = new AdsClient(server, node, Sink, options ?? new(), time ?? TimeProvider.System, new Random(1), Log.Write);
        running = Client.RunAsync(ending.Token);
    }

    public FakeSink Sink { get; }
    public TestLog Log { get; } = new();
    public AdsClient Client { get; }

    public async ValueTask DisposeAsync()
    {
        await ending.CancelAsync();
        await running.WaitAsync(TimeSpan.FromSeconds(30));
        ending.Dispose();
    }
}
