using System.Globalization;
using System.Net.Sockets;
using Weir.Proxy.Reactor;
using Weir.Proxy.Tls;

namespace Weir.Proxy.Bench;

/// <summary>What a run was asked for.</summary>
/// <param name="Proxy">Weir's proxy program.</param>
/// <param name="Baseline">Another one, of an earlier version, to measure beside it; empty for none.</param>
/// <param name="Weir">The command that serves configurations.</param>
/// <param name="Only">Names of cases; all of them when empty.</param>
sealed record BenchOptions(string Proxy, string Baseline, string Weir, bool IsQuick, IReadOnlySet<string> Only);

/// <summary>
/// What all cases share: a loop for load and upstreams on this process's core, proxies started on the other one, and the report.
/// </summary>
sealed class Bench : IDisposable
{
    const string ProxyCore = "0";
    const string LoadCore = "1";

    readonly BenchOptions options;

    public Bench(BenchOptions options)
    {
        this.options = options;
        Rounds = options.IsQuick ? 3 : 7;
        RoundLength = TimeSpan.FromSeconds(options.IsQuick ? 1 : 3);
        Certificates = new Certificates(Folder);
        Loop.OnFault = fault => Console.Error.WriteLine(fault);
        Loop.Start();
        Load = new Load(Loop);
        Backends = new Backends(Loop);
        ClientTls = Certificates.Client();
    }

    /// <summary>For configurations, certificates, sockets and logs; gone with the run.</summary>
    public string Folder { get; } = Directory.CreateTempSubdirectory("weir-bench").FullName;

    public BenchOptions Options => options;

    public int Rounds { get; }

    public TimeSpan RoundLength { get; }

    public Report Report { get; } = new();

    public Certificates Certificates { get; }

    public TlsContext ClientTls { get; }

    public EventLoop Loop { get; } = new(0, TimeProvider.System);

    public Load Load { get; }

    public Backends Backends { get; }

    public bool Wants(string name) => options.Only.Count == 0 || options.Only.Contains(name);

    /// <summary>Writes a file into the folder.</summary>
    /// <returns>Its path.</returns>
    public string Write(string name, string text)
    {
        var path = Path.Combine(Folder, name);
        File.WriteAllText(path, text);
        return path;
    }

    /// <summary>Serves a configuration over xDS to the proxies started with its name.</summary>
    public Contender Serve(string name, string configuration)
    {
        var file = Write($"{name}.yaml", configuration);
        var server = new Contender($"xds-{name}", LoadCore, $"{options.Weir} xds serve {file} --socket {SocketOf(name)}", Folder);
        WaitFor(() => File.Exists(SocketOf(name)), $"xDS server {name}");
        return server;
    }

    public string SocketOf(string name) => Path.Combine(Folder, $"{name}.sock");

    /// <summary>A Weir proxy with the configuration served by that name; back when the port answers.</summary>
    public Contender StartWeir(string name, string source, int port, string arguments = "") => StartWeir(options.Proxy, name, source, port, arguments);

    public Contender StartBaseline(string source, int port) => StartWeir(options.Baseline, Report.Baseline, source, port, "");

    Contender StartWeir(string program, string name, string source, int port, string arguments) =>
        Start(name, $"{program} router --xds unix:{SocketOf(source)} {arguments}", port);

    public Contender StartNginx(string name, string configuration, int port) =>
        Start(name, $"nginx -p {Folder} -c {Write($"{name}.conf", configuration)}", port);

    public Contender StartHaproxy(string name, string configuration, int port) =>
        Start(name, $"haproxy -f {Write($"{name}.cfg", configuration)} -db", port);

    /// <summary>A proxy on its core; back when the port answers.</summary>
    public Contender Start(string name, string command, int port)
    {
        var started = new Contender(name, ProxyCore, command, Folder);
        WaitFor(() => Answers(port), name);
        return started;
    }

    public void WaitFor(Func<bool> condition, string what)
    {
        if (!SpinWait.SpinUntil(condition, TimeSpan.FromSeconds(60)))
        {
            throw new TimeoutException($"{what} did not start; see its log: {string.Join('\n', Directory.GetFiles(Folder, "*.log").Select(File.ReadAllText))}");
        }
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

    /// <summary>Time for timers and collections to do what they would.</summary>
    public static void Settle(int seconds = 3)
    {
        using var never = new ManualResetEventSlim();
        never.Wait(TimeSpan.FromSeconds(seconds));
    }

    /// <summary>The CPU that each proxy spends on a unit of work, in thousandths of what the work counts; rounds are interleaved.</summary>
    /// <param name="run">Makes the load on a port, for so long.</param>
    /// <param name="work">How much was done, in thousands of units.</param>
    public void Compare(
        string title, string name, string unit, double goal, IReadOnlyList<Entry> entries, Func<int, TimeSpan, LoadResult> run, Func<LoadResult, double> work)
    {
        if (!Wants(name))
        {
            return;
        }

        var costs = entries.Select(_ => new List<double>()).ToArray();
        var rates = entries.Select(_ => new List<double>()).ToArray();
        for (var round = -1; round < Rounds; round++)
        {
            for (var i = 0; i < entries.Count; i++)
            {
                // The first round warms up and is not counted.
                var length = round < 0 ? TimeSpan.FromSeconds(1) : RoundLength;
                var before = entries[i].CpuNanoseconds;
                var result = run(entries[i].Port, length);
                var spent = entries[i].CpuNanoseconds - before;
                if (result.Failures > 0)
                {
                    Report.Note($"{title}: {entries[i].Name} failed {result.Failures} of {result.Requests + result.Failures} {result.Detail}".TrimEnd());
                }

                if (round >= 0)
                {
                    costs[i].Add(spent / work(result) / 1e6);
                    rates[i].Add(result.Requests / result.Elapsed.TotalSeconds);
                }
            }
        }

        var remark = "rate " + string.Join(", ", entries.Select((e, i) => string.Create(CultureInfo.InvariantCulture, $"{e.Name} {Report.Median(rates[i]):0}/s")));
        Report.Add(title, name, unit, goal, [.. entries.Select((e, i) => new Figure(e.Name, costs[i], e.IsRival))], remark);
    }

    public void Dispose()
    {
        Loop.Stop();
        Loop.Join();
        Directory.Delete(Folder, recursive: true);
    }
}

/// <summary>Who is measured in a case: one proxy or several in a row, reached by a port.</summary>
/// <param name="IsRival">The goal is measured against it, if it is the best.</param>
sealed record Entry(string Name, int Port, IReadOnlyList<Contender> Proxies, bool IsRival = true)
{
    public Entry(Contender proxy, int port, bool isRival = true)
        : this(proxy.Name, port, [proxy], isRival)
    {
    }

    public long CpuNanoseconds => Proxies.Sum(p => p.CpuNanoseconds);
}
