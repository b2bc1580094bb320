"""grpc.testing.TestService on Debian's python3-grpcio. Prints its port, and serves until its input ends."""
import sys
from concurrent import futures
import grpc

SERVICE = "grpc.testing.TestService"


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at += 1
        shift += 7
        if byte < 128:
            return value, at


def encode(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def fields(data):
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        value, at = varint(data, at)
        if tag & 7 == 2:
            yield tag >> 3, data[at:at + value]
            at += value
        else:
            yield tag >> 3, value


def payload(size):
    inner = b"\x12" + encode(size) + bytes(size)
    return b"\x0a" + encode(len(inner)) + inner


def echo(context):
    asked = dict(context.invocation_metadata())
    if "x-grpc-test-echo-initial" in asked:
        context.send_initial_metadata((("x-grpc-test-echo-initial", asked["x-grpc-test-echo-initial"]),))
    if "x-grpc-test-echo-trailing-bin" in asked:
        context.set_trailing_metadata((("x-grpc-test-echo-trailing-bin", asked["x-grpc-test-echo-trailing-bin"]),))


def fail_if_asked(request, context):
    for field, value in fields(request):
        if field == 7:
            status = dict(fields(value))
            code = next(c for c in grpc.StatusCode if c.value[0] == status[1])
            context.abort(code, status[2].decode())


def unary(request, context):
    echo(context)
    fail_if_asked(request, context)
    return payload(dict(fields(request)).get(2, 0))


def collect(requests, context):
    total = 0
    for request in requests:
        for field, value in fields(request):
            if field == 1:
                total += len(dict(fields(value)).get(2, b""))
    return b"\x08" + encode(total)


def answer_each(requests, context):
    echo(context)
    for request in requests:
        fail_if_asked(request, context)
        for field, value in fields(request):
            if field == 2:
                yield payload(dict(fields(value)).get(1, 0))


handlers = {
    "EmptyCall": grpc.unary_unary_rpc_method_handler(lambda request, context: b""),
    "UnaryCall": grpc.unary_unary_rpc_method_handler(unary),
    "StreamingInputCall": grpc.stream_unary_rpc_method_handler(collect),
    "StreamingOutputCall": grpc.unary_stream_rpc_method_handler(lambda request, context: answer_each([request], context)),
    "FullDuplexCall": grpc.stream_stream_rpc_method_handler(answer_each),
}
server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
sys.stdin.read()
server.stop(None)
