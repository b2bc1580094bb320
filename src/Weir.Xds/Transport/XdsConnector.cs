using System.Net;
using System.Net.Sockets;

namespace Weir.Xds.Transport;

/// <summary>
/// Makes the connections to a control plane. Used by one task. That it is away is nothing unusual, so it is a result and not an exception:
/// where thousands of proxies try every two seconds, each must not grow by what throwing needs.
/// </summary>
public sealed class XdsConnector(XdsServer server, TimeProvider time, Func<Exception, string> describe)
{
    int next;

    /// <returns>The connection, or why there is none.</returns>
    public async Task<(Stream? Stream, string Failure)> ConnectAsync(CancellationToken cancel)
    {
        var address = server.Addresses[next % server.Addresses.Count];
        using var limit = new CancellationTokenSource(server.ConnectTimeout, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancel, limit.Token);
        var (stream, failure) = await ConnectAsync(address, either.Token).ConfigureAwait(false);
        if (stream is not null)
        {
            return (stream, "");
        }

        next++;
        return (null, limit.IsCancellationRequested ? $"{address}: no connection within {server.ConnectTimeout.TotalSeconds:0.###} s" : failure);
    }

    async Task<(Stream? Stream, string Failure)> ConnectAsync(XdsAddress address, CancellationToken cancel)
    {
        if (address.UnixPath is { } path && !File.Exists(path))
        {
            return (null, $"there is no socket {path}");
        }

        var (socket, error) = await OpenAsync(address, cancel).ConfigureAwait(false);
        if (socket is null)
        {
            return (null, $"{address}: {describe(new SocketException((int)error))}");
        }

        var stream = new NetworkStream(socket, ownsSocket: true);
        if (server.Tls is not { } tls)
        {
            return (stream, "");
        }

        try
        {
            return (await TlsTransport.OpenAsync(tls, address.Host, stream, cancel).ConfigureAwait(false), "");
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            await stream.DisposeAsync().ConfigureAwait(false);
            return (null, $"{address}: {describe(e)}");
        }
        catch
        {
            await stream.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    static async Task<(Socket? Socket, SocketError Error)> OpenAsync(XdsAddress address, CancellationToken cancel)
    {
        var host = address.Host.Trim('[', ']');
        var completed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var connect = new SocketAsyncEventArgs
        {
            RemoteEndPoint = address.UnixPath is { } path ? new UnixDomainSocketEndPoint(path)
                : IPAddress.TryParse(host, out var ip) ? new IPEndPoint(ip, address.Port) : new DnsEndPoint(host, address.Port),
        };
        connect.Completed += (_, _) => completed.TrySetResult();

        // It looks names up and tries their addresses in turn.
        var protocol = address.UnixPath is null ? ProtocolType.Tcp : ProtocolType.Unspecified;
        if (Socket.ConnectAsync(SocketType.Stream, protocol, connect))
        {
            await using var cancelling = cancel.Register(() => Socket.CancelConnectAsync(connect)).ConfigureAwait(false);
            await completed.Task.ConfigureAwait(false);
        }

        if (connect.SocketError != SocketError.Success || connect.ConnectSocket is not { } socket)
        {
            connect.ConnectSocket?.Dispose();
            return (null, connect.SocketError);
        }

        if (protocol == ProtocolType.Tcp)
        {
            socket.NoDelay = true;
        }

        return (socket, SocketError.Success);
    }
}
