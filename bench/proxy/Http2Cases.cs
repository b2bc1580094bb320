using System.Globalization;
using System.Text.RegularExpressions;

namespace Weir.Proxy.Bench;

/// <summary>HTTP/2 with prior knowledge on both sides of one proxy, beside HAProxy, nghttpx and nginx's module for gRPC.</summary>
sealed class Http2Cases(Bench bench)
{
    public void Run()
    {
        if (!new[] { "http2", "memory-h2", "allocation" }.Any(bench.Wants))
        {
            return;
        }

        for (var i = 0; i < 4; i++)
        {
            Http2Backend.Listen(bench.Loop, Ports.At(Ports.Http2Backend + i), Http2Answers.AtOnce);
        }

        Http2Backend.Listen(bench.Loop, Ports.At(Ports.SlowHttp2Backend), Http2Answers.Late);
        using var source = bench.Serve("http2", WeirConfiguration.InClearHttp2());
        Costs();
        Memory();
        Allocation();
    }

    void Costs()
    {
        if (!bench.Wants("http2"))
        {
            return;
        }

        using var ours = bench.StartWeir("weir", "http2", Ports.WeirHttp2);
        using var haproxy = bench.StartHaproxy("haproxy", HaproxyConfiguration.InClearHttp2(), Ports.HaproxyHttp2);
        using var nghttpx = bench.Start("nghttpx", Nghttpx, Ports.NghttpxHttp2);
        using var nginx = bench.StartNginx("nginx", NginxConfiguration.InClearHttp2(bench.Folder), Ports.NginxHttp2);
        Entry[] entries = [new(ours, Ports.WeirHttp2), new(haproxy, Ports.HaproxyHttp2), new(nghttpx, Ports.NghttpxHttp2), new(nginx, Ports.NginxHttp2)];
        bench.Compare(
            "HTTP/2 to HTTP/2, 1 KiB, 10 connections of 100 streams", "http2", "µs CPU/request", 0.85, entries,
            (port, length) => H2Load.Run(port, length), r => r.Requests / 1000.0);
    }

    static string Nghttpx =>
        $"nghttpx --conf=/dev/null --workers=1 --frontend='127.0.0.1,{Ports.NghttpxHttp2};no-tls' "
        + string.Concat(Enumerable.Range(0, 4).Select(i => $"--backend='127.0.0.1,{Ports.Http2Backend + i};;proto=h2' "))
        + "--add-request-header='x-a: one' --add-request-header='x-b: two' --no-location-rewrite --accesslog-file=/dev/null --errorlog-file=/dev/null";

    /// <summary>All streams are open at once while the upstream has not answered yet.</summary>
    void Memory()
    {
        if (!bench.Wants("memory-h2"))
        {
            return;
        }

        using var ours = bench.StartWeir("weir-memory-h2", "http2", Ports.WeirSlowHttp2);
        Bench.Settle();
        using var peak = new PeakMemory(ours);
        var result = H2Load.Run(Ports.WeirSlowHttp2, 2000);
        if (result.Failures > 0)
        {
            bench.Report.Note($"1,000 active HTTP/2 streams: {result.Failures} failed");
        }

        bench.Report.AddLimit("resident, 1,000 active HTTP/2 streams on 10 connections", "memory-h2", "MB", 20, [peak.Bytes / 1e6]);
    }

    void Allocation()
    {
        if (!bench.Wants("allocation"))
        {
            return;
        }

        using var ours = bench.StartWeir("weir-allocation", "http2", Ports.WeirHttp2, $"--status 127.0.0.1:{Ports.Status}");
        H2Load.Run(Ports.WeirHttp2, TimeSpan.FromSeconds(2));
        var samples = new List<double>();
        for (var round = 0; round < bench.Rounds; round++)
        {
            // Both open as many connections, whose objects are made with them: the rest is what requests cost.
            var (few, some) = AllocatedBy(bench.RoundLength);
            var (many, more) = AllocatedBy(bench.RoundLength * 3);
            samples.Add(Math.Max(0, Math.Round((double)(more - some) / (many - few), 1)));
        }

        bench.Report.AddLimit("allocated in steady state, HTTP/2", "allocation", "bytes/request", 0, samples);
    }

    static (long Requests, long Bytes) AllocatedBy(TimeSpan length)
    {
        // Asking allocates too: what one question costs is known from two in a row.
        var first = Allocated();
        var before = Allocated();
        var requests = H2Load.Run(Ports.WeirHttp2, length).Requests;
        return (requests, Allocated() - before - (before - first));
    }

    static long Allocated()
    {
        using var client = new HttpClient();
        var text = client.GetStringAsync(new Uri($"http://127.0.0.1:{Ports.Status}/metrics")).GetAwaiter().GetResult();
        return (long)double.Parse(Regex.Match(text, @"^weir_proxy_allocated_bytes_total\S* (\S+)", RegexOptions.Multiline).Groups[1].Value, CultureInfo.InvariantCulture);
    }
}
