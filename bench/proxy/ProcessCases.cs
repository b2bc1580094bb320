using System.Diagnostics;
using System.Net.Sockets;

namespace Weir.Proxy.Bench;

/// <summary>What a proxy takes of the machine, and how soon it is there.</summary>
sealed class ProcessCases(Bench bench)
{
    public void Run()
    {
        Memory();
        StartTime();
    }

    void Memory()
    {
        if (!bench.Wants("memory"))
        {
            return;
        }

        using (bench.Serve("memory", WeirConfiguration.Plain(bench.Folder)))
        using (var ours = bench.StartWeir("weir-memory", "memory", Ports.WeirTcp))
        {
            bench.Load.Run(new LoadPlan(Ports.At(Ports.WeirTls), Connections: 1, Rate: 10, Tls: bench.ClientTls), TimeSpan.FromSeconds(1));
            Bench.Settle();
            bench.Report.AddLimit("resident, idle with xDS and mTLS", "memory-idle", "MB", 12, [ours.ResidentBytes / 1e6]);
            using (var peak = new PeakMemory(ours))
            {
                bench.Load.Run(new LoadPlan(Ports.At(Ports.WeirHttp), Connections: 1000), bench.RoundLength * 2);
                bench.Report.AddLimit("resident, 1,000 active connections", "memory-active", "MB", 25, [peak.Bytes / 1e6]);
            }
        }

        using (bench.Serve("large", WeirConfiguration.Large(bench.Folder, 2000, 10)))
        using (var ours = bench.StartWeir("weir-large", "large", Ports.WeirTcp))
        {
            Bench.Settle();
            bench.Report.AddLimit("resident, 2,000 clusters and 20,000 endpoints", "memory-large", "MB", 60, [ours.ResidentBytes / 1e6]);
        }
    }

    void StartTime()
    {
        if (!bench.Wants("start"))
        {
            return;
        }

        var samples = new List<double>();
        using var source = bench.Serve("start", WeirConfiguration.Plain(bench.Folder));
        for (var round = 0; round < bench.Rounds * 3; round++)
        {
            // Not through a shell: its own start is not the proxy's.
            var info = new ProcessStartInfo(bench.Options.Proxy, ["router", "--xds", $"unix:{bench.SocketOf("start")}"]) { RedirectStandardError = true };
            var watch = Stopwatch.StartNew();
            using var started = Process.Start(info)!;
            while (!FirstAnswer())
            {
            }

            samples.Add(watch.Elapsed.TotalMilliseconds);
            started.Kill();
            started.WaitForExit();
        }

        bench.Report.AddLimit("start to first request served", "start", "ms", 50, samples);
    }

    static bool FirstAnswer()
    {
        try
        {
            using var client = new TcpClient("127.0.0.1", Ports.WeirHttp);
            var stream = client.GetStream();
            stream.Write("GET /1k HTTP/1.1\r\nHost: a\r\n\r\n"u8);
            var buffer = new byte[4096];
            return stream.Read(buffer) > 12 && buffer.AsSpan(9, 3).SequenceEqual("200"u8);
        }
        catch (Exception e) when (e is SocketException or IOException)
        {
            return false;
        }
    }
}

/// <summary>The most that a process holds while this exists.</summary>
sealed class PeakMemory : IDisposable
{
    readonly ManualResetEventSlim ended = new();
    readonly Thread watching;
    long peak;

    public PeakMemory(Contender contender)
    {
        watching = new Thread(() =>
        {
            do
            {
                Volatile.Write(ref peak, Math.Max(peak, contender.ResidentBytes));
            }
            while (!ended.Wait(100));
        });
        watching.Start();
    }

    public long Bytes => Volatile.Read(ref peak);

    public void Dispose()
    {
        ended.Set();
        watching.Join();
        ended.Dispose();
    }
}
