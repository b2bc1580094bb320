namespace Weir.Proxy.Bench;

/// <summary>The proxy of an earlier version, measured beside the current one where a run asks for it: same resources, other ports.</summary>
sealed class Baseline : IDisposable
{
    readonly Contender? source;
    readonly Contender? proxy;

    Baseline(Contender? source, Contender? proxy) => (this.source, this.proxy) = (source, proxy);

    public static Baseline Start(Bench bench)
    {
        if (bench.Options.Baseline.Length == 0)
        {
            return new Baseline(null, null);
        }

        var source = bench.Serve("baseline", WeirConfiguration.Moved(WeirConfiguration.Plain(bench.Folder), Ports.ToBaseline));
        return new Baseline(source, bench.StartBaseline("baseline", Ports.WeirTcp + Ports.ToBaseline));
    }

    public IEnumerable<Entry> At(int port) => proxy is null ? [] : [new Entry(proxy, port + Ports.ToBaseline, isRival: false)];

    public void Dispose()
    {
        proxy?.Dispose();
        source?.Dispose();
    }
}
