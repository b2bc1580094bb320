using System.Buffers;
using System.Buffers.Text;
using System.Text;

namespace Weir.Proxy.Telemetry;

/// <summary>Metrics as they are written: into one growing array, without a string for each line.</summary>
sealed class Utf8Text
{
    /// <summary>A line without its labels: name, bound and value.</summary>
    const int MaximumRest = 256;

    readonly ArrayBufferWriter<byte> bytes = new(64 * 1024);

    public byte[] ToArray() => bytes.WrittenSpan.ToArray();

    public void Begin(string name, string type, string help) => Encoding.UTF8.GetBytes($"# HELP {name} {help}\n# TYPE {name} {type}\n", bytes);

    public void Sample(string name, ReadOnlySpan<byte> labels, long value)
    {
        var target = bytes.GetSpan(labels.Length + MaximumRest);
        var length = Start(target, name, labels, "");
        Utf8Formatter.TryFormat(value, target[length..], out var written);
        End(target, length + written);
    }

    public void Sample(string name, ReadOnlySpan<byte> labels, double value)
    {
        var target = bytes.GetSpan(labels.Length + MaximumRest);
        var length = Start(target, name, labels, "");
        Utf8Formatter.TryFormat(value, target[length..], out var written);
        End(target, length + written);
    }

    public void Bucket(string name, ReadOnlySpan<byte> labels, string bound, long value)
    {
        var target = bytes.GetSpan(labels.Length + MaximumRest);
        var length = Start(target, name, labels, bound);
        Utf8Formatter.TryFormat(value, target[length..], out var written);
        End(target, length + written);
    }

    static int Start(Span<byte> target, string name, ReadOnlySpan<byte> labels, string bound)
    {
        var length = Encoding.ASCII.GetBytes(name, target);
        if (!labels.IsEmpty)
        {
            target[length++] = (byte)'{';
            labels.CopyTo(target[length..]);
            length += labels.Length;
            if (bound.Length > 0)
            {
                ",le=\""u8.CopyTo(target[length..]);
                length += 5;
                length += Encoding.ASCII.GetBytes(bound, target[length..]);
                target[length++] = (byte)'"';
            }

            target[length++] = (byte)'}';
        }

        target[length++] = (byte)' ';
        return length;
    }

    void End(Span<byte> target, int length)
    {
        target[length++] = (byte)'\n';
        bytes.Advance(length);
    }
}
