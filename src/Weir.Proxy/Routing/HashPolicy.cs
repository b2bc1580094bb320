using System.Buffers.Binary;
using Weir.Proxy.Http;
using Weir.Proxy.LoadBalancing;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Routing;

public enum HashSource
{
    Header,
    Cookie,
    SourceAddress,
    Query,
}

/// <summary>What of a request says which endpoint it belongs to, where the cluster keeps keys together.</summary>
/// <param name="Name">Of the header (lower case), cookie or parameter.</param>
/// <param name="CookieSeconds">A client without the cookie is given one that lasts so long; null to give none.</param>
/// <param name="IsTerminal">If it gives a hash, the policies after it are not asked.</param>
public sealed record HashPolicy(HashSource Source, byte[] Name, long? CookieSeconds, string CookiePath, bool IsTerminal)
{
    /// <summary>All policies' hashes combined; null when none applies, and the choice is free.</summary>
    internal static ulong? Compute(HashPolicy[] policies, MessageHead head, ReadOnlySpan<byte> buffer, SocketAddressV4 peer)
    {
        ulong? result = null;
        foreach (var policy in policies)
        {
            if (policy.Hash(head, buffer, peer) is { } hash)
            {
                result = result is { } before ? ulong.RotateLeft(before, 1) ^ hash : hash;
                if (policy.IsTerminal)
                {
                    break;
                }
            }
        }

        return result;
    }

    ulong? Hash(MessageHead head, ReadOnlySpan<byte> buffer, SocketAddressV4 peer)
    {
        switch (Source)
        {
            case HashSource.SourceAddress:
                return OfAddress(peer);
            case HashSource.Header:
                return head.Headers.TryGet(buffer, Name, out var value) ? XxHash64.Hash(value.Of(buffer)) : null;
            case HashSource.Cookie:
                return FindCookie(head, buffer) is { Length: > 0 } cookie ? XxHash64.Hash(cookie) : null;
            default:
                var target = head.Target.Of(buffer);
                var question = target.IndexOf((byte)'?');
                return question >= 0 && QueryString.TryGet(target[(question + 1)..], Name, out var found) ? XxHash64.Hash(found) : null;
        }
    }

    /// <summary>Empty when the client did not send it.</summary>
    internal ReadOnlySpan<byte> FindCookie(MessageHead head, ReadOnlySpan<byte> buffer)
    {
        for (var i = 0; i < head.Headers.Count; i++)
        {
            ref readonly var header = ref head.Headers[i];
            if (!Ascii.EqualsLower(header.Name.Of(buffer), "cookie"u8))
            {
                continue;
            }

            var rest = header.Value.Of(buffer);
            while (!rest.IsEmpty)
            {
                var end = rest.IndexOf((byte)';');
                var pair = Ascii.Trim(end < 0 ? rest : rest[..end]);
                rest = end < 0 ? default : rest[(end + 1)..];
                var equals = pair.IndexOf((byte)'=');
                if (equals > 0 && pair[..equals].SequenceEqual(Name))
                {
                    return pair[(equals + 1)..];
                }
            }
        }

        return default;
    }

    public static ulong OfAddress(SocketAddressV4 address)
    {
        Span<byte> text = stackalloc byte[24];
        return XxHash64.Hash(text[..address.Format(text, withPort: false)]);
    }
}

/// <summary>Parameters of a URL's query, not decoded.</summary>
static class QueryString
{
    public static bool TryGet(ReadOnlySpan<byte> query, ReadOnlySpan<byte> name, out ReadOnlySpan<byte> value)
    {
        while (!query.IsEmpty)
        {
            var end = query.IndexOf((byte)'&');
            var pair = end < 0 ? query : query[..end];
            query = end < 0 ? default : query[(end + 1)..];
            var equals = pair.IndexOf((byte)'=');
            if ((equals < 0 ? pair : pair[..equals]).SequenceEqual(name))
            {
                value = equals < 0 ? default : pair[(equals + 1)..];
                return true;
            }
        }

        value = default;
        return false;
    }
}
