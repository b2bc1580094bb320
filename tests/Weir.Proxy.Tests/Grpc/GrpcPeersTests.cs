using System.Diagnostics;
using System.Runtime.CompilerServices;
using Weir.Proxy.Tests.Http2;

namespace Weir.Proxy.Tests.Grpc;

/// <summary>gRPC as others have written it.</summary>
public enum Peer
{
    /// <summary>Debian's python3-grpcio, on gRPC's own core.</summary>
    Python,

    /// <summary>npm's @grpc/grpc-js.</summary>
    Node,

    /// <summary>Kestrel, as a server only.</summary>
    Dotnet,
}

/// <summary>The interoperability cases between other implementations of gRPC, as clients and as servers, through one proxy and two.</summary>
public class GrpcPeersTests
{
    const string Cases = """
        empty_unary large_unary client_streaming server_streaming ping_pong empty_stream cancel_after_begin cancel_after_first_response
        timeout_on_sleeping_server custom_metadata status_code_and_message special_status_message unimplemented_method unimplemented_service
        """;

    static string Folder([CallerFilePath] string file = "") => Path.GetDirectoryName(file)!;

    static ProcessStartInfo Program(Peer peer, string what, params string[] arguments) => peer == Peer.Node
        ? new ProcessStartInfo("node", [Path.Combine(Folder(), "node", what + ".js"), .. arguments])
        : new ProcessStartInfo(DebianPython, [Path.Combine(Folder(), $"interop_{what}.py"), .. arguments]);

    const string DebianPython = "/usr/bin/python3";

    static readonly Lazy<HashSet<Peer>> Installed = new(() =>
    {
        var found = new HashSet<Peer> { Peer.Dotnet };
        if (File.Exists(DebianPython) && Succeeds(new ProcessStartInfo(DebianPython, ["-c", "import grpc"])))
        {
            found.Add(Peer.Python);
        }

        if (Directory.Exists(Path.Combine(Folder(), "node", "node_modules", "@grpc", "grpc-js")) && Succeeds(new ProcessStartInfo("node", ["--version"])))
        {
            found.Add(Peer.Node);
        }

        return found;
    });

    static bool Succeeds(ProcessStartInfo what)
    {
        try
        {
            what.RedirectStandardError = what.RedirectStandardOutput = true;
            using var process = Process.Start(what)!;
            process.WaitForExit();
            return process.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }

    /// <summary>Runs where both are installed.</summary>
    sealed class PeerFactAttribute : FactAttribute
    {
        public PeerFactAttribute(Peer client, Peer server)
        {
            var missing = new[] { client, server }.Where(p => !Installed.Value.Contains(p)).Distinct().ToList();
            if (missing.Count > 0)
            {
                Skip = $"gRPC is not installed for {string.Join(" and ", missing)}";
            }
        }
    }

    [PeerFact(Peer.Python, Peer.Dotnet)]
    public Task Python_calls_kestrel() => RunAsync(Peer.Python, Peer.Dotnet);

    [PeerFact(Peer.Node, Peer.Dotnet)]
    public Task Node_calls_kestrel() => RunAsync(Peer.Node, Peer.Dotnet);

    [PeerFact(Peer.Python, Peer.Node)]
    public Task Python_calls_node() => RunAsync(Peer.Python, Peer.Node);

    [PeerFact(Peer.Node, Peer.Python)]
    public Task Node_calls_python() => RunAsync(Peer.Node, Peer.Python);

    [PeerFact(Peer.Python, Peer.Python)]
    public Task Python_calls_python() => RunAsync(Peer.Python, Peer.Python);

    static async Task RunAsync(Peer client, Peer server)
    {
        await using var kestrel = server == Peer.Dotnet ? await InteropServer.StartAsync() : null;
        using var other = server == Peer.Dotnet ? null : Process.Start(With(Program(server, "server")));
        try
        {
            var port = kestrel?.Port ?? int.Parse((await other!.StandardOutput.ReadLineAsync())!, System.Globalization.CultureInfo.InvariantCulture);
            foreach (var between in Enum.GetValues<Between>())
            {
                await using var path = ProxyPath.To(between, port);
                using var process = Process.Start(With(Program(client, "client", path.Port.ToString(System.Globalization.CultureInfo.InvariantCulture))))!;
                var errors = process.StandardError.ReadToEndAsync();
                var output = await process.StandardOutput.ReadToEndAsync().WaitAsync(TimeSpan.FromSeconds(60));
                await process.WaitForExitAsync();

                Assert.Equal($"{between}:\n{string.Join('\n', Cases.Split((char[])[' ', '\n', '\r'], StringSplitOptions.RemoveEmptyEntries))}\n", $"{between}:\n{output}{await errors}");
            }
        }
        finally
        {
            other?.Kill();
        }
    }

    static ProcessStartInfo With(ProcessStartInfo program)
    {
        program.RedirectStandardInput = program.RedirectStandardOutput = program.RedirectStandardError = true;
        return program;
    }
}
