using System.Buffers;
using System.Buffers.Text;
using System.Text;
using System.Text.Unicode;

namespace Weir.Proxy.Telemetry;

/// <summary>
/// A log line while it is written: fixed text and values in turn. A value that is longer than the room it is given ends in
/// <see cref="Mark"/>, never in the middle of a character or of an escape, so that the line stays valid whatever a client sends.
/// </summary>
ref struct LogLine(Span<byte> target, bool isJson)
{
    static readonly SearchValues<byte> PlainInJson = SearchValues.Create([.. Enumerable.Range(0x20, 0x5f).Select(b => (byte)b).Where(b => b is not ((byte)'"' or (byte)'\\'))]);
    static readonly SearchValues<byte> PlainInText = SearchValues.Create([.. Enumerable.Range(0x20, 0x5f).Select(b => (byte)b), (byte)'\t']);

    readonly Span<byte> target = target;
    readonly bool isJson = isJson;
    int end;
    int allowed;
    bool isNumber;
    bool isCut;

    /// <summary>Stands where a value was cut.</summary>
    public static ReadOnlySpan<byte> Mark => "...(cut)"u8;

    public int Length { get; private set; }

    public void Literal(scoped ReadOnlySpan<byte> text)
    {
        text.CopyTo(target[Length..]);
        Length += text.Length;
    }

    /// <param name="room">Bytes that the value may take, with its escapes; at least those of the mark.</param>
    /// <param name="limit">Bytes of the value that the format asks for; the rest is left out without a mark.</param>
    /// <param name="isNumber">In JSON it stands without quotation marks.</param>
    public void BeginValue(int room, int limit, bool isNumber)
    {
        end = Length + room - Mark.Length;
        allowed = limit;
        this.isNumber = isNumber;
        isCut = false;
    }

    public void Missing()
    {
        if (isJson && isNumber)
        {
            Literal("null"u8);
        }
        else
        {
            Text("-"u8);
        }
    }

    public void TextOrMissing(scoped ReadOnlySpan<byte> value)
    {
        if (value.IsEmpty)
        {
            Missing();
        }
        else
        {
            Text(value);
        }
    }

    public void TextOrMissing(string? value)
    {
        if (string.IsNullOrEmpty(value))
        {
            Missing();
            return;
        }

        Span<byte> bytes = stackalloc byte[256];
        ReadOnlySpan<char> left = value;
        while (!left.IsEmpty && !isCut && allowed > 0)
        {
            // Whole characters alone, so that none is split between two pieces. A surrogate without its other half becomes U+FFFD.
            Utf8.FromUtf16(left, bytes, out var read, out var written);
            Text(bytes[..written]);
            left = left[read..];
        }
    }

    public void Number(long number)
    {
        Span<byte> digits = stackalloc byte[20];
        Utf8Formatter.TryFormat(number, digits, out var length);
        Text(digits[..length]);
    }

    public void Text(scoped ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty && !isCut && allowed > 0)
        {
            var plain = bytes.IndexOfAnyExcept(isJson ? PlainInJson : PlainInText);
            if (plain == 0)
            {
                bytes = bytes[Special(bytes)..];
                continue;
            }

            var run = bytes[..Math.Min(plain < 0 ? bytes.Length : plain, allowed)];
            var fitting = Math.Min(run.Length, end - Length);
            Literal(run[..fitting]);
            allowed -= run.Length;
            if (fitting < run.Length)
            {
                Cut();
            }

            bytes = bytes[run.Length..];
        }
    }

    /// <summary>A character that is not written as it is, or has more than one byte.</summary>
    /// <returns>How many bytes it has.</returns>
    int Special(scoped ReadOnlySpan<byte> bytes)
    {
        var isCharacter = Rune.DecodeFromUtf8(bytes, out var rune, out var length) == OperationStatus.Done;
        length = isCharacter ? length : 1;
        if (length > allowed)
        {
            allowed = 0;
            return length;
        }

        allowed -= length;
        Span<byte> escape = stackalloc byte[6];
        var written = isCharacter && rune.Value >= 0x80 ? bytes[..length] : escape[..Escape(bytes[0], escape)];
        if (written.Length > end - Length)
        {
            Cut();
        }
        else
        {
            Literal(written);
        }

        return length;
    }

    /// <summary>
    /// In JSON a byte that is part of no UTF-8 character is taken for Latin-1. In text it stands as it came; but what could begin
    /// another line does not.
    /// </summary>
    readonly int Escape(byte value, Span<byte> escape)
    {
        if (isJson && (value is (byte)'"' or (byte)'\\'))
        {
            escape[0] = (byte)'\\';
            escape[1] = value;
            return 2;
        }

        if (isJson)
        {
            "\\u00"u8.CopyTo(escape);
        }
        else if (value >= 0x80)
        {
            escape[0] = value;
            return 1;
        }
        else
        {
            "\\x"u8.CopyTo(escape);
        }

        var at = isJson ? 4 : 2;
        escape[at] = Hex(value >> 4);
        escape[at + 1] = Hex(value & 15);
        return at + 2;
    }

    static byte Hex(int digit) => (byte)(digit < 10 ? '0' + digit : 'a' + digit - 10);

    void Cut()
    {
        isCut = true;
        Literal(Mark);
    }
}
