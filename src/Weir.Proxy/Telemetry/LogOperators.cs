using System.Diagnostics;
using System.Globalization;
using System.Text;
using Weir.Proxy.Reactor;

namespace Weir.Proxy.Telemetry;

delegate void WriteValue(ref LogLine line, ILogSubject subject);

/// <summary>An operator of a log format, ready to write its value.</summary>
/// <param name="IsNumber">In JSON it stands without quotation marks.</param>
/// <param name="ResponseHeaders">Headers of the response, in lower case, whose values must be kept until the line is written.</param>
/// <param name="UsesUpstreamLocalAddress">The address is asked of the kernel, so only where a line shows it.</param>
sealed record LogOperator(WriteValue Write, bool IsNumber = false, IReadOnlyList<byte[]>? ResponseHeaders = null, bool UsesUpstreamLocalAddress = false);

/// <summary>The operators that there are, with Envoy's names and meanings.</summary>
static class LogOperators
{
    /// <exception cref="FormatException">There is no such operator, or its argument is wrong.</exception>
    public static LogOperator Find(string name, string argument) => name switch
    {
        "START_TIME" => new(StartTime(argument)),
        "REQ" => RequestHeader(argument),
        "RESP" => ResponseHeader(argument),
        "PROTOCOL" => new((ref LogLine line, ILogSubject s) => line.TextOrMissing(s.Facts.Protocol)),
        "RESPONSE_CODE" => Number(s => s.Facts.Status),
        "RESPONSE_CODE_DETAILS" => Text(s => s.Facts.Details),
        "RESPONSE_FLAGS" => new((ref LogLine line, ILogSubject s) => line.Text(ResponseFlags.NameOf(s.Facts.Flag))),
        "RESPONSE_FLAGS_LONG" => Text(s => ResponseFlags.LongNameOf(s.Facts.Flag)),
        "GRPC_STATUS" => GrpcStatus(argument),
        "GRPC_STATUS_NUMBER" => Number(s => s.Facts.GrpcStatus),
        "BYTES_RECEIVED" => Number(s => s.Facts.BytesReceived),
        "BYTES_SENT" => Number(s => s.Facts.BytesSent),
        "DURATION" => Milliseconds(s => (s.Facts.StartTicks, s.Facts.EndTicks)),
        "REQUEST_DURATION" => Milliseconds(s => (s.Facts.StartTicks, s.Facts.RequestDoneTicks)),
        "RESPONSE_DURATION" => Milliseconds(s => (s.Facts.StartTicks, s.Facts.ResponseStartTicks)),
        "RESPONSE_TX_DURATION" => Milliseconds(s => (s.Facts.ResponseStartTicks, s.Facts.EndTicks)),
        "UPSTREAM_HOST" or "UPSTREAM_REMOTE_ADDRESS" => Address(s => s.Facts.UpstreamAddress),
        "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => Address(s => s.Facts.UpstreamAddress, withPort: false),
        "UPSTREAM_LOCAL_ADDRESS" => Address(s => s.Facts.UpstreamLocalAddress) with { UsesUpstreamLocalAddress = true },
        "UPSTREAM_CLUSTER" or "UPSTREAM_CLUSTER_RAW" => new((ref LogLine line, ILogSubject s) => line.TextOrMissing(s.Facts.Cluster)),
        "UPSTREAM_TRANSPORT_FAILURE_REASON" => Text(s => s.Facts.TransportFailure),
        "UPSTREAM_REQUEST_ATTEMPT_COUNT" => Number(s => s.Facts.Attempts),
        "DOWNSTREAM_REMOTE_ADDRESS" => Address(s => s.Downstream.Peer),
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => Address(s => s.Downstream.Peer, withPort: false),
        "DOWNSTREAM_REMOTE_PORT" => Number(s => s.Downstream.Peer.Port),
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS" => Address(s => s.Downstream.Direct),
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT" => Address(s => s.Downstream.Direct, withPort: false),
        "DOWNSTREAM_LOCAL_ADDRESS" => Address(s => s.Downstream.Local),
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => Address(s => s.Downstream.Local, withPort: false),
        "DOWNSTREAM_LOCAL_PORT" => Number(s => s.Downstream.Local.Port),
        "DOWNSTREAM_PEER_URI_SAN" => Text(s => s.Downstream.Tls?.Peer?.UriText),
        "DOWNSTREAM_PEER_DNS_SAN" => Text(s => s.Downstream.Tls?.Peer?.DnsText),
        "DOWNSTREAM_PEER_SUBJECT" => Text(s => s.Downstream.Tls?.Peer?.Subject),
        "DOWNSTREAM_PEER_FINGERPRINT_256" => Text(s => s.Downstream.Tls?.Peer?.Hash),
        "DOWNSTREAM_TLS_VERSION" => Text(s => s.Downstream.Tls?.Version),
        "DOWNSTREAM_TLS_CIPHER" => Text(s => s.Downstream.Tls?.Cipher),
        "REQUESTED_SERVER_NAME" => Text(s => s.Downstream.ServerName),
        "ROUTE_NAME" => Text(s => s.Facts.Route),
        "CONNECTION_ID" => Number(s => (long)s.Downstream.Id),
        "TRACE_ID" => new((ref LogLine line, ILogSubject s) => line.TextOrMissing(s.TraceId)),
        "STREAM_ID" => new((ref LogLine line, ILogSubject s) => line.TextOrMissing(s.RequestHeader("x-request-id"u8))),
        "HOSTNAME" => Fixed(Environment.MachineName),
        "ENVIRONMENT" => Fixed(Environment.GetEnvironmentVariable(argument)),

        // What other filters would have left behind; there are none that do.
        "DYNAMIC_METADATA" or "FILTER_STATE" or "CLUSTER_METADATA" or "UPSTREAM_METADATA" or "TRAILER" or "CONNECTION_TERMINATION_DETAILS"
            or "UPSTREAM_FILTER_STATE" => Fixed(null),
        _ => throw new FormatException($"%{name}% is not supported"),
    };

