using System.Buffers;
using System.Buffers.Binary;
using System.Globalization;
using Weir.Proxy.Http;

namespace Weir.Proxy.Tracing;

/// <summary>
/// Where a request stands in its trace, as W3C Trace Context (traceparent) and B3 (one header or several) carry it. Malformed
/// headers count as none.
/// </summary>
struct TraceContext
{
    static readonly SearchValues<byte> LowerHex = SearchValues.Create("0123456789abcdef"u8);


    public ulong TraceHigh;
    public ulong TraceLow;
    public ulong SpanId;
    public ulong ParentId;
    public bool IsSampled;

    /// <summary>The client spoke B3, so what is sent on does as well.</summary>
    public bool IsB3;

    /// <summary>A decision came with the request; it is kept.</summary>
    public bool HasDecision;

    public readonly bool IsValid => (TraceHigh | TraceLow) != 0;

    /// <summary>Headers that are replaced by what this context writes.</summary>
    public static bool IsTraceHeader(ReadOnlySpan<byte> name) => name.Length switch
    {
        2 => Ascii.EqualsLower(name, "b3"u8),
        10 => Ascii.EqualsLower(name, "x-b3-flags"u8),
        11 => Ascii.EqualsLower(name, "traceparent"u8) || Ascii.EqualsLower(name, "x-b3-spanid"u8),
        12 => Ascii.EqualsLower(name, "x-b3-traceid"u8) || Ascii.EqualsLower(name, "x-b3-sampled"u8),
        17 => Ascii.EqualsLower(name, "x-b3-parentspanid"u8),
        _ => false,
    };

    public static TraceContext Read(MessageHead head, ReadOnlySpan<byte> buffer)
    {
        var context = default(TraceContext);
        if (head.Headers.TryGet(buffer, "traceparent"u8, out var parent) && context.ReadW3C(parent.Of(buffer)))
        {
            return context;
        }

        context = default;
        if (head.Headers.TryGet(buffer, "b3"u8, out var single) && context.ReadB3(single.Of(buffer)))
        {
            return context;
        }

        context = default;
        if (head.Headers.TryGet(buffer, "x-b3-traceid"u8, out var trace) && context.ReadTraceId(trace.Of(buffer))
            && head.Headers.TryGet(buffer, "x-b3-spanid"u8, out var span) && TryHex(span.Of(buffer), out context.ParentId))
        {
            context.IsB3 = true;
            var debug = head.Headers.TryGet(buffer, "x-b3-flags"u8, out var flags) && flags.Of(buffer).SequenceEqual("1"u8);
            context.HasDecision = head.Headers.TryGet(buffer, "x-b3-sampled"u8, out var sampled) || debug;
            context.IsSampled = debug || (context.HasDecision && sampled.Of(buffer) is [(byte)'1'] or [(byte)'t', ..]);
            return context;
        }

        return default;
    }

    /// <summary>version-traceid-parentid-flags, of which version ff is invalid (W3C Trace Context section 3.2.2).</summary>
    bool ReadW3C(ReadOnlySpan<byte> text)
    {
        if (text.Length < 55 || text[2] != '-' || text[35] != '-' || text[52] != '-' || (text.Length > 55 && text[55] != '-')
            || !TryHex(text[..2], out var version) || version == 0xff || (version == 0 && text.Length != 55)
            || !TryHex(text.Slice(3, 16), out TraceHigh) || !TryHex(text.Slice(19, 16), out TraceLow)
            || !TryHex(text.Slice(36, 16), out ParentId) || !TryHex(text.Slice(53, 2), out var flags)
            || !IsValid || ParentId == 0)
        {
            return false;
        }

        HasDecision = true;
        IsSampled = (flags & 1) != 0;
        return true;
    }

    /// <summary>traceid-spanid[-sampled[-parent]], or a decision alone.</summary>
    bool ReadB3(ReadOnlySpan<byte> text)
    {
        IsB3 = true;
        if (text.Length == 1)
        {
            // A decision without a trace: one begins here.
            HasDecision = true;
            IsSampled = text[0] is (byte)'1' or (byte)'d';
            return text[0] is (byte)'0' or (byte)'1' or (byte)'d';
        }

        var dash = text.IndexOf((byte)'-');
        if (dash < 0 || !ReadTraceId(text[..dash]) || text.Length < dash + 17 || !TryHex(text.Slice(dash + 1, 16), out ParentId))
        {
            return false;
        }

        var rest = text[(dash + 17)..];
        if (rest.Length >= 2 && rest[0] == '-')
        {
            HasDecision = true;
            IsSampled = rest[1] is (byte)'1' or (byte)'d';
        }

        return true;
    }

    bool ReadTraceId(ReadOnlySpan<byte> text) => text.Length switch
    {
        16 => TryHex(text, out TraceLow) && IsValid,
        32 => TryHex(text[..16], out TraceHigh) && TryHex(text[16..], out TraceLow) && IsValid,
        _ => false,
    };

    public readonly void WriteHeaders(ContentStream target, bool withB3)
    {
        Span<byte> parent = stackalloc byte[55];
        "00-"u8.CopyTo(parent);
        WriteHex(parent[3..], TraceHigh);
        WriteHex(parent[19..], TraceLow);
        parent[35] = (byte)'-';
        WriteHex(parent[36..], SpanId);
        (IsSampled ? "-01"u8 : "-00"u8).CopyTo(parent[52..]);
        target.Field("traceparent"u8, parent);
        if (!withB3 && !IsB3)
        {
            return;
        }

        target.Field("x-b3-traceid"u8, parent.Slice(3, 32));
        target.Field("x-b3-spanid"u8, parent.Slice(36, 16));
        if (ParentId != 0)
        {
            Span<byte> before = stackalloc byte[16];
            WriteHex(before, ParentId);
            target.Field("x-b3-parentspanid"u8, before);
        }

        target.Field("x-b3-sampled"u8, IsSampled ? "1"u8 : "0"u8);
    }

    /// <summary>Writes 32 characters.</summary>
    public readonly int FormatTraceId(Span<byte> target)
    {
        WriteHex(target, TraceHigh);
        WriteHex(target[16..], TraceLow);
        return 32;
    }

    static void WriteHex(Span<byte> target, ulong value)
    {
        for (var i = 15; i >= 0; i--, value >>= 4)
        {
            target[i] = "0123456789abcdef"u8[(int)(value & 15)];
        }
    }

    /// <summary>Lower case alone, as the specifications write it.</summary>
    static bool TryHex(ReadOnlySpan<byte> text, out ulong value)
    {
        value = 0;
        return text.IndexOfAnyExcept(LowerHex) < 0
            && ulong.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);
    }
}
