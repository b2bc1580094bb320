using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace Weir.Proxy.Telemetry;

/// <summary>
/// Text for a <see cref="LogSink"/>: a line handed to it never waits for the other end. After lines were dropped the next one says how
/// many. Callable from any thread.
/// </summary>
public sealed class QueuedWriter : TextWriter
{
    const int StandardErrorDescriptor = 2;

    /// <summary>Bytes of a line; a longer one is cut, visibly.</summary>
    const int MaximumLine = 16 * 1024;

    readonly LogSink sink;
    long dropped;
    long reported;

    QueuedWriter(int descriptor) => sink = new LogSink(descriptor, ownsDescriptor: false, count => Interlocked.Add(ref dropped, count));

    public static QueuedWriter StandardError() => new(StandardErrorDescriptor);

    /// <summary>Stays its owner's, who must not close it while lines are written.</summary>
    public static QueuedWriter To(SafeHandle file) => new((int)file.DangerousGetHandle());

    public override Encoding Encoding => Encoding.UTF8;

    /// <summary>Lines that did not fit.</summary>
    public long Dropped => Interlocked.Read(ref dropped);

    public override void Write(char value) => Append(value.ToString());

    public override void Write(string? value) => Append(value ?? "");

    public override void WriteLine(string? value)
    {
        var before = Dropped;
        var last = Interlocked.Exchange(ref reported, before);
        if (before > last)
        {
            Append(string.Create(CultureInfo.InvariantCulture, $"{before - last} lines of this log were dropped: it is not read fast enough\n"));
        }

        Append(value + "\n");
    }

    /// <summary>Waits until everything is written, at most so long.</summary>
    public bool Flush(TimeSpan limit) => sink.Flush(limit);

    void Append(string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        if (bytes.Length > MaximumLine)
        {
            var end = MaximumLine;
            while ((bytes[end] & 0xc0) == 0x80)
            {
                end--;
            }

            bytes = [.. bytes.AsSpan(0, end), .. LogLine.Mark, (byte)'\n'];
        }

        sink.Append(bytes, 1);
    }
}
