using System.Text;
using Weir.Proxy.Http;

namespace Weir.Proxy.Filters;

/// <summary>A header that is added to a message, or set on it.</summary>
/// <param name="Name">In lower case; never one that frames or routes the message.</param>
/// <param name="Overwrites">What the message had under this name goes.</param>
public sealed record HeaderAddition(string Name, string Value, bool Overwrites);

/// <summary>What is added to, set on and removed from the headers of a message.</summary>
public sealed class HeaderRules
{
    readonly byte[][] requestRemoved;
    readonly byte[][] responseRemoved;

    public static readonly HeaderRules None = new([], [], [], []);

    /// <param name="requestRemove">Names in lower case.</param>
    public HeaderRules(
        IReadOnlyList<HeaderAddition> requestAdd, IEnumerable<string> requestRemove, IReadOnlyList<HeaderAddition> responseAdd, IEnumerable<string> responseRemove)
    {
        requestRemoved = Names(requestRemove, requestAdd);
        responseRemoved = Names(responseRemove, responseAdd);
        AddedToRequest = Fields(requestAdd);
        AddedToResponse = Fields(responseAdd);
    }

    public (byte[] Name, byte[] Value)[] AddedToRequest { get; }

    public (byte[] Name, byte[] Value)[] AddedToResponse { get; }

    public bool RemovesFromRequest(ReadOnlySpan<byte> name) => requestRemoved.Length > 0 && Contains(requestRemoved, name);

    public bool RemovesFromResponse(ReadOnlySpan<byte> name) => responseRemoved.Length > 0 && Contains(responseRemoved, name);

    /// <summary>Setting is removing and adding.</summary>
    static byte[][] Names(IEnumerable<string> removed, IEnumerable<HeaderAddition> added) =>
        [.. removed.Concat(added.Where(a => a.Overwrites).Select(a => a.Name)).Distinct().Select(Encoding.ASCII.GetBytes)];

    /// <summary>Of those that are set under one name the last one stays.</summary>
    static (byte[] Name, byte[] Value)[] Fields(IEnumerable<HeaderAddition> added)
    {
        var all = added.ToList();
        var last = all.Where(a => a.Overwrites).GroupBy(a => a.Name).ToDictionary(g => g.Key, g => all.LastIndexOf(g.Last()));
        return [.. all.Where((a, i) => !last.TryGetValue(a.Name, out var set) || i >= set).Select(a => (Encoding.ASCII.GetBytes(a.Name), Encoding.UTF8.GetBytes(a.Value)))];
    }

    static bool Contains(byte[][] names, ReadOnlySpan<byte> name)
    {
        foreach (var candidate in names)
        {
            if (Http.Ascii.EqualsLower(name, candidate))
            {
                return true;
            }
        }

        return false;
    }
}
