namespace Weir.Xds.Http2;

/// <summary>What an <see cref="Http2Call"/> carries. The two methods are called by two tasks at once.</summary>
public interface ICallHandler
{
    /// <summary>A whole message has come. Nothing more is read until it returns.</summary>
    void OnMessage(byte[] message);

    /// <summary>
    /// The next message to send, with gRPC's prefix; asked when the one before it has gone out, so that what accumulates meanwhile can be
    /// sent as one. After false it is asked again when a message has come.
    /// </summary>
    bool TryTakeMessage(out byte[] message);
}

/// <summary>How a call ended, as the server told it.</summary>
/// <param name="HttpStatus">Of the response's head; null when there was none.</param>
/// <param name="GrpcStatus">Null when the server did not say.</param>
public sealed record CallEnd(int? HttpStatus, int? GrpcStatus, string Message)
{
    /// <summary>gRPC's code for a method that the server does not have.</summary>
    public const int Unimplemented = 12;

    const int Ok = 200;
    const int NotFound = 404;

    /// <summary>The server does not know the method. Servers without gRPC's own routing say it by HTTP.</summary>
    public bool IsUnimplemented => GrpcStatus == Unimplemented || (GrpcStatus is null && HttpStatus == NotFound);

    public override string ToString() => this switch
    {
        { GrpcStatus: null, HttpStatus: { } status and not Ok } => $"the control plane answered with HTTP status {status}",
        { GrpcStatus: null or 0 } => "the control plane closed the stream" + (Message.Length > 0 ? $": {Message}" : ""),
        _ => $"the control plane ended the stream with gRPC status {GrpcStatus} ({GrpcStatusName.Of(GrpcStatus.Value)})" + (Message.Length > 0 ? $": {Message}" : ""),
    };
}
