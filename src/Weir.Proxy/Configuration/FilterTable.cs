using Envoy.Extensions.Filters.Network.HttpConnectionManager.V3;
using Weir.Proxy.Filters;
using Weir.Xds;
using HttpFilter = Weir.Proxy.Filters.HttpFilter;
using SlashActions = Envoy.Extensions.Filters.Network.HttpConnectionManager.V3.HttpConnectionManager.Types.PathWithEscapedSlashesAction;

namespace Weir.Proxy.Configuration;

/// <summary>
/// The filters that there are, one row each, in the order in which requests pass them, whatever order they are configured in.
/// </summary>
static class FilterTable
{
    /// <param name="Type">Of the entry of <c>http_filters</c> that asks for it; null where other settings of a connection manager do.</param>
    /// <param name="Make">Null where it is not asked for, or does nothing.</param>
    sealed record Row(string? Type, Func<HttpConnectionManager, HttpFilter?> Make);

    static readonly Row[] Rows =
    [
        new(null, static manager => PathRulesOf(manager) is { DoesNothing: false } rules ? new PathNormalization(rules) : null),

        // Sends requests on, which is done in any case.
        new(XdsTypes.Router, static _ => null),
    ];

    /// <exception cref="ConfigException">A filter is asked for that is in no row, and is not optional.</exception>
    public static FilterPlan Translate(string owner, HttpConnectionManager manager, Reading reading)
    {
        foreach (var filter in manager.HttpFilters.Where(f => !f.Disabled && !Array.Exists(Rows, r => r.Type is { } type && type == f.TypedConfig?.TypeUrl)))
        {
            reading.NotCarriedOut($"{owner}: HTTP filter {filter.Name}, which is_optional,",
                filter.IsOptional ? true : throw new ConfigException($"{owner}: HTTP filter {filter.Name} is not supported"));
        }

        HttpFilter[] filters = [.. Rows.Select(row => row.Make(manager)).OfType<HttpFilter>()];
        return filters.Length == 0 ? FilterPlan.None : new FilterPlan(filters);
    }

    static PathRules PathRulesOf(HttpConnectionManager manager) =>
        new(manager.NormalizePath == true, manager.MergeSlashes, manager.PathWithEscapedSlashesAction switch
        {
            SlashActions.RejectRequest => EscapedSlashes.Reject,
            SlashActions.UnescapeAndRedirect => EscapedSlashes.UnescapeAndRedirect,
            SlashActions.UnescapeAndForward => EscapedSlashes.UnescapeAndForward,
            _ => EscapedSlashes.Keep,
        });
}
