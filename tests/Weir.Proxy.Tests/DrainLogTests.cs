using Weir.Proxy.Tests.Http2;
using static Weir.Proxy.Tests.ProxyHarness;

namespace Weir.Proxy.Tests;

/// <summary>What is still under way when the time for draining is over.</summary>
public class DrainLogTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_request_that_is_cut_off_is_logged(bool isHttp2)
    {
        var directory = Directory.CreateTempSubdirectory("weir-drain");
        var path = Path.Combine(directory.FullName, "access.log");
        await using (var proxy = new ProxyHarness())
        {
            var asked = new TaskCompletionSource();
            proxy.Clusters(("c", [proxy.Upstream(async stream =>
            {
                await ReadHeadAsync(stream);
                asked.SetResult();
                await ReadHeadAsync(stream);
            })]));
            Assert.Null(proxy.Routes(
                m => m.AccessLog.Add(LogTo(path, "%PROTOCOL% %RESPONSE_FLAGS%\n")),
                To("c")));
            var client = await proxy.ConnectAsync();
            if (isHttp2)
            {
                await new RawPeer(client).SendAsync(RawPeer.Preface, RawPeer.Settings(), RawPeer.Get(1));
            }
            else
            {
                await WriteAsync(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            }

            await asked.Task;
        }

        Assert.Equal([isHttp2 ? "HTTP/2 DC" : "HTTP/1.1 DC"], await File.ReadAllLinesAsync(path));
        directory.Delete(recursive: true);
    }
}
