"""gRPC's interoperability cases with Debian's python3-grpcio: interop_client.py PORT. Prints a line for each case that passes."""
import sys
import grpc

SERVICE = "/grpc.testing.TestService/"


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def number(field, value):
    return varint(field << 3) + varint(value)


def message(field, content):
    return varint(field << 3 | 2) + varint(len(content)) + content


def payload(field, size):
    return message(field, message(2, bytes(size)))


def simple(size, own, status=b""):
    return number(2, size) + payload(3, own) + (message(7, status) if status else b"")


def streaming(sizes, own, status=b""):
    return b"".join(message(2, number(1, s)) for s in sizes) + payload(3, own) + (message(7, status) if status else b"")


def status_of(code, text):
    return number(1, code) + message(2, text.encode())


def payload_size(answer):
    """Of the payload in the first field: two messages deep, with the length of the bytes within."""
    def skip(data, at):
        value = shift = 0
        while True:
            byte = data[at]
            value |= (byte & 127) << shift
            at += 1
            shift += 7
            if byte < 128:
                return value, at
    if not answer:
        return 0
    _, at = skip(answer, 0)
    _, at = skip(answer, at)
    if at >= len(answer):
        return 0
    _, at = skip(answer, at)
    length, _ = skip(answer, at)
    return length


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def code_of(call):
    try:
        call()
        return None, None
    except grpc.RpcError as error:
        return error.code(), error.details()


def main(port):
    options = [("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", 0)]
    channel = grpc.insecure_channel(f"127.0.0.1:{port}", options)
    unary = channel.unary_unary(SERVICE + "UnaryCall")
    empty = channel.unary_unary(SERVICE + "EmptyCall")
    collect = channel.stream_unary(SERVICE + "StreamingInputCall")
    output = channel.unary_stream(SERVICE + "StreamingOutputCall")
    duplex = channel.stream_stream(SERVICE + "FullDuplexCall")
    limit = 20

    check(empty(b"", timeout=limit) == b"", "empty")
    print("empty_unary")
    check(payload_size(unary(simple(314159, 271828), timeout=limit)) == 314159, "size")
    print("large_unary")
    check(collect((payload(1, s) for s in (27182, 8, 1828, 45904)), timeout=limit) == number(1, 74922), "sum")
    print("client_streaming")
    sizes = [31415, 9, 2653, 58979]
    check([payload_size(a) for a in output(streaming(sizes, 0), timeout=limit)] == sizes, "sizes")
    print("server_streaming")
    asked = [streaming([s], p) for s, p in ((31415, 27182), (9, 8), (2653, 1828), (58979, 45904))]
    check([payload_size(a) for a in duplex(iter(asked), timeout=limit)] == sizes, "ping pong")
    print("ping_pong")
    check(list(duplex(iter(()), timeout=limit)) == [], "empty stream")
    print("empty_stream")

    import threading
    hold = threading.Event()

    def waiting(first):
        yield first
        hold.wait(limit)

    begun = collect.future(waiting(payload(1, 1)))
    begun.cancel()
    check(begun.code() == grpc.StatusCode.CANCELLED, "cancelled")
    print("cancel_after_begin")
    call = duplex(waiting(streaming([31415], 27182)), timeout=limit)
    check(payload_size(next(call)) == 31415, "first")
    call.cancel()
    check(code_of(lambda: next(call))[0] == grpc.StatusCode.CANCELLED, "cancelled")
    print("cancel_after_first_response")
    sleeping = duplex(waiting(streaming([], 27182)), timeout=0.2)
    check(code_of(lambda: next(sleeping))[0] == grpc.StatusCode.DEADLINE_EXCEEDED, "deadline")
    print("timeout_on_sleeping_server")
    hold.set()

    metadata = (("x-grpc-test-echo-initial", "test_initial_metadata_value"), ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab"))
    _, done = unary.with_call(simple(314159, 271828), metadata=metadata, timeout=limit)
    check(metadata[0] in [tuple(m) for m in done.initial_metadata()], "initial")
    check(metadata[1] in [tuple(m) for m in done.trailing_metadata()], "trailing")
    print("custom_metadata")
    for text in ("test status message", "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n"):
        got = code_of(lambda: unary(simple(0, 0, status_of(2, text)), timeout=limit))
        check(got == (grpc.StatusCode.UNKNOWN, text), repr(got))
        got = code_of(lambda: list(duplex(iter([streaming([], 0, status_of(2, text))]), timeout=limit)))
        check(got == (grpc.StatusCode.UNKNOWN, text), repr(got))
    print("status_code_and_message")
    print("special_status_message")
    check(code_of(lambda: channel.unary_unary(SERVICE + "UnimplementedCall")(b"", timeout=limit))[0] == grpc.StatusCode.UNIMPLEMENTED, "method")
    print("unimplemented_method")
    check(code_of(lambda: channel.unary_unary("/grpc.testing.UnimplementedService/UnimplementedCall")(b"", timeout=limit))[0] == grpc.StatusCode.UNIMPLEMENTED, "service")
    print("unimplemented_service")


main(int(sys.argv[1]))
