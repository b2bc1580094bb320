using System.Diagnostics;

namespace Weir.Proxy.Bench;

/// <summary>
/// Two proxies of a mesh, mutual TLS between them, at 1,000 HTTP/1.1 requests a second: what they add to a request, and what they
/// cost. Once with HTTP/1.1 between them, once with HTTP/2.
/// </summary>
sealed class TwoProxyCases(Bench bench)
{
    sealed record Pair(int Port, Contender[] Both)
    {
        public List<double> P50 { get; } = [];

        public List<double> P99 { get; } = [];

        public List<double> Cpu { get; } = [];
    }

    public void Run()
    {
        Run("mesh", "two proxies, mTLS, 1,000 requests/s", isHttp2: false);
        Run("two-proxies-h2", "two proxies, HTTP/2 with mTLS between them, 1,000 requests/s", isHttp2: true);
    }

    void Run(string name, string title, bool isHttp2)
    {
        if (!bench.Wants(name))
        {
            return;
        }

        using var outbound = bench.Serve($"{name}-outbound", WeirConfiguration.Outbound(bench.Folder, isHttp2, isHttp2Outside: false));
        using var inbound = bench.Serve($"{name}-inbound", WeirConfiguration.Inbound(bench.Folder, isHttp2, isHttp2Outside: false));
        using var second = bench.StartWeir($"{name}-weir-in", $"{name}-inbound", Ports.Inbound);
        using var first = bench.StartWeir($"{name}-weir-out", $"{name}-outbound", Ports.Outbound);
        using var haproxySecond = bench.StartHaproxy($"{name}-haproxy-in", HaproxyConfiguration.Inbound(bench.Folder, isHttp2, isHttp2Outside: false), Ports.HaproxyInbound);
        using var haproxyFirst = bench.StartHaproxy($"{name}-haproxy-out", HaproxyConfiguration.Outbound(bench.Folder, isHttp2, isHttp2Outside: false), Ports.HaproxyOutbound);
        Pair ours = new(Ports.Outbound, [first, second]), theirs = new(Ports.HaproxyOutbound, [haproxyFirst, haproxySecond]);
        for (var round = -1; round < bench.Rounds; round++)
        {
            Measure(ours, title, isCounted: round >= 0);
            Measure(theirs, title, isCounted: round >= 0);
        }

        if (!isHttp2)
        {
            bench.Report.AddLimit($"{title}: p50 over direct", $"{name}-p50", "ms", 0.15, ours.P50, new Figure("haproxy", theirs.P50));
            bench.Report.AddLimit($"{title}: p99 over direct", $"{name}-p99", "ms", 0.5, ours.P99, new Figure("haproxy", theirs.P99));
        }

        bench.Report.AddLimit($"{title}: CPU of both", $"{name}-cpu", "vCPU", 0.05, ours.Cpu, new Figure("haproxy", theirs.Cpu));
    }

    void Measure(Pair pair, string title, bool isCounted)
    {
        var direct = bench.Load.Run(new LoadPlan(Ports.At(Ports.Backend), Connections: 16, Rate: 1000), bench.RoundLength);
        var before = pair.Both.Sum(p => p.CpuNanoseconds);
        var watch = Stopwatch.StartNew();
        var through = bench.Load.Run(new LoadPlan(Ports.At(pair.Port), Connections: 16, Rate: 1000), bench.RoundLength);
        if (through.Failures > 0)
        {
            bench.Report.Note($"{title}: {pair.Both[0].Name} failed {through.Failures} of {through.Requests + through.Failures}");
        }

        if (isCounted)
        {
            pair.Cpu.Add((pair.Both.Sum(p => p.CpuNanoseconds) - before) / watch.Elapsed.TotalNanoseconds);
            pair.P50.Add((through.Percentile(0.5) - direct.Percentile(0.5)) / 1000.0);
            pair.P99.Add((through.Percentile(0.99) - direct.Percentile(0.99)) / 1000.0);
        }
    }
}
