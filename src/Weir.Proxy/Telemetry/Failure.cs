using System.Net.Sockets;
using System.Text.Json;

namespace Weir.Proxy.Telemetry;

/// <summary>
/// What went wrong, in words. A published proxy carries no texts of .NET's own exceptions, only their keys, so nothing that people read
/// takes an exception's message without asking here.
/// </summary>
public static class Failure
{
    /// <summary>The message where it is the proxy's own, else words for the kind of failure.</summary>
    public static string Describe(Exception exception) => exception switch
    {
        FileNotFoundException or DirectoryNotFoundException => "there is no such file or directory",
        PathTooLongException => "the path is too long",
        EndOfStreamException => "it ended too early",
        UnauthorizedAccessException => "permission denied",
        SocketException socket => Of(socket.SocketErrorCode),
        OperationCanceledException or TimeoutException => "it took too long",
        JsonException => "it is not valid JSON",
        Google.Protobuf.InvalidProtocolBufferException => "it is not a valid protobuf message",
        IOException { InnerException: SocketException socket } => Of(socket.SocketErrorCode),
        IOException { HResult: > 0 and < 4096 } io when IsKey(io.Message) => OfErrno(io.HResult),
        _ when !IsKey(exception.Message) => exception.Message,
        _ when exception.InnerException is { } inner => Describe(inner),
        IOException => "reading or writing failed",
        FormatException or ArgumentException or OverflowException => "a value has the wrong form",
        InvalidDataException => "the data is not valid",
        ObjectDisposedException => "it has been closed",
        _ => exception.GetType().Name,
    };

    /// <summary>An error number of Linux.</summary>
    public static string OfErrno(int errno) => errno switch
    {
        1 or 13 => "permission denied",
        2 => "there is no such file or directory",
        4 => "interrupted",
        5 => "input or output error",
        6 => "nobody reads it",
        11 => "it is busy",
        17 => "it exists already",
        20 => "a part of the path is no directory",
        21 => "it is a directory",
        22 => "invalid argument",
        23 or 24 => "no file descriptor is left",
        27 => "the file is too large",
        28 => "no space is left on the device",
        30 => "the file system can only be read",
        32 => "nobody reads it any more",
        36 => "the name is too long",
        97 => "the address family is not supported",
        98 => "address already in use",
        99 => "this machine does not have the address",
        101 => "the network cannot be reached",
        103 or 104 => "the connection was reset",
        110 => "it took too long",
        111 => "connection refused",
        113 => "the host cannot be reached",
        _ => $"errno {errno}",
    };

    static string Of(SocketError error) => error switch
    {
        SocketError.ConnectionRefused => "connection refused",
        SocketError.ConnectionReset or SocketError.ConnectionAborted or SocketError.Shutdown => "the connection was reset",
        SocketError.TimedOut or SocketError.OperationAborted => "it took too long",
        SocketError.HostNotFound or SocketError.NoData => "there is no host of that name",
        SocketError.TryAgain => "the name could not be resolved",
        SocketError.HostUnreachable => "the host cannot be reached",
        SocketError.NetworkUnreachable or SocketError.NetworkDown => "the network cannot be reached",
        SocketError.AddressAlreadyInUse => "address already in use",
        SocketError.AddressNotAvailable => "there is nothing at that address",
        SocketError.AccessDenied => "permission denied",
        SocketError.TooManyOpenSockets => "no file descriptor is left",
        SocketError.AddressFamilyNotSupported => "the address family is not supported",
        _ => $"socket error {error}",
    };

    /// <summary>A resource's key, such as <c>IO_FileNotFound_FileName</c>: one word, perhaps with arguments after a comma. Our own messages have several.</summary>
    static bool IsKey(string message)
    {
        var end = message.IndexOf(',', StringComparison.Ordinal);
        var word = end < 0 ? message : message[..end];
        return word.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '.');
    }
}
