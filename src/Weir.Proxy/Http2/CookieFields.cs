using Weir.Proxy.Http;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Http2;

/// <summary>
/// Cookies may come as several fields, but go on as one (RFC 9113 section 8.2.3). The usual ones come in a row: what was read last
/// moves up to the one before, and no byte is copied twice.
/// </summary>
static class CookieFields
{
    /// <summary>Adds one to those before.</summary>
    /// <param name="index">Of the field that has those before.</param>
    /// <returns>False when there is no room.</returns>
    public static bool TryJoin(BufferPool buffers, int maximumBytes, FieldBlock fields, MessageHead head, int index, Slice name, Slice value)
    {
        var before = head.Headers[index].Value;
        if (before.Start + before.Length != name.Start)
        {
            // Other fields stand between: the one before is moved behind them first.
            var length = before.Length + name.Length + value.Length;
            if (fields.Room.Length < length && !fields.Grow(buffers, length, maximumBytes))
            {
                return false;
            }

            before.Of(fields.Bytes).CopyTo(fields.Room);
            before = fields.Take(before.Length);
            var moved = fields.Take(name.Length + value.Length);
            (name, value) = (new Slice(moved.Start, name.Length), CopyOf(fields, value, moved.Start + name.Length));
        }

        var bytes = fields.Writable;
        "; "u8.CopyTo(bytes[name.Start..]);
        value.Of(bytes).CopyTo(bytes[(name.Start + 2)..]);
        fields.Drop(name.Length - 2);
        head.Headers.ReplaceValue(index, new Slice(before.Start, before.Length + 2 + value.Length));
        return true;
    }

    static Slice CopyOf(FieldBlock fields, Slice value, int to)
    {
        value.Of(fields.Bytes).CopyTo(fields.Writable[to..]);
        return new Slice(to, value.Length);
    }
}
