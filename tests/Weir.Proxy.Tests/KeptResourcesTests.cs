using Envoy.Service.Discovery.V3;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Weir.Proxy.Lifecycle;
using Weir.Proxy.Telemetry;
using Weir.Xds;
using static Weir.Proxy.Tests.ProxyHarness;
using ReceivedResource = Weir.Xds.Client.ReceivedResource;

namespace Weir.Proxy.Tests;

public sealed class KeptResourcesTests : IDisposable
{
    readonly string directory = Directory.CreateTempSubdirectory("weir-kept").FullName;
    readonly StringWriter text = new();

    string FilePath => Path.Combine(directory, "last-good.bin");

    public void Dispose()
    {
        Directory.Delete(directory, recursive: true);
        text.Dispose();
    }

    static byte[] Write(params (string Type, ReceivedResource Resource)[] resources)
    {
        using var stream = new MemoryStream();
        KeptResources.Write(stream, resources);
        return stream.ToArray();
    }

    static (string Type, ReceivedResource Resource) Cluster(string name, int port = 1) => (XdsTypes.Cluster, new ReceivedResource(name, "v1", BuildCluster(name, [port]).ToByteString()));

    LastGoodConfiguration Kept(ProxyHarness proxy) => new(FilePath, proxy.Store, new ProxyLog(TimeProvider.System, text), TimeProvider.System);

    [Fact]
    public void What_was_written_is_read()
    {
        (string, ReceivedResource)[] resources = [Cluster("a"), (XdsTypes.Endpoints, new ReceivedResource("b", "", ByteString.Empty)), Cluster("c")];

        Assert.Null(KeptResources.TryRead(Write(resources), out var read));
        Assert.Equal(resources, read);
        Assert.Null(KeptResources.TryRead(Write(), out read));
        Assert.Empty(read);
    }

    [Fact]
    public void A_file_cut_off_at_any_byte_is_not_believed()
    {
        var whole = Write(Cluster("a"), Cluster("b"));

        for (var length = 0; length < whole.Length; length++)
        {
            Assert.NotNull(KeptResources.TryRead(whole[..length], out var read));
            Assert.Empty(read);
        }

        Assert.NotNull(KeptResources.TryRead([.. whole, 0], out _));
    }

    [Fact]
    public void A_file_with_any_byte_changed_is_not_believed()
    {
        var whole = Write(Cluster("a"), Cluster("b"));

        for (var at = 0; at < whole.Length; at++)
        {
            foreach (var flip in new byte[] { 0x01, 0x80, 0xFF })
            {
                var changed = (byte[])whole.Clone();
                changed[at] ^= flip;

                Assert.True(KeptResources.TryRead(changed, out var read) is not null, $"byte {at} changed by {flip}");
                Assert.Empty(read);
            }
        }
    }

    /// <summary>Written whole, so that the checksum is right, but not by this code.</summary>
    [Fact]
    public async Task A_resource_without_its_message_is_not_believed()
    {
        var empty = new DeltaDiscoveryResponse { TypeUrl = XdsTypes.Cluster, Resources = { new Resource { Name = "a" } } };
        var unknown = new DeltaDiscoveryResponse { TypeUrl = "type.googleapis.com/x", Resources = { new Resource { Name = "a", Resource_ = new Any() } } };
        foreach (var message in new[] { empty, unknown })
        {
            using var stream = new MemoryStream();
            using var payload = new MemoryStream();
            message.WriteDelimitedTo(payload);
            await File.WriteAllBytesAsync(FilePath, WithHeader(payload.ToArray()));
            await using var proxy = new ProxyHarness();

            Kept(proxy).Load();

            Assert.Empty(proxy.Store.InForce);
            Assert.Contains($"{FilePath} is not put in force, and set aside as {FilePath}.refused: a resource in it of type", text.ToString());
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(51)]
    [InlineData(60)]
    [InlineData(-1)]
    public async Task A_file_that_is_not_believed_is_set_aside_and_the_start_goes_on(int length)
    {
        var whole = Write(Cluster("a"));
        await File.WriteAllBytesAsync(FilePath, whole[..(length < 0 ? whole.Length + length : length)]);
        await using var proxy = new ProxyHarness();

        Kept(proxy).Load();

        Assert.Empty(proxy.Store.InForce);
        Assert.False(File.Exists(FilePath));
        Assert.True(File.Exists(FilePath + ".refused"));
        Assert.Contains("set aside", text.ToString());
        Assert.Null(proxy.Clusters(("c", [1])));
    }

    [Fact]
    public async Task What_is_refused_of_a_file_is_named_and_the_rest_is_in_force()
    {
        var wrong = BuildCluster("wrong", [1]);
        wrong.Type = Envoy.Config.Cluster.V3.Cluster.Types.DiscoveryType.LogicalDns;
        await File.WriteAllBytesAsync(FilePath, Write(Cluster("right"), (XdsTypes.Cluster, new ReceivedResource("wrong", "1", wrong.ToByteString()))));
        await using var proxy = new ProxyHarness();

        Kept(proxy).Load();

        Assert.Equal("right", Assert.Single(proxy.Store.InForce).Resource.Name);
        Assert.Contains("kept configuration: cluster wrong: type LogicalDns is not supported", text.ToString());
        Assert.True(File.Exists(FilePath + ".refused"));
    }

    [Fact]
    public async Task A_file_that_may_not_be_read_or_written_stops_nothing()
    {
        Directory.CreateDirectory(FilePath);
        await using var proxy = new ProxyHarness();

        Kept(proxy).Load();
        Kept(proxy).Save();

        Assert.Contains("could not be kept", text.ToString());
    }

    static byte[] WithHeader(byte[] payload)
    {
        var whole = Write();
        var header = whole.AsSpan(0, 20).ToArray();
        BitConverter.TryWriteBytes(header.AsSpan(12), (long)payload.Length);
        var hash = System.Security.Cryptography.SHA256.HashData([.. payload, .. header]);
        return [.. header, .. hash, .. payload];
    }
}
