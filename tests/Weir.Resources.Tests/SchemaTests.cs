using System.Text.Json.Nodes;
using Weir.Resources.Kinds;
using Weir.Resources.Yaml;

namespace Weir.Resources.Tests;

public class SchemaTests
{
    static List<string> Violations(string yaml)
    {
        var resource = new Resource(YamlReader.Parse(yaml)[0].AsObject());
        var kind = KindCatalog.Default.FindKind(resource.ApiVersion, resource.Kind)!;
        ResourceChecks.ApplyDefaults(kind, resource);
        return [.. ResourceChecks.Validate(kind, resource, null).Select(v => v.ToString())];
    }

    const string Canary = "apiVersion: flagger.app/v1beta1\nkind: Canary\nmetadata: {name: a}\nspec:\n  targetRef: {kind: Deployment, name: a}\n  service: {port: 80}\n";
    const string Route = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec:\n";

    [Theory]
    [InlineData(Canary, "spec.analysis: Required value")]
    [InlineData(Canary + "  analysis: {stepWeight: 10, iterations: 5}", "spec.analysis.iterations: Forbidden: only one of stepWeight, stepWeights and iterations may be set, found iterations and stepWeight")]
    [InlineData(Canary + "  analysis: {stepWeight: ten}", "spec.analysis.stepWeight: Invalid value: \"string\": must be of type integer")]
    [InlineData(Canary + "  analysis: {stepWeight: 10, interval: soon}", "spec.analysis.interval: Invalid value: \"soon\": must be a duration such as 10s, 1m30s or 500ms")]
    [InlineData(Canary + "  analysis: {stepWeights: [10, 5]}", "spec.analysis.stepWeights[1]: Invalid value: 5: must be greater than the step before it")]
    [InlineData(Canary + "  analysis: {stepWeight: 10, webhooks: [{name: a, url: 'ftp://x'}]}", "spec.analysis.webhooks[0].url: Invalid value: \"ftp://x\": must be an http or https URL")]
    [InlineData(Route + "  hosts: ['']\n  http: [{route: [{destination: {host: a}}]}]", "spec.hosts[0]: Invalid value: \"\": a host must not be empty")]
    [InlineData(Route + "  hosts: [a]\n  http: [{route: [{destination: {host: a}, weight: -1}, {destination: {host: b}, weight: 5}]}]", "spec.http[0].route[0].weight: Invalid value: -1: must be greater than or equal to 0")]
    [InlineData(Route + "  hosts: [a]\n  http: [{route: [{destination: {}}]}]", "spec.http[0].route[0].destination.host: Required value")]
    [InlineData(Route + "  hosts: [a]\n  http: [{match: [{uri: {exact: /a, prefix: /b}}], route: [{destination: {host: a}}]}]", "spec.http[0].match[0].uri: Forbidden: only one of exact, prefix and regex may be set")]
    [InlineData(Route + "  hosts: [a]\n  http: [{match: [{uri: {regex: '('}}], route: [{destination: {host: a}}]}]", "spec.http[0].match[0].uri.regex: Invalid value: \"(\": not a regular expression of RE2's kind")]
    [InlineData("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: A, image: x}]}", "spec.containers[0].name: Invalid value: \"A\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character, at most 63 characters")]
    public void Names_the_field_and_the_fault(string yaml, string expected) => Assert.Equal([expected], Violations(yaml));

    [Fact]
    public void Reports_every_violation_at_once()
    {
        var found = Violations(Route + "  hosts: ['', 'a b']\n  http: [{route: [{destination: {host: a}, weight: -5}]}]");

        Assert.Equal(["spec.http[0].route[0].weight", "spec.hosts[0]", "spec.hosts[1]"], found.Select(v => v[..v.IndexOf(": ", StringComparison.Ordinal)]));
    }

    [Fact]
    public void Unknown_fields_are_found_with_their_paths_and_survive()
    {
        var resource = new Resource(YamlReader.Parse("apiVersion: v1\nkind: Pod\nmetadata: {name: a, color: red}\nspec: {containers: [{name: a, image: x, imagee: y}]}")[0].AsObject());
        var kind = KindCatalog.Default.FindKind("v1", "Pod")!;

        var unknown = Schemas.SchemaValidator.UnknownFields(kind.Schema, resource.Json);
        ResourceChecks.ApplyDefaults(kind, resource);

        Assert.Equal(["metadata.color", "spec.containers[0].imagee"], unknown);
        Assert.Equal("y", resource.Spec.Objects("containers").First().Text("imagee"));
    }

    [Fact]
    public void Defaults_are_those_of_kubernetes()
    {
        var resource = new Resource(YamlReader.Parse("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: x}]}}}")[0].AsObject());

        ResourceChecks.ApplyDefaults(KindCatalog.Default.Get("apps", "Deployment"), resource);

        Assert.Equal(1, resource.Spec.Number("replicas"));
        Assert.Equal("25%", resource.Spec.Text("strategy", "rollingUpdate", "maxSurge"));
        Assert.Equal("Always", resource.Spec.Objects("template", "spec", "containers").First().Text("imagePullPolicy"));
    }

    [Fact]
    public void Every_kind_has_a_schema_that_was_parsed()
    {
        foreach (var kind in KindCatalog.Default.All.Where(k => k.Group != "events.k8s.io"))
        {
            Assert.True(kind.Schema.Fields.ContainsKey("metadata"), $"{kind.Kind} has no metadata in its schema");
            Assert.NotEmpty(kind.Columns);
        }
    }
}
