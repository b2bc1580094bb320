using System.Globalization;
using Weir.Proxy.Bench;

// Measures Weir's proxy beside others, all in one run: rounds are interleaved, CPU is the kernel's accounting, and what is compared are
// medians. Load and upstreams are one loop of this process, on a core of its own.
if (args is ["soak", var soaked, var control, var length])
{
    return Soak.Run(soaked, control, TimeSpan.FromSeconds(int.Parse(length, CultureInfo.InvariantCulture)));
}

if (args is not [var proxy, var weir, var output, ..])
{
    Console.Error.WriteLine("usage: weir-proxy-bench PROXY WEIR OUTPUT-DIRECTORY [--quick] [CASE...]");
    return 64;
}

var options = new BenchOptions(
    proxy, Environment.GetEnvironmentVariable("WEIR_BASELINE") ?? "", weir, args.Contains("--quick"), args.Skip(3).Where(a => !a.StartsWith('-')).ToHashSet());
using var bench = new Bench(options);
try
{
    new Http1Cases(bench).Run();
    new ProcessCases(bench).Run();
    new TwoProxyCases(bench).Run();
    new Http2Cases(bench).Run();
    new GrpcCases(bench).Run();
    new PublishCase(bench).Run();
}
finally
{
    bench.Report.Write(output, options.IsQuick);
}

return 0;
