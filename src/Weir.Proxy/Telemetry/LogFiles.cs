using System.Globalization;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Telemetry;

/// <summary>An open log file, each loop's buffer in front of it, and its writer. Closed when no log uses it any more.</summary>
sealed class LogFile(LogFiles files, LogSink sink, int loops)
{
    readonly LogBuffer?[] buffers = new LogBuffer?[loops];

    // What is queued is still written.
    ~LogFile() => sink.Close();

    public LogSink Sink => sink;

    public LogBuffer BufferOf(EventLoop loop) => buffers[loop.Index] ??= new LogBuffer(this, files.TurnOf(loop));

    public void Append(ReadOnlySpan<byte> lines, int count) => sink.Append(lines, count);
}

/// <summary>The log files of a process, by path; two logs to one path share it.</summary>
sealed class LogFiles(int loops, ProxyLog log)
{
    const int AppendToNew = 0x1 | 0x40 | 0x400 | Native.SockCloseOnExec | Native.SockNonBlock;
    const int StandardOutput = 1;
    const int StandardError = 2;

    readonly Lock gate = new();
    readonly Dictionary<string, WeakReference<LogFile>> files = [];
    readonly HashSet<string> tooSlow = [];
    readonly LogTurn?[] turns = new LogTurn?[loops];
    long dropped;

    /// <summary>Lines that did not fit because a file was not written fast enough, or could not be written.</summary>
    public long Dropped => Interlocked.Read(ref dropped);

    /// <exception cref="IOException">It cannot be opened.</exception>
    public LogFile Open(string path)
    {
        lock (gate)
        {
            if (files.TryGetValue(path, out var reference) && reference.TryGetTarget(out var known))
            {
                return known;
            }

            foreach (var (gone, _) in files.Where(f => !f.Value.TryGetTarget(out _)).ToList())
            {
                files.Remove(gone);
            }

            var descriptor = path switch
            {
                "/dev/stdout" => StandardOutput,
                "/dev/stderr" => StandardError,
                _ => Native.Open(path, AppendToNew, 0x1a0),
            };
            if (descriptor < 0)
            {
                throw new IOException($"access log {path}: {Failure.OfErrno(Native.Errno)}");
            }

            var file = new LogFile(this, new LogSink(descriptor, descriptor > StandardError, count => Drop(path, count)), loops);
            files[path] = new WeakReference<LogFile>(file);
            return file;
        }
    }

    /// <summary>On the loop's thread.</summary>
    public LogTurn TurnOf(EventLoop loop) => turns[loop.Index] ??= new LogTurn(loop);

    /// <summary>Waits until all that has been handed over is written, at most so long.</summary>
    public bool Flush(TimeSpan limit)
    {
        List<LogFile> open;
        lock (gate)
        {
            open = [.. files.Values.Select(f => f.TryGetTarget(out var file) ? file : null).OfType<LogFile>()];
        }

        var deadline = Environment.TickCount64 + (long)limit.TotalMilliseconds;
        return open.TrueForAll(f => f.Sink.Flush(TimeSpan.FromMilliseconds(Math.Max(deadline - Environment.TickCount64, 0))));
    }

    void Drop(string path, int lines)
    {
        Interlocked.Add(ref dropped, lines);
        bool isFirst;
        lock (tooSlow)
        {
            isFirst = tooSlow.Add(path);
        }

        if (isFirst)
        {
            log.Warning(string.Create(CultureInfo.InvariantCulture, $"access log {path} is not written fast enough: lines are dropped, weir_proxy_access_log_dropped_total counts them"));
        }
    }
}
