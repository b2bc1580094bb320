using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using Weir.ApiServer.Hosting;
using Weir.ApiServer.Requests;
using Weir.ApiServer.Storage;
using Weir.Client;
using Weir.Resources;
using Weir.Resources.Kinds;
using Weir.Resources.Yaml;

namespace Weir.ApiServer.Tests;

/// <summary>The whole API server over its in-memory handler, with a database of its own.</summary>
sealed class ApiHarness : IAsyncDisposable
{
    sealed class NoPods : IPodAccess
    {
        public Task<ApiStatus?> WriteLogAsync(Resource pod, string container, LogOptions options, Stream output, CancellationToken cancel) =>
            Task.FromResult<ApiStatus?>(ApiStatus.BadRequest("no logs here"));

        public Task<int> ExecAsync(Resource pod, string container, IReadOnlyList<string> command, Stream? input, Stream output, Stream error, CancellationToken cancel) =>
            Task.FromResult(0);
    }

    readonly string directory;

    public ApiHarness(string? reopen = null)
    {
        directory = reopen ?? Directory.CreateTempSubdirectory("weir-api-").FullName;
        Store = SqliteObjectStore.Open(Path.Combine(directory, "store.db"));
        var registry = new ResourceRegistry(Store, KindCatalog.Default, [], TimeProvider.System);
        Http = new HttpClient(new InMemoryHandler(new ApiHandler(registry, new NoPods()).HandleAsync)) { BaseAddress = new Uri("http://api"), Timeout = TimeSpan.FromSeconds(20) };
        Client = new KubeClient(Http);
    }

    public string DatabaseDirectory => directory;

    public SqliteObjectStore Store { get; }

    public HttpClient Http { get; }

    public KubeClient Client { get; }

    public static ResourceKind Kind(string group, string kind) => KindCatalog.Default.Get(group, kind);

    public static Resource Read(string yaml) => new(YamlReader.Parse(yaml)[0].AsObject());

    public static async Task<ApiHarness> WithNamespaceAsync()
    {
        var harness = new ApiHarness();
        (await harness.Client.CreateAsync(Kind("", "Namespace"), Resource.New("v1", "Namespace", null, "test"), default)).OrThrow();
        return harness;
    }

    public async Task<Resource> CreateAsync(string yaml)
    {
        var resource = Read(yaml);
        return (await Client.CreateAsync(KindCatalog.Default.FindKind(resource.ApiVersion, resource.Kind)!, resource, default)).OrThrow();
    }

    public async Task<(HttpStatusCode Code, JsonNode? Body)> SendAsync(HttpMethod method, string path, string? body = null, string type = "application/json", string? accept = null)
    {
        using var request = new HttpRequestMessage(method, path);
        if (body is not null)
        {
            request.Content = new ByteArrayContent(Encoding.UTF8.GetBytes(body));
            request.Content.Headers.ContentType = new(type);
        }

        if (accept is not null)
        {
            request.Headers.TryAddWithoutValidation("Accept", accept);
        }

        using var response = await Http.SendAsync(request);
        return (response.StatusCode, JsonNode.Parse(await response.Content.ReadAsStringAsync()));
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await Store.DisposeAsync();
    }
}
