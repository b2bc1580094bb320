using System.Globalization;

namespace Weir.Proxy.Bench;

/// <summary>HTTP/1.1, TLS and bytes through one proxy, beside nginx and HAProxy.</summary>
sealed class Http1Cases(Bench bench)
{
    public void Run()
    {
        for (var i = 0; i < 4; i++)
        {
            bench.Backends.Listen(Ports.At(Ports.Backend + i), null, false);
            bench.Backends.Listen(Ports.At(Ports.TlsBackend + i), bench.Certificates.Server(), false);
        }

        bench.Backends.Listen(Ports.At(Ports.EchoBackend), null, true);
        if (new[] { "keepalive", "latency", "new-connection", "large", "tls", "handshake", "tcp", "idle" }.Any(bench.Wants))
        {
            using var source = bench.Serve("main", WeirConfiguration.Plain(bench.Folder));
            Costs();
            Idle();
        }
    }

    void Costs()
    {
        using var ours = bench.StartWeir("weir", "main", Ports.WeirTcp);
        using var nginx = bench.StartNginx("nginx", NginxConfiguration.Plain(bench.Folder), Ports.NginxHttp);
        using var haproxy = bench.StartHaproxy("haproxy", HaproxyConfiguration.Plain(bench.Folder), Ports.HaproxyHttp);
        using var baseline = Baseline.Start(bench);
        Entry[] http = [new(ours, Ports.WeirHttp), new(nginx, Ports.NginxHttp), new(haproxy, Ports.HaproxyHttp), .. baseline.At(Ports.WeirHttp)];
        Entry[] tls = [new(ours, Ports.WeirTls), new(haproxy, Ports.HaproxyTls), .. baseline.At(Ports.WeirTls)];
        Entry[] tcp = [new(ours, Ports.WeirTcp), new(haproxy, Ports.HaproxyTcp), .. baseline.At(Ports.WeirTcp)];

        Cost("HTTP/1.1 keep-alive, 1 KiB, 64 connections", "keepalive", "µs CPU/request", 0.85, http, p => new LoadPlan(Ports.At(p)), r => r.Requests / 1000.0);
        Latency(http);
        Cost("new connection each request", "new-connection", "µs CPU/request", 1.0, http, p => new LoadPlan(Ports.At(p), NewConnectionEach: true, Connections: 32), r => r.Requests / 1000.0);
        Cost("1 MiB bodies", "large", "ms CPU/GB", 1.0, http, p => new LoadPlan(Ports.At(p), "/1m", 16), r => r.Bytes / 1e9);
        Cost("mutual TLS both sides, keep-alive, 1 KiB", "tls", "µs CPU/request", 1.0, tls, p => new LoadPlan(Ports.At(p), Tls: bench.ClientTls), r => r.Requests / 1000.0);
        Cost("full mutual handshakes", "handshake", "µs CPU/handshake", 1.0, tls, p => new LoadPlan(Ports.At(p), Connections: 16, Tls: bench.ClientTls, HandshakeOnly: true), r => r.Requests / 1000.0);
        Cost("TCP, 64 KiB messages echoed", "tcp", "µs CPU/message", 1.0, tcp, p => new LoadPlan(Ports.At(p), Connections: 16, MessageBytes: 64 * 1024), r => r.Requests / 1000.0);
    }

    void Cost(string title, string name, string unit, double goal, Entry[] entries, Func<int, LoadPlan> plan, Func<LoadResult, double> work) =>
        bench.Compare(title, name, unit, goal, entries, (port, length) => bench.Load.Run(plan(port), length), work);

    // The 99th percentile at 70 % of what saturates the fastest of those compared to.
    void Latency(Entry[] entries)
    {
        if (!bench.Wants("latency"))
        {
            return;
        }

        var saturation = entries.Skip(1).Where(e => e.IsRival).Max(e => bench.Load.Run(new LoadPlan(Ports.At(e.Port)), bench.RoundLength).Requests / bench.RoundLength.TotalSeconds);
        var samples = entries.Select(_ => new List<double>()).ToArray();
        for (var round = 0; round < bench.Rounds; round++)
        {
            for (var i = 0; i < entries.Length; i++)
            {
                samples[i].Add(bench.Load.Run(new LoadPlan(Ports.At(entries[i].Port), Rate: saturation * 0.7), bench.RoundLength).Percentile(0.99));
            }
        }

        bench.Report.Add(
            "the same at 70 % of saturation: p99", "latency", "µs", 1.0, [.. entries.Select((e, i) => new Figure(e.Name, samples[i], e.IsRival))],
            string.Create(CultureInfo.InvariantCulture, $"{saturation * 0.7:0} requests/s"));
    }

    // Each in a process of its own that has done nothing else but warm up: what is left over from other cases would be used again.
    void Idle()
    {
        if (!bench.Wants("idle"))
        {
            return;
        }

        // A few are left for the probes that ask whether it runs.
        var count = Ports.Connections - 50;
        var figures = new List<Figure>();
        foreach (var (start, port) in new (Func<Contender>, int)[]
        {
            (() => bench.StartWeir("weir", "main", Ports.WeirHttp), Ports.WeirHttp),
            (() => bench.StartNginx("nginx", NginxConfiguration.Plain(bench.Folder), Ports.NginxHttp), Ports.NginxHttp),
            (() => bench.StartHaproxy("haproxy", HaproxyConfiguration.Plain(bench.Folder), Ports.HaproxyHttp), Ports.HaproxyHttp),
        })
        {
            using var contender = start();
            bench.Load.Run(new LoadPlan(Ports.At(port), Connections: 4), TimeSpan.FromSeconds(1));
            Bench.Settle();
            var before = contender.ResidentBytes;
            using var held = bench.Load.HoldOpen(new LoadPlan(Ports.At(port), Connections: count), out var result);
            if (result.Failures > 0)
            {
                bench.Report.Note($"idle connections: {contender.Name} failed {result.Failures} of {count}");
            }

            Bench.Settle();
            figures.Add(new Figure(contender.Name, [(contender.ResidentBytes - before) / (double)count]));
        }

        bench.Report.Add(string.Create(CultureInfo.InvariantCulture, $"{count:N0} idle keep-alive connections"), "idle", "bytes each", 1.0, figures, "");
    }
}
