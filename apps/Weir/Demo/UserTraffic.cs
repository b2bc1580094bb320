namespace Weir.App.Demo;

/// <summary>The users of the demo's service: twenty requests a second through the gateway, each answer counted.</summary>
sealed class UserTraffic(Uri gateway, string host, TimeProvider time) : IAsyncDisposable
{
    static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(50);
    static readonly TimeSpan Limit = TimeSpan.FromSeconds(5);

    readonly HttpClient http = new(new SocketsHttpHandler { UseProxy = false }) { Timeout = Limit };
    readonly CancellationTokenSource stopping = new();
    readonly List<string> failures = [];
    Task running = Task.CompletedTask;

    public int Served { get; private set; }

    public IReadOnlyList<string> Failures => failures;

    public void Start() => running = Task.Run(RunAsync);

    async Task RunAsync()
    {
        while (!stopping.IsCancellationRequested)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(gateway, "/version"));
            request.Headers.Host = host;
            try
            {
                using var response = await http.SendAsync(request, stopping.Token);
                if (response.IsSuccessStatusCode)
                {
                    Served++;
                }
                else
                {
                    failures.Add($"status {(int)response.StatusCode}");
                }
            }
            catch (Exception e) when (e is HttpRequestException or OperationCanceledException)
            {
                if (!stopping.IsCancellationRequested)
                {
                    failures.Add(e.Message);
                }
            }

            await Task.Delay(Pause, time, stopping.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await stopping.CancelAsync();
        await running;
        http.Dispose();
        stopping.Dispose();
    }
}
