using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Weir.Resources;

namespace Weir.Telemetry.Prometheus;

/// <summary>An instant query that could not be answered.</summary>
public sealed class PrometheusException(string message) : Exception(message);

/// <summary>Asks a Prometheus server, as Flagger's provider does: one instant query, the last element of the vector.</summary>
public sealed partial class PrometheusClient(HttpClient http)
{
    [GeneratedRegex(@"\s+")]
    private static partial Regex WhiteSpace();

    /// <returns>NaN when the query has no values.</returns>
    /// <exception cref="PrometheusException">The server refused the query or cannot be reached.</exception>
    public async Task<double> QueryAsync(string address, string query, CancellationToken cancel)
    {
        var url = $"{address.TrimEnd('/')}/api/v1/query?query={Uri.EscapeDataString(WhiteSpace().Replace(query, " ").Trim())}";
        JsonNode? answer;
        try
        {
            using var response = await http.GetAsync(new Uri(url), cancel);
            answer = JsonNode.Parse(await response.Content.ReadAsStringAsync(cancel));
        }
        catch (Exception e) when (e is HttpRequestException or System.Text.Json.JsonException)
        {
            throw new PrometheusException($"running query failed: {e.Message}");
        }

        if (answer.Text("status") != "success")
        {
            throw new PrometheusException($"running query failed: {answer.Text("error")}");
        }

        return answer.Text("data", "resultType") switch
        {
            "vector" => answer.Objects("data", "result").LastOrDefault()?["value"] is JsonArray { Count: 2 } pair ? Parse(pair[1]) : double.NaN,
            "scalar" => answer.At("data", "result") is JsonArray { Count: 2 } scalar ? Parse(scalar[1]) : double.NaN,
            var other => throw new PrometheusException($"running query failed: the result is a {other}, not a vector"),
        };
    }

    static double Parse(JsonNode? value) =>
        double.TryParse(value.Text(), NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? number : double.NaN;
}
