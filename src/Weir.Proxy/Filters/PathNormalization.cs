using System.Text;
using Weir.Proxy.Http;

namespace Weir.Proxy.Filters;

/// <summary>Brings paths into one form before anything is decided by them.</summary>
sealed class PathNormalization(PathRules rules) : HttpFilter
{
    public override FilterHooks Hooks => FilterHooks.Request;

    /// <summary>In place: a path never grows by it.</summary>
    public override FilterVerdict OnRequest(IFilteredExchange exchange)
    {
        var request = exchange.Request;
        var bytes = exchange.RequestBytes;
        if (request.Target.Length == 0 || bytes[request.Target.Start] != '/')
        {
            return FilterVerdict.Continue;
        }

        var target = bytes.Slice(request.Target.Start, request.Target.Length);
        var question = target.IndexOf((byte)'?');
        var path = question < 0 ? target : target[..question];
        var verdict = rules.Apply(path, out var length);
        if (verdict == PathVerdict.Unsafe)
        {
            exchange.Reply(Cause.UnsafePath);
            return FilterVerdict.Reply;
        }

        target[path.Length..].CopyTo(target[length..]);
        request.Target = new Slice(request.Target.Start, target.Length - path.Length + length);
        if (verdict != PathVerdict.Redirect)
        {
            return FilterVerdict.Continue;
        }

        exchange.Reply(307, [], [], Encoding.Latin1.GetString(request.Target.Of(bytes)));
        return FilterVerdict.Reply;
    }
}