    static LogOperator Text(Func<ILogSubject, string?> read) => new((ref LogLine line, ILogSubject subject) => line.TextOrMissing(read(subject)));

    static LogOperator Fixed(string? text) => Text(_ => text);

    static LogOperator Number(Func<ILogSubject, long?> read) => new(
        (ref LogLine line, ILogSubject subject) =>
        {
            if (read(subject) is { } number)
            {
                line.Number(number);
            }
            else
            {
                line.Missing();
            }
        },
        IsNumber: true);

    static LogOperator Address(Func<ILogSubject, SocketAddressV4?> read, bool withPort = true) => new((ref LogLine line, ILogSubject subject) =>
    {
        Span<byte> text = stackalloc byte[24];
        line.TextOrMissing(read(subject) is { } address ? text[..address.Format(text, withPort)] : default);
    });

    /// <param name="read">From when to when; 0 for what has not happened.</param>
    static LogOperator Milliseconds(Func<ILogSubject, (long From, long To)> read) => Number(s =>
        read(s) is { From: not 0, To: not 0 } span ? (long)Stopwatch.GetElapsedTime(span.From, span.To).TotalMilliseconds : null);

    static LogOperator GrpcStatus(string form) => form.ToUpperInvariant() switch
    {
        "" or "CAMEL_STRING" => Text(s => s.Facts.GrpcStatus is { } status ? GrpcStatusNames.InCamelCase(status) : null),
        "SNAKE_STRING" => Text(s => s.Facts.GrpcStatus is { } status ? GrpcStatusNames.InSnakeCase(status) : null),
        "NUMBER" => Number(s => s.Facts.GrpcStatus),
        _ => throw new FormatException($"%GRPC_STATUS({form})%: the form is CAMEL_STRING, SNAKE_STRING or NUMBER"),
    };

    static LogOperator RequestHeader(string argument)
    {
        var (name, alternative) = Names(argument);
        return new((ref LogLine line, ILogSubject subject) =>
        {
            var value = subject.RequestHeader(name);
            line.TextOrMissing(value.IsEmpty && alternative.Length > 0 ? subject.RequestHeader(alternative) : value);
        });
    }

    static LogOperator ResponseHeader(string argument)
    {
        var (name, alternative) = Names(argument);
        if (name.AsSpan().SequenceEqual("x-envoy-upstream-service-time"u8))
        {
            // What Envoy adds to answers as a header: how long the upstream took.
            return Milliseconds(s => (s.Facts.RequestDoneTicks, s.Facts.ResponseStartTicks));
        }

        return new(
            (ref LogLine line, ILogSubject subject) =>
            {
                var value = subject.ResponseHeader(name);
                line.TextOrMissing(value.IsEmpty && alternative.Length > 0 ? subject.ResponseHeader(alternative) : value);
            },
            ResponseHeaders: alternative.Length > 0 ? [name, alternative] : [name]);
    }

    static (byte[] Name, byte[] Alternative) Names(string argument)
    {
        var names = argument.ToLowerInvariant().Split('?', 2);
        if (names[0].Length == 0)
        {
            throw new FormatException("a header operator needs the header's name in parentheses");
        }

        return (Encoding.ASCII.GetBytes(names[0]), names.Length > 1 ? Encoding.ASCII.GetBytes(names[1]) : []);
    }

    /// <summary>Milliseconds in UTC unless a format of strftime's is given, of which the usual specifiers are known.</summary>
    static WriteValue StartTime(string format)
    {
        var net = StrftimeFormat.ToNet(format);
        return (ref LogLine line, ILogSubject subject) =>
        {
            Span<byte> text = stackalloc byte[64];
            if (format is "%s")
            {
                line.Number(subject.Facts.StartedAt.ToUnixTimeSeconds());
            }
            else if (subject.Facts.StartedAt.UtcDateTime.TryFormat(text, out var written, net, CultureInfo.InvariantCulture))
            {
                line.Text(text[..written]);
            }
        };
    }
}
