using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Weir.Proxy.Bench;
using Weir.Proxy.Reactor;

// Measures Weir's proxy beside nginx and HAProxy, all in one run: rounds are interleaved, CPU is the kernel's accounting, and what is
// compared are medians. Load and upstreams are one loop of this process, on a core of its own.
if (args is ["soak", var soaked, var control, var length])
{
    return Soak.Run(soaked, control, TimeSpan.FromSeconds(int.Parse(length, CultureInfo.InvariantCulture)));
}

if (args is not [var proxy, var weir, var output, ..])
{
    Console.Error.WriteLine("usage: weir-proxy-bench PROXY WEIR OUTPUT-DIRECTORY [--quick] [CASE...]");
    return 64;
}

var isQuick = args.Contains("--quick");
var only = args.Skip(3).Where(a => !a.StartsWith('-')).ToHashSet();
var directory = Directory.CreateTempSubdirectory("weir-bench").FullName;
var rounds = isQuick ? 3 : 7;
var seconds = TimeSpan.FromSeconds(isQuick ? 1 : 3);
const string ProxyCore = "0";
var report = new Report();
var certificates = new Certificates(directory);
var loop = new EventLoop(0, TimeProvider.System);
loop.Start();
var load = new Load(loop);
var backends = new Backends(loop);
var clientTls = certificates.Client();
for (var i = 0; i < 4; i++)
{
    backends.Listen(At(Configurations.Backend + i), null, false);
    backends.Listen(At(Configurations.TlsBackend + i), certificates.Server(), false);
}

backends.Listen(At(Configurations.EchoBackend), null, true);
File.WriteAllText($"{directory}/nginx.conf", Configurations.Nginx(directory));
File.WriteAllText($"{directory}/haproxy.cfg", Configurations.Haproxy(directory));
File.WriteAllText($"{directory}/haproxy-out.cfg", Configurations.HaproxyOut(directory));
File.WriteAllText($"{directory}/haproxy-in.cfg", Configurations.HaproxyIn(directory));
try
{
    using (var source = Serve("main", Configurations.Weir(directory)))
    {
        Compare();
        Idle();
    }

    Memory();
    TwoProxies();
    StartTime();
}
finally
{
    report.Write(output, isQuick);
    Directory.Delete(directory, recursive: true);
}

return 0;

static SocketAddressV4 At(int port) => SocketAddressV4.Parse("127.0.0.1", (uint)port);

bool Wants(string name) => only.Count == 0 || only.Contains(name);

// Serves a configuration over xDS to the proxies started with its socket.
Contender Serve(string name, string configuration)
{
    File.WriteAllText($"{directory}/{name}.yaml", configuration);
    var server = new Contender($"xds-{name}", "1", $"{weir} xds serve {directory}/{name}.yaml --socket {directory}/{name}.sock", directory);
    WaitFor(() => File.Exists($"{directory}/{name}.sock"), $"xDS server {name}");
    return server;
}

Contender StartWeir(string name, string source, int port, string core = ProxyCore)
{
    var started = new Contender(name, core, $"{proxy} router --xds unix:{directory}/{source}.sock", directory);
    WaitFor(() => Answers(port), name);
    return started;
}

