using System.Text;
using Envoy.Config.Core.V3;
using Weir.Proxy.Http1;

namespace Weir.Proxy.Filters;

/// <summary>What is added to, set on and removed from the headers of a message. Names are kept in lower case.</summary>
public sealed class HeaderRules
{
    readonly byte[][] requestRemoved;
    readonly byte[][] responseRemoved;
    readonly byte[] requestAdded;
    readonly byte[] responseAdded;

    public static readonly HeaderRules None = new([], [], [], []);

    /// <exception cref="ArgumentException">An action on a header cannot be carried out.</exception>
    public HeaderRules(
        IReadOnlyList<HeaderValueOption> requestAdd, IEnumerable<string> requestRemove,
        IReadOnlyList<HeaderValueOption> responseAdd, IEnumerable<string> responseRemove)
    {
        if (requestAdd.Concat(responseAdd).FirstOrDefault(o => o.AppendAction is
            HeaderValueOption.Types.HeaderAppendAction.AddIfAbsent or HeaderValueOption.Types.HeaderAppendAction.OverwriteIfExists) is { } other)
        {
            throw new ArgumentException($"header {other.Header.Key}: append_action {other.AppendAction} is not supported");
        }

        // Setting is removing and adding.
        requestRemoved = Names(requestRemove.Concat(Overwritten(requestAdd)));
        responseRemoved = Names(responseRemove.Concat(Overwritten(responseAdd)));
        requestAdded = Lines(requestAdd);
        responseAdded = Lines(responseAdd);
    }

    /// <summary>Bytes that are added.</summary>
    public int RequestLength => requestAdded.Length;

    public int ResponseLength => responseAdded.Length;

    public bool RemovesFromRequest(ReadOnlySpan<byte> name) => requestRemoved.Length > 0 && Contains(requestRemoved, name);

    public bool RemovesFromResponse(ReadOnlySpan<byte> name) => responseRemoved.Length > 0 && Contains(responseRemoved, name);

    public void WriteRequest(ref HeadWriter writer) => writer.Write(requestAdded);

    public void WriteResponse(ref HeadWriter writer) => writer.Write(responseAdded);

    static IEnumerable<string> Overwritten(IEnumerable<HeaderValueOption> options) => options
        .Where(o => o.AppendAction is HeaderValueOption.Types.HeaderAppendAction.OverwriteIfExistsOrAdd)
        .Select(o => o.Header.Key);

    static byte[][] Names(IEnumerable<string> names) => [.. names.Select(n => Encoding.ASCII.GetBytes(n.ToLowerInvariant()))];

    static byte[] Lines(IEnumerable<HeaderValueOption> options) =>
        Encoding.Latin1.GetBytes(string.Concat(options.Select(o => $"{o.Header.Key.ToLowerInvariant()}: {Clean(o.Header.Value)}\r\n")));

    /// <summary>A value with a line break in it would be two headers.</summary>
    static string Clean(string value) => value.Replace("\r", "", StringComparison.Ordinal).Replace("\n", "", StringComparison.Ordinal);

    static bool Contains(byte[][] names, ReadOnlySpan<byte> name)
    {
        foreach (var candidate in names)
        {
            if (Http1.Ascii.EqualsLower(name, candidate))
            {
                return true;
            }
        }

        return false;
    }
}
