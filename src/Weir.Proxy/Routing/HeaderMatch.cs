using System.Buffers;
using System.Buffers.Text;
using Weir.Proxy.Http;
using Weir.Proxy.Matching;

namespace Weir.Proxy.Routing;

/// <summary>A condition on a header, or on <c>:method</c>, <c>:path</c>, <c>:scheme</c> or <c>:authority</c>. One of its kinds is given.</summary>
/// <param name="Name">In lower case.</param>
/// <param name="IsPresent">It must be there, or must not.</param>
/// <param name="Value">Of a header that came several times: all values with commas between them.</param>
/// <param name="Range">The value is a number of it; the end does not belong to it.</param>
/// <param name="MissingIsEmpty">Otherwise no condition on its value is met by a header that is not there, inverted or not.</param>
sealed record HeaderMatch(byte[] Name, bool? IsPresent, StringMatch? Value, (long Start, long End)? Range, bool IsInverted, bool MissingIsEmpty)
{
    const int MaximumOnStack = 512;

    public bool Matches(MessageHead head, ReadOnlySpan<byte> buffer, bool isSecure)
    {
        if (Name[0] == ':')
        {
            return Meets(true, Pseudo(head, buffer, isSecure));
        }

        int count = 0, length = 0;
        Slice first = default;
        for (var i = 0; i < head.Headers.Count; i++)
        {
            ref readonly var header = ref head.Headers[i];
            if (header.Name.Length == Name.Length && Ascii.EqualsLower(header.Name.Of(buffer), Name))
            {
                first = count++ == 0 ? header.Value : first;
                length += header.Value.Length + 1;
            }
        }

        return count <= 1 ? Meets(count == 1, count == 1 ? first.Of(buffer) : default) : MeetsJoined(head, buffer, length);
    }

    ReadOnlySpan<byte> Pseudo(MessageHead head, ReadOnlySpan<byte> buffer, bool isSecure) =>
        Name.AsSpan().SequenceEqual(":method"u8) ? head.Method.Of(buffer)
        : Name.AsSpan().SequenceEqual(":scheme"u8) ? (isSecure ? "https"u8 : "http"u8)
        : Name.AsSpan().SequenceEqual(":path"u8) ? (head.Target.Length == 0 ? "/"u8 : head.Target.Of(buffer))
        : head.Authority.Of(buffer);

    bool MeetsJoined(MessageHead head, ReadOnlySpan<byte> buffer, int length)
    {
        var rented = length <= MaximumOnStack ? null : ArrayPool<byte>.Shared.Rent(length);
        Span<byte> joined = rented is null ? stackalloc byte[length] : rented;
        var at = 0;
        for (var i = 0; i < head.Headers.Count; i++)
        {
            ref readonly var header = ref head.Headers[i];
            if (header.Name.Length == Name.Length && Ascii.EqualsLower(header.Name.Of(buffer), Name))
            {
                header.Value.Of(buffer).CopyTo(joined[at..]);
                at += header.Value.Length;
                joined[at++] = (byte)',';
            }
        }

        var meets = Meets(true, joined[..(at - 1)]);
        if (rented is not null)
        {
            ArrayPool<byte>.Shared.Return(rented);
        }

        return meets;
    }

    bool Meets(bool isThere, ReadOnlySpan<byte> value)
    {
        isThere |= MissingIsEmpty;
        if (IsPresent is { } wanted)
        {
            return (isThere == wanted) != IsInverted;
        }

        return isThere && (Value?.Matches(value) ?? IsInRange(value)) != IsInverted;
    }

    bool IsInRange(ReadOnlySpan<byte> value) => Range is var (start, end)
        && Utf8Parser.TryParse(value, out long number, out var digits) && digits == value.Length && start <= number && number < end;
}

/// <summary>A condition on a parameter of the query: on its value, or on whether it is there.</summary>
sealed record QueryMatch(byte[] Name, bool? IsPresent, StringMatch? Value)
{
    /// <param name="query">Without the question mark.</param>
    public bool Matches(ReadOnlySpan<byte> query)
    {
        var isThere = QueryString.TryGet(query, Name, out var value);
        return IsPresent is { } wanted ? isThere == wanted : isThere && Value!.Matches(value);
    }
}
