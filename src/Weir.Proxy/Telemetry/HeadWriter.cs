using System.Buffers.Text;

namespace Weir.Proxy.Telemetry;

/// <summary>Appends to a buffer that does not grow; what no longer fits sets <see cref="IsFull"/> instead of throwing.</summary>
public ref struct HeadWriter(Span<byte> target)
{
    readonly Span<byte> target = target;

    public int Length { get; private set; }

    public bool IsFull { get; private set; }

    public void Write(scoped ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > target.Length - Length)
        {
            IsFull = true;
            return;
        }

        bytes.CopyTo(target[Length..]);
        Length += bytes.Length;
    }

    public void Write(long number)
    {
        if (Utf8Formatter.TryFormat(number, target[Length..], out var written))
        {
            Length += written;
        }
        else
        {
            IsFull = true;
        }
    }

    public void WriteHeader(scoped ReadOnlySpan<byte> name, scoped ReadOnlySpan<byte> value)
    {
        Write(name);
        Write(": "u8);
        Write(value);
        Write("\r\n"u8);
    }
}
