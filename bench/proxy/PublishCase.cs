using System.Diagnostics;
using System.Globalization;

namespace Weir.Proxy.Bench;

/// <summary>
/// What requests notice of 2,000 clusters that are published to a running proxy at full load. The control plane runs on the core of the
/// load, so its work must not be part of it: what it sends is held back until it has come to rest, and let through in the middle of
/// the load.
/// </summary>
sealed class PublishCase(Bench bench)
{
    const int Clusters = 2000;

    public void Run()
    {
        if (!bench.Wants("publish"))
        {
            return;
        }

        List<double> ratios = [], lengths = [];
        using var source = bench.Serve("publish", WeirConfiguration.Plain(bench.Folder));
        using var gate = new GatedRelay(bench.SocketOf("gate"), bench.SocketOf("publish"));
        using var ours = bench.StartWeir("weir-publish", "gate", Ports.WeirTcp);
        bench.Load.Run(Plan, TimeSpan.FromSeconds(1));
        for (var round = 0; round < bench.Rounds; round++)
        {
            var undisturbed = bench.Load.Run(Plan, bench.RoundLength).Percentile(0.99);
            gate.Close();
            Publish(WeirConfiguration.LargeInOne(bench.Folder, Clusters, 10));
            bench.WaitFor(() => gate.IsHolding, "the publication");
            Bench.Settle();
            var (disturbed, length) = Measure(gate);
            ratios.Add(disturbed / (double)undisturbed);
            lengths.Add(length.TotalMilliseconds);

            // And without them again.
            Publish(WeirConfiguration.Plain(bench.Folder));
            Bench.Settle();
        }

        bench.Report.AddLimit(
            string.Create(CultureInfo.InvariantCulture, $"p99 while {Clusters:N0} clusters are published ({Report.Median(lengths):0} ms), over undisturbed"), "publish", "times", 2, ratios);
    }

    static LoadPlan Plan => new(Ports.At(Ports.WeirHttp)) { KeepsTimes = true };

    void Publish(string configuration) => File.Move(bench.Write("publish.next", configuration), Path.Combine(bench.Folder, "publish.yaml"), overwrite: true);

    /// <summary>From the first byte of the publication to the proxy's last word about it.</summary>
    (int P99, TimeSpan Length) Measure(GatedRelay gate)
    {
        using var stop = new CancellationTokenSource();
        var result = new LoadResult();
        var loading = new Thread(() => result = bench.Load.Run(Plan with { Stop = stop.Token }, TimeSpan.FromSeconds(60)));
        loading.Start();
        Bench.Settle(1);
        var opened = Stopwatch.GetTimestamp();
        gate.Open();
        bench.WaitFor(() => gate.LastActivity > opened && Stopwatch.GetElapsedTime(gate.LastActivity) > TimeSpan.FromMilliseconds(500), "the end of the publication");
        stop.Cancel();
        loading.Join();
        var meanwhile = new LoadResult();
        for (var i = 0; i < result.Times.Count; i++)
        {
            if (result.Times[i] >= opened && result.Times[i] <= gate.LastActivity)
            {
                meanwhile.Latencies.Add(result.Latencies[i]);
            }
        }

        return (meanwhile.Percentile(0.99), Stopwatch.GetElapsedTime(opened, gate.LastActivity));
    }
}
