using System.Runtime.InteropServices;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Telemetry;

/// <summary>Where one kind of log line goes. The file is opened once and only appended to.</summary>
sealed class AccessLog(AccessLogFormat format, LogFile file, int loops)
{
    readonly LogBuffer?[] byLoop = new LogBuffer?[loops];

    public AccessLogFormat Format => format;

    public void Write(EventLoop loop, ILogSubject subject)
    {
        var buffer = byLoop[loop.Index] ??= file.BufferOf(loop);
        buffer.Write(format, subject);
    }
}

/// <summary>An open log file, and each loop's buffer in front of it.</summary>
sealed class LogFile(int descriptor, int loops)
{
    readonly LogBuffer?[] buffers = new LogBuffer?[loops];

    public LogBuffer BufferOf(EventLoop loop) => buffers[loop.Index] ??= new LogBuffer(loop, descriptor);
}

/// <summary>The log files of a process, by path; two logs to one path share it.</summary>
sealed class LogFiles(int loops)
{
    const int AppendToNew = 0x1 | 0x40 | 0x400 | Native.SockCloseOnExec | Native.SockNonBlock;
    const int StandardOutput = 1;
    const int StandardError = 2;

    readonly Dictionary<string, LogFile> files = [];

    /// <exception cref="IOException">It cannot be opened.</exception>
    public LogFile Open(string path)
    {
        if (!files.TryGetValue(path, out var file))
        {
            var descriptor = path switch
            {
                "/dev/stdout" => StandardOutput,
                "/dev/stderr" => StandardError,
                _ => Native.Open(path, AppendToNew, 0x1a0),
            };
            if (descriptor < 0)
            {
                throw new IOException($"access log {path}: errno {Marshal.GetLastPInvokeError()}");
            }

            files[path] = file = new LogFile(descriptor, loops);
        }

        return file;
    }
}

/// <summary>Lines of one loop for one file, written once a turn.</summary>
sealed unsafe class LogBuffer
{
    const int MaximumLine = 16 * 1024;
    readonly byte[] buffer = new byte[64 * 1024];
    readonly int descriptor;
    int length;

    public LogBuffer(EventLoop loop, int descriptor)
    {
        this.descriptor = descriptor;
        loop.AfterTurn(Flush);
    }

    public void Write(AccessLogFormat format, ILogSubject subject)
    {
        if (buffer.Length - length < MaximumLine)
        {
            Flush();
        }

        length += format.Write(buffer.AsSpan(length, MaximumLine), subject);
    }

    void Flush()
    {
        fixed (byte* start = buffer)
        {
            var written = 0;
            while (written < length)
            {
                var result = Native.Write(descriptor, start + written, length - written);
                if (result <= 0)
                {
                    // Nobody reads the log, or the disk is full: requests go on without it.
                    break;
                }

                written += (int)result;
            }
        }

        length = 0;
    }
}
