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

/// <summary>Lines of one loop for one file, handed to its writer once a turn.</summary>
/// <param name="turn">Where it waits for the end of the turn.</param>
sealed class LogBuffer(LogFile file, LogTurn turn)
{
    readonly byte[] bytes = GC.AllocateUninitializedArray<byte>(LogSink.BlockSize, pinned: true);
    int length;
    int lines;

    public void Write(AccessLogFormat format, ILogSubject subject)
    {
        if (bytes.Length - length < AccessLogFormat.MaximumLine)
        {
            Flush();
        }

        if (lines == 0)
        {
            turn.Add(this);
        }

        length += format.Write(bytes.AsSpan(length), subject);
        lines++;
    }

    public void Flush()
    {
        if (lines > 0)
        {
            file.Append(bytes.AsSpan(0, length), lines);
            length = lines = 0;
        }
    }
}

/// <summary>The buffers of one loop that got lines in this turn.</summary>
sealed class LogTurn
{
    readonly List<LogBuffer> used = [];

    public LogTurn(EventLoop loop) => loop.AfterTurn(Flush);

    public void Add(LogBuffer buffer) => used.Add(buffer);

    void Flush()
    {
        foreach (var buffer in used)
        {
            buffer.Flush();
        }

        used.Clear();
    }
}
