using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Bench;

/// <summary>
/// Hours in minutes: the proxy at 70 % of what saturates it, while its configuration is replaced every second, its certificates every
/// ten, and its endpoints killed and started again. Nothing may fail, and nothing may grow.
/// </summary>
static class Soak
{
    public static int Run(string proxy, string weir, TimeSpan duration)
    {
        var directory = Directory.CreateTempSubdirectory("weir-soak").FullName;
        try
        {
            return Run(proxy, weir, duration, directory);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    static int Run(string proxy, string weir, TimeSpan duration, string directory)
    {
        var certificates = new Certificates(directory);
        using var loop = new EventLoop(0, TimeProvider.System);
        loop.OnFault = fault => Console.Error.WriteLine(fault);
        loop.Start();
        var backends = new Backends(loop);
        for (var i = 0; i < 4; i++)
        {
            backends.Listen(Ports.At(Ports.Backend + i), null, false);
            backends.Listen(Ports.At(Ports.TlsBackend + i), certificates.Server(), false);
        }

        backends.Listen(Ports.At(Ports.EchoBackend), null, true);
        WriteConfiguration(directory, 0);
        using var source = new Contender("xds", "1", $"{weir} xds serve {directory}/soak.yaml --socket {directory}/soak.sock", directory);
        SpinWait.SpinUntil(() => File.Exists($"{directory}/soak.sock"), TimeSpan.FromSeconds(30));
        using var ours = new Contender("weir", "0", $"{proxy} router --xds unix:{directory}/soak.sock --state {directory}/state", directory);
        SpinWait.SpinUntil(() => Answers(Ports.WeirTcp), TimeSpan.FromSeconds(30));

        var load = new Load(loop);
        LoadPlan[] plans =
        [
            new(Ports.At(Ports.WeirHttp), Connections: 48) { KeepsLatencies = false }, new(Ports.At(Ports.WeirTls), Connections: 16, Tls: certificates.Client()) { KeepsLatencies = false },
            new(Ports.At(Ports.WeirTcp), Connections: 8, MessageBytes: 16 * 1024) { KeepsLatencies = false },
            new(Ports.At(Ports.WeirHttp), Connections: 4, NewConnectionEach: true) { KeepsLatencies = false },
        ];

        // Each kind gets its part of the processor, seven tenths of it together.
        var rated = plans.Select(p => p with { Rate = load.Run(p, TimeSpan.FromSeconds(1)).Requests * 0.7 / plans.Length }).ToArray();
        using var ended = new ManualResetEventSlim();
        var changes = 0;
        var changing = new Thread(() =>
        {
            for (var second = 1; !ended.Wait(1000); second++)
            {
                if (second % 10 == 0)
                {
                    certificates.Renew();
                }

                WriteConfiguration(directory, second);

                // One endpoint after the other dies in the middle of whatever it does, and is there again two seconds later.
                if (second % 3 == 0)
                {
                    backends.Kill(Ports.Backend + (second / 3 % 4));
                }
                else if (second % 3 == 2)
                {
                    backends.Revive();
                }

                changes++;
            }
        });
        changing.Start();
        var samples = new List<(long Resident, int Descriptors)>();
        var watching = new Thread(() =>
        {
            while (!ended.Wait(1000))
            {
                samples.Add((ours.ResidentBytes, Directory.GetFiles($"/proc/{ours.Id}/fd").Length));
                if (samples.Count % 60 == 0)
                {
                    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{samples.Count} s: {samples[^1].Resident >> 20} MiB, {samples[^1].Descriptors} descriptors"));
                }
            }
        });
        watching.Start();
        var results = new LoadResult[rated.Length];
        var threads = rated.Select((plan, i) => new Thread(() => results[i] = load.Run(plan, duration))).ToList();
        threads.ForEach(t => t.Start());
        threads.ForEach(t => t.Join());
        ended.Set();
        changing.Join();
        watching.Join();
        if (ours.HasEnded)
        {
            Console.WriteLine("FAILED: the proxy has ended: " + File.ReadAllText($"{directory}/weir.log"));
            return 1;
        }

        return Judge(rated, results, samples, changes, File.ReadAllText($"{directory}/weir.log"));
    }

    static int Judge(LoadPlan[] plans, LoadResult[] results, List<(long Resident, int Descriptors)> samples, int changes, string log)
    {
        for (var i = 0; i < plans.Length; i++)
        {
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"port {plans[i].Target.Port}{(plans[i].NewConnectionEach ? ", new connection each" : "")}: {results[i].Requests} requests at {plans[i].Rate:0}/s, {results[i].Failures} failed"));
        }

        // The middle of the second and of the last fifth: growth is what lies between.
        var early = samples.Skip(samples.Count / 5).Take(samples.Count / 5).ToList();
        var late = samples.TakeLast(samples.Count / 5).ToList();
        var (before, after) = (Report.Median([.. early.Select(s => (double)s.Resident)]), Report.Median([.. late.Select(s => (double)s.Resident)]));
        var (fewer, more) = (Report.Median([.. early.Select(s => (double)s.Descriptors)]), Report.Median([.. late.Select(s => (double)s.Descriptors)]));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{changes} configurations; resident {before / 1e6:0.0} to {after / 1e6:0.0} MB; descriptors {fewer:0} to {more:0}"));
        var failures = results.Sum(r => r.Failures);
        var grew = after > (before * 1.15) + 2e6 || more > (fewer * 1.25) + 16;
        var broke = log.Contains("internal error", StringComparison.Ordinal) || log.Contains("refused of", StringComparison.Ordinal);
        if (failures > 0 || grew || broke)
        {
            Console.WriteLine($"FAILED: {(failures > 0 ? $"{failures} requests failed. " : "")}{(grew ? "Memory or descriptors grew. " : "")}{(broke ? "The log: " + log[..Math.Min(log.Length, 2000)] : "")}");
            return 1;
        }

        return 0;
    }

    static bool Answers(int port)
    {
        try
        {
            using var client = new TcpClient("127.0.0.1", port);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    /// <summary>Every version differs from the last: headers, clusters' time limits, a listener and a cluster that come and go.</summary>
    static void WriteConfiguration(string directory, int version)
    {
        var text = WeirConfiguration.Changed(directory, version);
        File.WriteAllText($"{directory}/next.yaml", text);
        File.Move($"{directory}/next.yaml", $"{directory}/soak.yaml", overwrite: true);
    }
}