void WaitFor(Func<bool> condition, string what)
{
    if (!SpinWait.SpinUntil(condition, TimeSpan.FromSeconds(60)))
    {
        throw new TimeoutException($"{what} did not start; see its log: {string.Join('\n', Directory.GetFiles(directory, "*.log").Select(File.ReadAllText))}");
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

void Compare()
{
    using var ours = StartWeir("weir", "main", Configurations.WeirTcp);
    using var nginx = new Contender("nginx", ProxyCore, $"nginx -p {directory} -c {directory}/nginx.conf", directory);
    using var haproxy = new Contender("haproxy", ProxyCore, $"haproxy -f {directory}/haproxy.cfg -db", directory);
    WaitFor(() => Answers(Configurations.NginxHttp) && Answers(Configurations.HaproxyHttp), "nginx and HAProxy");
    (Contender, int)[] http = [(ours, Configurations.WeirHttp), (nginx, Configurations.NginxHttp), (haproxy, Configurations.HaproxyHttp)];
    (Contender, int)[] tls = [(ours, Configurations.WeirTls), (haproxy, Configurations.HaproxyTls)];
    (Contender, int)[] tcp = [(ours, Configurations.WeirTcp), (haproxy, Configurations.HaproxyTcp)];

    Cost("HTTP/1.1 keep-alive, 1 KiB, 64 connections", "keepalive", "µs CPU/request", 0.85, http, p => new LoadPlan(At(p)), r => r.Requests / 1000.0);
    Latency(http);
    Cost("new connection each request", "new-connection", "µs CPU/request", 1.0, http, p => new LoadPlan(At(p), NewConnectionEach: true, Connections: 32), r => r.Requests / 1000.0);
    Cost("1 MiB bodies", "large", "ms CPU/GB", 1.0, http, p => new LoadPlan(At(p), "/1m", 16), r => r.Bytes / 1e9);
    Cost("mutual TLS both sides, keep-alive, 1 KiB", "tls", "µs CPU/request", 1.0, tls, p => new LoadPlan(At(p), Tls: clientTls), r => r.Requests / 1000.0);
    Cost("full mutual handshakes", "handshake", "µs CPU/handshake", 1.0, tls, p => new LoadPlan(At(p), Connections: 16, Tls: clientTls, HandshakeOnly: true), r => r.Requests / 1000.0);
    Cost("TCP, 64 KiB messages echoed", "tcp", "µs CPU/message", 1.0, tcp, p => new LoadPlan(At(p), Connections: 16, MessageBytes: 64 * 1024), r => r.Requests / 1000.0);
}

// CPU for a unit of work: nanoseconds over what the load counts, rounds interleaved.
void Cost(string title, string name, string unit, double goal, (Contender Proxy, int Port)[] contenders, Func<int, LoadPlan> plan, Func<LoadResult, double> work)
{
    if (!Wants(name))
    {
        return;
    }

    var samples = contenders.Select(_ => new List<double>()).ToArray();
    var rates = contenders.Select(_ => new List<double>()).ToArray();
    for (var round = -1; round < rounds; round++)
    {
        for (var i = 0; i < contenders.Length; i++)
        {
            // The first round warms up and is not counted.
            var length = round < 0 ? TimeSpan.FromSeconds(1) : seconds;
            var before = contenders[i].Proxy.CpuNanoseconds;
            var result = load.Run(plan(contenders[i].Port), length);
            var spent = contenders[i].Proxy.CpuNanoseconds - before;
            if (result.Failures > 0)
            {
                report.Note($"{title}: {contenders[i].Proxy.Name} failed {result.Failures} of {result.Requests + result.Failures}");
            }

            if (round >= 0)
            {
                samples[i].Add(spent / work(result) / 1e6);
                rates[i].Add(result.Requests / length.TotalSeconds);
            }
        }
    }

    report.Add(title, name, unit, goal, contenders.Select((c, i) => (c.Proxy.Name, samples[i])).ToList(), "rate " + string.Join(", ", contenders.Select((c, i) => string.Create(CultureInfo.InvariantCulture, $"{c.Proxy.Name} {Report.Median(rates[i]):0}/s"))));
}

// The 99th percentile at 70 % of what saturates the fastest of those compared to.
void Latency((Contender Proxy, int Port)[] contenders)
{
    if (!Wants("latency"))
    {
        return;
    }

    var saturation = contenders.Skip(1).Max(c => load.Run(new LoadPlan(At(c.Port)), seconds).Requests / seconds.TotalSeconds);
    var samples = contenders.Select(_ => new List<double>()).ToArray();
    for (var round = 0; round < rounds; round++)
    {
        for (var i = 0; i < contenders.Length; i++)
        {
            samples[i].Add(load.Run(new LoadPlan(At(contenders[i].Port), Rate: saturation * 0.7), seconds).Percentile(0.99));
        }
    }

    report.Add("the same at 70 % of saturation: p99", "latency", "µs", 1.0, contenders.Select((c, i) => (c.Proxy.Name, samples[i])).ToList(), string.Create(CultureInfo.InvariantCulture, $"{saturation * 0.7:0} requests/s"));
}

// Each in a process of its own that has done nothing else but warm up: what is left over from other cases would be used again.
void Idle()
{
    if (!Wants("idle"))
    {
        return;
    }

    // A few are left for the probes that ask whether it runs.
    var count = Configurations.Connections - 50;
    var samples = new List<(string, List<double>)>();
    foreach (var (start, port) in new (Func<Contender>, int)[]
    {
        (() => StartWeir("weir", "main", Configurations.WeirHttp), Configurations.WeirHttp),
        (() => new Contender("nginx", ProxyCore, $"nginx -p {directory} -c {directory}/nginx.conf", directory), Configurations.NginxHttp),
        (() => new Contender("haproxy", ProxyCore, $"haproxy -f {directory}/haproxy.cfg -db", directory), Configurations.HaproxyHttp),
    })
    {
        using var contender = start();
        WaitFor(() => Answers(port), contender.Name);
        load.Run(new LoadPlan(At(port), Connections: 4), TimeSpan.FromSeconds(1));
        Settle();
        var before = contender.ResidentBytes;
        using var held = load.HoldOpen(new LoadPlan(At(port), Connections: count), out var result);
        if (result.Failures > 0)
        {
            report.Note($"idle connections: {contender.Name} failed {result.Failures} of {count}");
        }

        Settle();
        samples.Add((contender.Name, [(contender.ResidentBytes - before) / (double)count]));
    }

    report.Add(string.Create(CultureInfo.InvariantCulture, $"{count:N0} idle keep-alive connections"), "idle", "bytes each", 1.0, samples, "");
}

// Time for timers and collections to do what they would.
static void Settle()
{
    using var never = new ManualResetEventSlim();
    never.Wait(TimeSpan.FromSeconds(3));
}

void Memory()
{
    if (!Wants("memory"))
    {
        return;
    }

    using (Serve("memory", Configurations.Weir(directory)))
    using (var ours = StartWeir("weir-memory", "memory", Configurations.WeirTcp))
    {
        load.Run(new LoadPlan(At(Configurations.WeirTls), Connections: 1, Rate: 10, Tls: clientTls), TimeSpan.FromSeconds(1));
        Settle();
        report.AddLimit("resident, idle with xDS and mTLS", "memory-idle", "MB", 12, [ours.ResidentBytes / 1e6]);
        using var ended = new ManualResetEventSlim();
        var peak = 0L;
        var watching = new Thread(() =>
        {
            while (!ended.Wait(100))
            {
                peak = Math.Max(peak, ours.ResidentBytes);
            }
        });
        watching.Start();
        load.Run(new LoadPlan(At(Configurations.WeirHttp), Connections: 1000), seconds * 2);
        ended.Set();
        watching.Join();
        report.AddLimit("resident, 1,000 active connections", "memory-active", "MB", 25, [peak / 1e6]);
    }

    using (Serve("large", Configurations.WeirLarge(directory, 2000, 10)))
    using (var ours = StartWeir("weir-large", "large", Configurations.WeirTcp))
    {
        Settle();
        report.AddLimit("resident, 2,000 clusters and 20,000 endpoints", "memory-large", "MB", 60, [ours.ResidentBytes / 1e6]);
    }
}

void TwoProxies()
{
    if (!Wants("mesh"))
    {
        return;
    }

    using var outbound = Serve("outbound", Configurations.WeirOutbound(directory));
    using var inbound = Serve("inbound", Configurations.WeirInbound(directory));
    using var first = StartWeir("weir-out", "outbound", Configurations.Outbound);
    using var second = StartWeir("weir-in", "inbound", Configurations.Inbound);
    using var haproxyFirst = new Contender("haproxy-out", ProxyCore, $"haproxy -f {directory}/haproxy-out.cfg -db", directory);
    using var haproxySecond = new Contender("haproxy-in", ProxyCore, $"haproxy -f {directory}/haproxy-in.cfg -db", directory);
    WaitFor(() => Answers(Configurations.HaproxyOutbound), "haproxy");
    var pairs = new[]
    {
        (Port: Configurations.Outbound, Both: new[] { first, second }, P50: new List<double>(), P99: new List<double>(), Cpu: new List<double>()),
        (Port: Configurations.HaproxyOutbound, Both: new[] { haproxyFirst, haproxySecond }, P50: new List<double>(), P99: new List<double>(), Cpu: new List<double>()),
    };
    for (var round = -1; round < rounds; round++)
    {
        foreach (var pair in pairs)
        {
            var direct = load.Run(new LoadPlan(At(Configurations.Backend), Connections: 16, Rate: 1000), seconds);
            var before = pair.Both.Sum(p => p.CpuNanoseconds);
            var watch = Stopwatch.StartNew();
            var through = load.Run(new LoadPlan(At(pair.Port), Connections: 16, Rate: 1000), seconds);
            if (round >= 0)
            {
                pair.Cpu.Add((pair.Both.Sum(p => p.CpuNanoseconds) - before) / watch.Elapsed.TotalNanoseconds);
                pair.P50.Add((through.Percentile(0.5) - direct.Percentile(0.5)) / 1000.0);
                pair.P99.Add((through.Percentile(0.99) - direct.Percentile(0.99)) / 1000.0);
            }
        }
    }

    var (ours, theirs) = (pairs[0], pairs[1]);
    report.AddLimit("two proxies, mTLS, 1,000 requests/s: p50 over direct", "mesh-p50", "ms", 0.15, ours.P50, ("haproxy", theirs.P50));
    report.AddLimit("two proxies, mTLS, 1,000 requests/s: p99 over direct", "mesh-p99", "ms", 0.5, ours.P99, ("haproxy", theirs.P99));
    report.AddLimit("two proxies, mTLS, 1,000 requests/s: CPU of both", "mesh-cpu", "vCPU", 0.05, ours.Cpu, ("haproxy", theirs.Cpu));
}

void StartTime()
{
    if (!Wants("start"))
    {
        return;
    }

    var samples = new List<double>();
    using var source = Serve("start", Configurations.Weir(directory));
    for (var round = 0; round < rounds * 3; round++)
    {
        // Not through a shell: its own start is not the proxy's.
        var info = new ProcessStartInfo(proxy, ["router", "--xds", $"unix:{directory}/start.sock"]) { RedirectStandardError = true };
        var watch = Stopwatch.StartNew();
        using var started = Process.Start(info)!;
        while (!FirstAnswer())
        {
        }

        samples.Add(watch.Elapsed.TotalMilliseconds);
        started.Kill();
        started.WaitForExit();
    }

    report.AddLimit("start to first request served", "start", "ms", 50, samples);
}

static bool FirstAnswer()
{
    try
    {
        using var client = new TcpClient("127.0.0.1", Configurations.WeirHttp);
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
