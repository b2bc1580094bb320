using System.Collections.Frozen;
using System.Text;
using Envoy.Config.Core.V3;
using Weir.Proxy.Http1;
using Weir.Proxy.Filters;
using Weir.Proxy.Http;
using Actions = Envoy.Config.Core.V3.HeaderValueOption.Types.HeaderAppendAction;

namespace Weir.Proxy.Configuration;

/// <summary>Header rules from their messages. A rule may not touch what frames or routes a message: two readers could then read two messages.</summary>
static class HeaderRuleTranslator
{
    /// <summary>Each message has at most one of them, and it is the proxy that writes it.</summary>
    static readonly FrozenSet<string> NeverAdded = new[]
    {
        "host", "content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "upgrade", "te", "trailer",
    }.ToFrozenSet();

    /// <summary>Those that do not outlive a hop anyway may be named.</summary>
    static readonly FrozenSet<string> NeverRemoved = new[] { "host", "content-length", "transfer-encoding", "connection", "upgrade" }.ToFrozenSet();

    public static HeaderRules Translate(
        string owner, IReadOnlyList<HeaderValueOption> requestAdd, IReadOnlyList<string> requestRemove,
        IReadOnlyList<HeaderValueOption> responseAdd, IReadOnlyList<string> responseRemove) =>
        requestAdd.Count + requestRemove.Count + responseAdd.Count + responseRemove.Count == 0 ? HeaderRules.None : new HeaderRules(
            Additions($"{owner}: request_headers_to_add", requestAdd), Removals($"{owner}: request_headers_to_remove", requestRemove),
            Additions($"{owner}: response_headers_to_add", responseAdd), Removals($"{owner}: response_headers_to_remove", responseRemove));

    static List<HeaderAddition> Additions(string field, IReadOnlyList<HeaderValueOption> options) =>
        [.. options.Select((option, i) => Addition($"{field}[{i}]", option)).OfType<HeaderAddition>()];

    /// <returns>Null for one without a value that is not kept then.</returns>
    static HeaderAddition? Addition(string field, HeaderValueOption option)
    {
        var name = Name($"{field}.header.key", option.Header?.Key ?? "");
        if (NeverAdded.Contains(name))
        {
            throw new ConfigException($"{field}.header.key: {name} {(name == "host" ? "is rewritten by host_rewrite_literal alone" : "is the proxy's own to write")}");
        }

        if (option.AppendAction is Actions.AddIfAbsent or Actions.OverwriteIfExists)
        {
            throw new ConfigException($"{field}.append_action: {option.AppendAction} is not supported");
        }

        if (option.Append is not null && option.AppendAction != Actions.AppendIfExistsOrAdd)
        {
            throw new ConfigException($"{field}: append and append_action exclude each other");
        }

        var value = Value($"{field}.header.value", option.Header!.Value);
        return value.Length == 0 && !option.KeepEmptyValue ? null
            : new HeaderAddition(name, value, option.AppendAction == Actions.OverwriteIfExistsOrAdd || option.Append == false);
    }

    static IEnumerable<string> Removals(string field, IReadOnlyList<string> names) => [.. names.Select((n, i) =>
    {
        var name = Name($"{field}[{i}]", n);
        return NeverRemoved.Contains(name) ? throw new ConfigException($"{field}[{i}]: {name} is the proxy's own to write") : name;
    })];

    static string Name(string field, string name)
    {
        var lower = name.ToLowerInvariant();
        return lower.StartsWith(':') ? throw new ConfigException($"{field}: {lower} is no header, and cannot be changed like one")
            : lower.Length > 0 && lower.All(c => c < 0x80 && HeadParser.IsToken((byte)c)) ? lower
            : throw new ConfigException($"{field}: \"{name}\" is no header name");
    }

    /// <summary>With <c>%%</c> as a percent sign, as in Envoy. What would be put in place of <c>%OPERATOR%</c> is not known here.</summary>
    static string Value(string field, string value)
    {
        if (value.Any(c => c < ' ' && c != '\t' || c == 0x7F))
        {
            throw new ConfigException($"{field}: a control character is in it");
        }

        var result = new StringBuilder();
        for (var at = 0; at < value.Length; at++)
        {
            if (value[at] == '%' && !(at + 1 < value.Length && value[++at] == '%'))
            {
                var end = value.IndexOf('%', Math.Min(at, value.Length - 1));
                throw new ConfigException(at < value.Length && end > at
                    ? $"{field}: %{value[at..end]}% is not supported" : $"{field}: a percent sign is written %%");
            }

            result.Append(value[at]);
        }

        return result.ToString();
    }
}
