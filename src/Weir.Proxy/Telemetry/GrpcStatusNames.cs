using System.Globalization;

namespace Weir.Proxy.Telemetry;

/// <summary>The names of gRPC's status codes, by number.</summary>
static class GrpcStatusNames
{
    static readonly string[] Camel =
    [
        "OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists", "PermissionDenied", "ResourceExhausted",
        "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal", "Unavailable", "DataLoss", "Unauthenticated",
    ];

    static readonly string[] Snake =
    [
        "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
    ];

    public static string InCamelCase(int status) => Of(Camel, status);

    public static string InSnakeCase(int status) => Of(Snake, status);

    /// <summary>A number that has no name stands for itself.</summary>
    static string Of(string[] names, int status) =>
        (uint)status < (uint)names.Length ? names[status] : status.ToString(CultureInfo.InvariantCulture);
}
