using System.Diagnostics;
using System.IO.Pipes;
using System.Text;
using Weir.Proxy.Telemetry;

namespace Weir.Proxy.Tests;

public class LogSinkTests
{
    const int LineLength = 1000;

    static byte[] Line(int number) => Encoding.ASCII.GetBytes($"{number}".PadRight(LineLength - 1, '.') + "\n");

    [Fact]
    public async Task A_reader_that_does_not_read_stops_nobody_and_what_does_not_fit_is_counted()
    {
        using var pipe = new AnonymousPipeServerStream(PipeDirection.Out);
        await using var reader = new AnonymousPipeClientStream(PipeDirection.In, pipe.GetClientHandleAsString());
        long dropped = 0;
        var sink = new LogSink((int)pipe.SafePipeHandle.DangerousGetHandle(), ownsDescriptor: false, n => Interlocked.Add(ref dropped, n));
        const int lines = 10_000;

        var started = Stopwatch.GetTimestamp();
        for (var i = 0; i < lines; i++)
        {
            sink.Append(Line(i), 1);
        }

        Assert.True(Stopwatch.GetElapsedTime(started) < TimeSpan.FromSeconds(5));
        Assert.False(sink.Flush(TimeSpan.FromMilliseconds(1)));
        Assert.InRange(lines - dropped, 500, (LogSink.MaximumBlocks + 3) * (long)LogSink.BlockSize / LineLength);

        // Once it is read, every line that was not counted as dropped is there, whole and in order.
        sink.Close();
        var text = new byte[(lines - dropped) * LineLength];
        await reader.ReadExactlyAsync(text).AsTask().WaitAsync(TimeSpan.FromSeconds(10));
        var numbers = Encoding.ASCII.GetString(text).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => int.Parse(l.TrimEnd('.'), null)).ToList();
        Assert.All(numbers.Zip(numbers.Skip(1)), n => Assert.True(n.First < n.Second));
        Assert.True(sink.Flush(TimeSpan.FromSeconds(10)));
    }

    [Fact]
    public async Task A_flush_waits_until_the_last_line_is_written()
    {
        using var pipe = new AnonymousPipeServerStream(PipeDirection.Out);
        await using var reader = new AnonymousPipeClientStream(PipeDirection.In, pipe.GetClientHandleAsString());
        var sink = new LogSink((int)pipe.SafePipeHandle.DangerousGetHandle(), ownsDescriptor: false, _ => { });

        sink.Append("one\n"u8, 1);
        Assert.True(sink.Flush(TimeSpan.FromSeconds(10)));

        var text = new byte[64];
        Assert.Equal(4, await reader.ReadAsync(text));
    }

    [Fact]
    public void Lines_that_nobody_can_read_any_more_are_counted()
    {
        using var pipe = new AnonymousPipeServerStream(PipeDirection.Out);
        pipe.DisposeLocalCopyOfClientHandle();
        long dropped = 0;
        var sink = new LogSink((int)pipe.SafePipeHandle.DangerousGetHandle(), ownsDescriptor: false, n => Interlocked.Add(ref dropped, n));

        sink.Append("one\ntwo\n"u8, 2);

        Assert.True(sink.Flush(TimeSpan.FromSeconds(10)));
        Assert.True(SpinWait.SpinUntil(() => Interlocked.Read(ref dropped) == 2, TimeSpan.FromSeconds(10)));
    }

    [Fact]
    public void Handing_over_lines_allocates_nothing_once_the_queue_is_warm()
    {
        using var file = new FileStream("/dev/null", FileMode.Open, FileAccess.Write);
        var sink = new LogSink((int)file.SafeFileHandle.DangerousGetHandle(), ownsDescriptor: false, _ => { });
        var line = Line(1);
        void Rounds(int count)
        {
            for (var i = 0; i < count; i++)
            {
                sink.Append(line, 1);
            }

            Assert.True(sink.Flush(TimeSpan.FromSeconds(10)));
        }

        Rounds(10_000);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 50; i++)
        {
            Rounds(20);
        }

        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1024);
    }

    [Fact]
    public async Task The_process_log_goes_on_without_its_reader_and_says_afterwards_what_is_missing()
    {
        using var pipe = new AnonymousPipeServerStream(PipeDirection.Out);
        await using var reader = new AnonymousPipeClientStream(PipeDirection.In, pipe.GetClientHandleAsString());
        await using var writer = QueuedWriter.To(pipe.SafePipeHandle);
        var log = new ProxyLog(TimeProvider.System, writer);
        var message = new string('x', 5000);

        while (writer.Dropped == 0)
        {
            log.Info(message);
        }

        var dropped = writer.Dropped;
        var text = new StringBuilder();
        var reading = Task.Run(async () =>
        {
            var buffer = new byte[64 * 1024];
            while (!text.ToString().Contains("after", StringComparison.Ordinal))
            {
                text.Append(Encoding.UTF8.GetString(buffer, 0, await reader.ReadAsync(buffer)));
            }
        });
        Assert.True(writer.Flush(TimeSpan.FromSeconds(10)));
        log.Info("after");
        await reading.WaitAsync(TimeSpan.FromSeconds(10));

        Assert.Contains($"{dropped} lines of this log were dropped", text.ToString());
    }
}
