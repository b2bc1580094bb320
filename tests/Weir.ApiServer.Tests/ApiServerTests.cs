using System.Net;
using System.Text.Json.Nodes;
using Weir.Client;
using Weir.Resources;
using static Weir.ApiServer.Tests.ApiHarness;

namespace Weir.ApiServer.Tests;

public class ApiServerTests
{
    const string Config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: test, labels: {app: x}}\ndata: {k: v}";
    const string Deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, namespace: test}\nspec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: x, env: [{name: A, value: '1'}]}]}}}";

    [Fact]
    public async Task Objects_get_what_the_server_owns()
    {
        await using var api = await WithNamespaceAsync();

        var created = await api.CreateAsync(Deployment);

        Assert.NotEmpty(created.Uid);
        Assert.Equal(1, created.Generation);
        Assert.NotEmpty(created.ResourceVersion);
    }

    [Fact]
    public async Task The_second_of_two_writers_is_told_of_the_first()
    {
        await using var api = await WithNamespaceAsync();
        var first = await api.CreateAsync(Config);
        var second = first.Copy();
        first = first.Copy();
        first.Json["data"] = new JsonObject { ["k"] = "1" };
        second.Json["data"] = new JsonObject { ["k"] = "2" };

        Assert.Equal(WriteOutcome.Done, (await api.Client.ReplaceAsync(Kind("", "ConfigMap"), first, default)).Outcome);
        var lost = await api.Client.ReplaceAsync(Kind("", "ConfigMap"), second, default);

        Assert.Equal(WriteOutcome.Conflict, lost.Outcome);
        Assert.Contains("please apply your changes to the latest version", lost.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Concurrent_patches_are_all_kept()
    {
        await using var api = await WithNamespaceAsync();
        await api.CreateAsync(Config);

        await Task.WhenAll(Enumerable.Range(0, 30).Select(i =>
            api.Client.PatchAsync(Kind("", "ConfigMap"), new("test", "a"), new JsonObject { ["data"] = new JsonObject { [$"k{i}"] = "v" } }, default)));

        var result = await api.Client.GetAsync(Kind("", "ConfigMap"), new("test", "a"), default);
        Assert.Equal(31, result!.Json.TextMap("data").Count);
    }

    [Fact]
    public async Task An_acknowledged_write_is_there_after_reopening_the_store()
    {
        var api = await WithNamespaceAsync();
        var created = await api.CreateAsync(Config);

        // A second process reads the files while the first is still open: as after kill -9, nothing was closed in order.
        await using var other = new ApiHarness(api.DatabaseDirectory);
        var found = await other.Client.GetAsync(Kind("", "ConfigMap"), new("test", "a"), default);

        Assert.Equal(created.ResourceVersion, found!.ResourceVersion);
        await api.DisposeAsync();
    }

    [Fact]
    public async Task A_watch_resumes_where_it_left_off_and_is_told_when_that_is_too_long_ago()
    {
        await using var api = await WithNamespaceAsync();
        var version = (await api.CreateAsync(Config)).ResourceVersion;
        await api.Client.PatchAsync(Kind("", "ConfigMap"), new("test", "a"), new JsonObject { ["data"] = new JsonObject { ["k"] = "2" } }, default);
        await api.Client.DeleteAsync(Kind("", "ConfigMap"), new("test", "a"), default);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));

        var seen = new List<string>();
        await foreach (var change in api.Client.WatchAsync(Kind("", "ConfigMap"), "test", version, limit.Token))
        {
            seen.Add($"{change.Type} {change.Resource.Json.Text("data", "k")}");
            if (change.Type == WatchEventType.Deleted)
            {
                break;
            }
        }

        Assert.Equal(["Modified 2", "Deleted 2"], seen);
        await api.DisposeAsync();
        await using var restarted = new ApiHarness(api.DatabaseDirectory);
        var (code, body) = await restarted.SendAsync(HttpMethod.Get, "/api/v1/configmaps?watch=true&resourceVersion=1");
        Assert.Equal((HttpStatusCode.Gone, "Expired"), (code, body.Text("reason")));
    }

    [Fact]
    public async Task What_leaves_a_selector_is_deleted_for_its_watcher()
    {
        await using var api = await WithNamespaceAsync();
        var created = await api.CreateAsync(Config);
        await api.Client.PatchAsync(Kind("", "ConfigMap"), created.Key, new JsonObject { ["metadata"] = new JsonObject { ["labels"] = new JsonObject { ["app"] = "y" } } }, default);

        using var response = await api.Http.GetAsync($"/api/v1/namespaces/test/configmaps?watch=true&labelSelector=app%3Dx&resourceVersion={created.ResourceVersion}", HttpCompletionOption.ResponseHeadersRead);
        using var lines = new StreamReader(await response.Content.ReadAsStreamAsync());
        var change = JsonNode.Parse((await lines.ReadLineAsync())!);

        Assert.Equal("DELETED", change.Text("type"));
    }

    [Theory]
    [InlineData("application/merge-patch+json", """{"metadata":{"labels":{"x":"1"}}}""")]
    [InlineData("application/json-patch+json", """[{"op":"add","path":"/metadata/labels","value":{"x":"1"}},{"op":"test","path":"/spec/replicas","value":1}]""")]
    [InlineData("application/strategic-merge-patch+json", """{"metadata":{"labels":{"x":"1"}},"spec":{"template":{"spec":{"containers":[{"name":"c","env":[{"name":"B","value":"2"}]}]}}}}""")]
    public async Task Patches_of_all_three_kinds_apply(string type, string patch)
    {
        await using var api = await WithNamespaceAsync();
        await api.CreateAsync(Deployment);

        var (code, body) = await api.SendAsync(HttpMethod.Patch, "/apis/apps/v1/namespaces/test/deployments/d", patch, type);

        Assert.Equal(HttpStatusCode.OK, code);
        Assert.Equal("1", body.Text("metadata", "labels", "x"));
        var container = body.Objects("spec", "template", "spec", "containers").Single();
        Assert.Equal("x", container.Text("image"));
        Assert.Equal(type.Contains("strategic", StringComparison.Ordinal) ? 2 : 1, container.Objects("env").Count());
    }

    [Theory]
    [InlineData("""{"spec":{"template":{"spec":{"containers":[{"name":"c","$patch":"delete"},{"name":"n","image":"y"}]}}}}""", "n")]
    [InlineData("""{"spec":{"template":{"spec":{"containers":[{"$patch":"replace"},{"name":"n","image":"y"}]}}}}""", "n")]
    [InlineData("""{"spec":{"template":{"spec":{"$setElementOrder/containers":[{"name":"n"},{"name":"c"}],"containers":[{"name":"n","image":"y"}]}}}}""", "n,c")]
    public async Task Strategic_directives_are_followed(string patch, string expected)
    {
        await using var api = await WithNamespaceAsync();
        await api.CreateAsync(Deployment);

        var (_, body) = await api.SendAsync(HttpMethod.Patch, "/apis/apps/v1/namespaces/test/deployments/d", patch, "application/strategic-merge-patch+json");

        Assert.Equal(expected, string.Join(',', body.Objects("spec", "template", "spec", "containers").Select(c => c.Text("name"))));
    }

    [Fact]
    public async Task Only_a_change_of_the_spec_is_a_new_generation()
    {
        await using var api = await WithNamespaceAsync();
        await api.CreateAsync(Deployment);
        var kind = Kind("apps", "Deployment");

        var labelled = await api.Client.PatchAsync(kind, new("test", "d"), new JsonObject { ["metadata"] = new JsonObject { ["labels"] = new JsonObject { ["a"] = "b" } } }, default);
        var status = await api.Client.PatchAsync(kind, new("test", "d"), new JsonObject { ["status"] = new JsonObject { ["replicas"] = 3 }, ["spec"] = new JsonObject { ["replicas"] = 9 } }, default, subresource: "status");
        var scaled = await api.Client.PatchAsync(kind, new("test", "d"), new JsonObject { ["spec"] = new JsonObject { ["replicas"] = 3 }, ["status"] = new JsonObject { ["replicas"] = 7 } }, default);

        Assert.Equal(1, labelled.Resource!.Generation);
        Assert.Equal((1, 1), (status.Resource!.Generation, status.Resource.Spec.Number("replicas")));
        Assert.Equal((2, 3), (scaled.Resource!.Generation, scaled.Resource.Status.Number("replicas")));
    }

    [Fact]
    public async Task Violations_come_with_their_fields_and_nothing_is_stored()
    {
        await using var api = await WithNamespaceAsync();

        var result = await api.Client.CreateAsync(Kind("apps", "Deployment"), Read(Deployment.Replace("a: b}}, spec", "a: c}}, spec", StringComparison.Ordinal).Replace("name: c,", "name: C,", StringComparison.Ordinal)), default);

        Assert.Equal(WriteOutcome.Invalid, result.Outcome);
        Assert.Equal(["spec.template.spec.containers[0].name", "spec.template.metadata.labels"], result.Status.Objects("details", "causes").Select(c => c.Text("field")));
        Assert.Null(await api.Client.GetAsync(Kind("apps", "Deployment"), new("test", "d"), default));
    }

    [Fact]
    public async Task Unknown_fields_are_refused_or_warned_of_as_asked()
    {
        await using var api = await WithNamespaceAsync();
        var body = Read(Config.Replace("\ndata:", "\ndataa: {}\ndata:", StringComparison.Ordinal)).Json.ToJsonString();

        var (strict, error) = await api.SendAsync(HttpMethod.Post, "/api/v1/namespaces/test/configmaps?fieldValidation=Strict", body);
        var (warned, stored) = await api.SendAsync(HttpMethod.Post, "/api/v1/namespaces/test/configmaps?fieldValidation=Warn", body);

        Assert.Equal(HttpStatusCode.BadRequest, strict);
        Assert.EndsWith("strict decoding error: unknown field \"dataa\"", error.Text("message"), StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.Created, warned);
        Assert.NotNull(stored!["dataa"]);
    }

    [Fact]
    public async Task Finalizers_hold_an_object_until_they_are_gone()
    {
        await using var api = await WithNamespaceAsync();
        await api.CreateAsync(Config.Replace("labels:", "finalizers: [x/y], labels:", StringComparison.Ordinal));
        var kind = Kind("", "ConfigMap");

        await api.Client.DeleteAsync(kind, new("test", "a"), default);
        var held = await api.Client.GetAsync(kind, new("test", "a"), default);
        await api.Client.PatchAsync(kind, new("test", "a"), new JsonObject { ["metadata"] = new JsonObject { ["finalizers"] = null } }, default);

        Assert.True(held!.IsDeleting);
        Assert.Null(await api.Client.GetAsync(kind, new("test", "a"), default));
    }

    [Fact]
    public async Task Nothing_is_created_where_there_is_no_namespace()
    {
        await using var api = new ApiHarness();

        var result = await api.Client.CreateAsync(Kind("", "ConfigMap"), Read(Config), default);

        Assert.Equal((WriteOutcome.NotFound, "namespaces \"test\" not found"), (result.Outcome, result.Message));
    }

    [Fact]
    public async Task Tables_have_the_kinds_own_columns()
    {
        await using var api = await WithNamespaceAsync();
        await api.CreateAsync("apiVersion: flagger.app/v1beta1\nkind: Canary\nmetadata: {name: p, namespace: test}\nspec: {targetRef: {kind: Deployment, name: p}, service: {port: 80}, analysis: {stepWeight: 10}}");

        var (_, table) = await api.SendAsync(HttpMethod.Get, "/apis/flagger.app/v1beta1/canaries", accept: "application/json;as=Table;v=v1;g=meta.k8s.io,application/json");

        Assert.Equal(["Name", "Status", "Weight", "LastTransitionTime"], table.Objects("columnDefinitions").Where(c => c.Number("priority") == 0).Select(c => c.Text("name")));
        Assert.Equal("p", table.Objects("rows").Single()["cells"]![0].Text());
    }

    [Fact]
    public async Task An_autoscaler_is_one_object_in_all_its_versions()
    {
        await using var api = await WithNamespaceAsync();
        await api.SendAsync(HttpMethod.Post, "/apis/autoscaling/v1/namespaces/test/horizontalpodautoscalers",
            """{"apiVersion":"autoscaling/v1","kind":"HorizontalPodAutoscaler","metadata":{"name":"h"},"spec":{"scaleTargetRef":{"kind":"Deployment","name":"d"},"maxReplicas":3,"targetCPUUtilizationPercentage":60}}""");

        var (_, newer) = await api.SendAsync(HttpMethod.Get, "/apis/autoscaling/v2/namespaces/test/horizontalpodautoscalers/h");
        var (_, older) = await api.SendAsync(HttpMethod.Get, "/apis/autoscaling/v1/namespaces/test/horizontalpodautoscalers/h");

        Assert.Equal(60, newer.Objects("spec", "metrics").Single().Number("resource", "target", "averageUtilization"));
        Assert.Equal(60, older.Number("spec", "targetCPUUtilizationPercentage"));
    }

    [Fact]
    public async Task Events_are_the_same_in_both_groups()
    {
        await using var api = await WithNamespaceAsync();
        await api.CreateAsync("apiVersion: v1\nkind: Event\nmetadata: {name: e, namespace: test}\ninvolvedObject: {kind: Pod, name: p}\nmessage: hello");

        var (_, newer) = await api.SendAsync(HttpMethod.Get, "/apis/events.k8s.io/v1/namespaces/test/events/e");

        Assert.Equal(("hello", "p"), (newer.Text("note"), newer.Text("regarding", "name")));
    }

    [Fact]
    public async Task Protobuf_from_kubectl_is_read_and_what_is_not_known_is_refused()
    {
        await using var api = await WithNamespaceAsync();
        static byte[] Message(params (int Field, byte[] Value)[] fields) => [.. fields.SelectMany(f => (byte[])[(byte)((f.Field << 3) | 2), (byte)f.Value.Length, .. f.Value])];
        static byte[] Text(string s) => System.Text.Encoding.UTF8.GetBytes(s);
        byte[] Envelope(byte[] raw) => [.. "k8s\0"u8, .. Message((1, Message((1, Text("v1")), (2, Text("ConfigMap")))), (2, raw))];
        async Task<HttpStatusCode> PostAsync(byte[] raw)
        {
            using var content = new ByteArrayContent(Envelope(raw));
            content.Headers.ContentType = new("application/vnd.kubernetes.protobuf");
            using var response = await api.Http.PostAsync(new Uri("/api/v1/namespaces/test/configmaps", UriKind.Relative), content);
            return response.StatusCode;
        }

        var good = await PostAsync(Message((1, Message((1, Text("pb")), (8, []))), (2, Message((1, Text("k")), (2, Text("v"))))));
        var bad = await PostAsync(Message((1, Message((1, Text("pb2")))), (15, Text("?"))));

        Assert.Equal((HttpStatusCode.Created, HttpStatusCode.UnsupportedMediaType), (good, bad));
        Assert.Equal("v", (await api.Client.GetAsync(Kind("", "ConfigMap"), new("test", "pb"), default))!.Json.Text("data", "k"));
    }
}
