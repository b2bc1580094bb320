using Weir.Proxy.Http1;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Telemetry;

/// <summary>One line a request on standard output, collected and written once a turn of the loop.</summary>
sealed unsafe class AccessLog
{
    const int StandardOutput = 1;
    const int MaximumPath = 1024;
    readonly byte[] buffer = new byte[64 * 1024];
    readonly EventLoop loop;
    int length;
    long secondOfStamp = -1;
    readonly byte[] stamp = new byte[20];

    public AccessLog(EventLoop loop)
    {
        this.loop = loop;
        loop.AfterTurn(Flush);
    }

    /// <summary>
    /// <c>[START_TIME] "METHOD PATH PROTOCOL" CODE FLAGS BYTES_RECEIVED BYTES_SENT DURATION "AUTHORITY" "UPSTREAM_HOST" CLUSTER</c>
    /// </summary>
    public void Write(
        ReadOnlySpan<byte> method, ReadOnlySpan<byte> path, ReadOnlySpan<byte> authority, bool isHttp10, int code, ResponseFlag flag,
        long received, long sent, long milliseconds, SocketAddressV4? upstream, ReadOnlySpan<byte> cluster)
    {
        if (buffer.Length - length < MaximumPath + 1024)
        {
            Flush();
        }

        var writer = new HeadWriter(buffer.AsSpan(length));
        writer.Write("["u8);
        writer.Write(Stamp());
        writer.Write("] \""u8);
        writer.Write(method);
        writer.Write(" "u8);
        writer.Write(path.Length > MaximumPath ? path[..MaximumPath] : path);
        writer.Write(isHttp10 ? " HTTP/1.0\" "u8 : " HTTP/1.1\" "u8);
        writer.Write(code);
        writer.Write(" "u8);
        writer.Write(NameOf(flag));
        writer.Write(" "u8);
        writer.Write(received);
        writer.Write(" "u8);
        writer.Write(sent);
        writer.Write(" "u8);
        writer.Write(milliseconds);
        writer.Write(" \""u8);
        writer.Write(authority.IsEmpty ? "-"u8 : authority);
        writer.Write("\" \""u8);
        if (upstream is { } address)
        {
            Span<byte> text = stackalloc byte[24];
            writer.Write(text[..address.Format(text, true)]);
        }
        else
        {
            writer.Write("-"u8);
        }

        writer.Write("\" "u8);
        writer.Write(cluster.IsEmpty ? "-"u8 : cluster);
        writer.Write("\n"u8);
        if (!writer.IsFull)
        {
            length += writer.Length;
        }
    }

    void Flush()
    {
        fixed (byte* start = buffer)
        {
            var written = 0;
            while (written < length)
            {
                var result = Native.Write(StandardOutput, start + written, length - written);
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

    ReadOnlySpan<byte> Stamp()
    {
        var now = loop.Time.GetUtcNow();
        if (now.ToUnixTimeSeconds() != secondOfStamp)
        {
            secondOfStamp = now.ToUnixTimeSeconds();
            now.UtcDateTime.TryFormat(stamp, out _, "yyyy-MM-dd'T'HH:mm:ss'Z'", System.Globalization.CultureInfo.InvariantCulture);
        }

        return stamp;
    }

    static ReadOnlySpan<byte> NameOf(ResponseFlag flag) => flag switch
    {
        ResponseFlag.UH => "UH"u8,
        ResponseFlag.UF => "UF"u8,
        ResponseFlag.UC => "UC"u8,
        ResponseFlag.UT => "UT"u8,
        ResponseFlag.NR => "NR"u8,
        ResponseFlag.NC => "NC"u8,
        ResponseFlag.UPE => "UPE"u8,
        ResponseFlag.DPE => "DPE"u8,
        ResponseFlag.DC => "DC"u8,
        _ => "-"u8,
    };
}
