"""An ADS server on gRPC's own Python library, for trials of the proxy against an implementation that is not Weir's.

usage: ads_server.py LISTENER_PORT [CERTIFICATE KEY CLIENT_AUTHORITY]

Serves one listener with a route that answers by itself, and a cluster with endpoints. Prints a line of JSON for each event. A line on
standard input is the new body of the route's answer. The few messages are put together by hand, so that nothing has to be generated.
"""
import json
import queue
import sys
import threading
from concurrent import futures

import grpc

TYPES = "type.googleapis.com/envoy."
CLUSTER = TYPES + "config.cluster.v3.Cluster"
ENDPOINTS = TYPES + "config.endpoint.v3.ClusterLoadAssignment"
LISTENER = TYPES + "config.listener.v3.Listener"
ROUTE = TYPES + "config.route.v3.RouteConfiguration"
MANAGER = TYPES + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = TYPES + "extensions.filters.http.router.v3.Router"
SERVICE = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"


def varint(value):
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def message(*fields):
    """Fields as (number, value): an integer, a text, or the bytes of a message."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            value = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def read(data):
    """The fields of a message, each a list."""
    fields, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            value |= (data[at] & 0x7F) << shift
            shift += 7
            at += 1
            if data[at - 1] < 0x80:
                return value

    while at < len(data):
        key = number()
        if key & 7 == 0:
            value = number()
        else:
            length = number()
            value = data[at:at + length]
            at += length
        fields.setdefault(key >> 3, []).append(value)
    return fields


def text(fields, number):
    return fields.get(number, [b""])[0].decode()


def typed(url, value):
    return message((1, url), (2, value))


def resources(listener_port, body):
    ads = message((3, b""), (6, 2))
    address = message((1, message((2, "127.0.0.1"), (3, 9))))
    endpoint = message((1, message((1, address))))
    manager = message((2, "edge"), (3, message((1, ads), (2, "routes"))), (5, message((1, "router"), (4, typed(ROUTER, b"")))))
    answer = message((1, 200), (2, message((3, body))))
    return {
        CLUSTER: {"c": message((1, "c"), (2, 3), (3, message((1, ads))))},
        ENDPOINTS: {"c": message((1, "c"), (2, message((2, endpoint))))},
        LISTENER: {"l": message(
            (1, "l"), (2, message((1, message((2, "127.0.0.1"), (3, listener_port))))),
            (3, message((3, message((1, "http"), (4, typed(MANAGER, manager)))))))},
        ROUTE: {"routes": message((1, "routes"), (2, message(
            (1, "all"), (2, "*"), (3, message((1, message((1, "/"))), (7, answer))))))},
    }


class Server(grpc.GenericRpcHandler):
    def __init__(self, listener_port):
        self.listener_port, self.body, self.version = listener_port, "first", 1
        self.streams = []

    def service(self, details):
        for method, serve in (("DeltaAggregatedResources", self.delta), ("StreamAggregatedResources", self.world)):
            if details.method == SERVICE + method:
                return grpc.stream_stream_rpc_method_handler(serve)
        return None

    def change(self, body):
        self.body, self.version = body, self.version + 1
        for events in self.streams:
            events.put("changed")

    def all(self, of_type):
        return resources(self.listener_port, self.body).get(of_type, {})

    def events(self, requests, method):
        """Requests, and now and then "changed"."""
        events = queue.Queue()
        self.streams.append(events)
        report(event="stream", method=method)

        def forward():
            try:
                for request in requests:
                    events.put(read(request))
            except grpc.RpcError:
                pass
            events.put(None)

        threading.Thread(target=forward, daemon=True).start()
        yield from iter(events.get, None)
        report(event="end")

    def delta(self, requests, context):
        names, nonce = {}, 0
        for event in self.events(requests, "delta"):
            if event == "changed":
                answers = [(ROUTE, self.all(ROUTE))]
            else:
                of_type = text(event, 2)
                show(event, 1, of_type, 6, 7)
                new = [n.decode() for n in event.get(3, [])]
                is_first = of_type not in names
                names.setdefault(of_type, set()).update(new)
                found = self.all(of_type)
                answers = [(of_type, {n: r for n, r in found.items() if n in new or (is_first and not new)})] if new or is_first else []
            for of_type, found in answers:
                nonce += 1
                yield message(
                    (1, str(self.version)), (4, of_type), (5, str(nonce)),
                    *((2, message((1, str(self.version)), (2, typed(of_type, r)), (3, n))) for n, r in found.items()))

    def world(self, requests, context):
        names, nonces, nonce = {}, {}, 0
        for event in self.events(requests, "world"):
            if event == "changed":
                answers = [ROUTE]
            else:
                of_type = text(event, 4)
                show(event, 2, of_type, 5, 6)
                asked = {n.decode() for n in event.get(3, [])}
                is_new = names.get(of_type) != asked
                if text(event, 5) not in ("", nonces.get(of_type)):
                    continue
                names[of_type] = asked
                answers = [of_type] if is_new else []
            for of_type in answers:
                nonce += 1
                nonces[of_type] = str(nonce)
                found = [r for n, r in self.all(of_type).items() if not names[of_type] or n in names[of_type]]
                yield message((1, str(self.version)), (4, of_type), (5, str(nonce)), *((2, typed(of_type, r)) for r in found))


def show(request, node_field, of_type, nonce_field, error_field):
    if node_field in request:
        node = read(request[node_field][0])
        report(event="node", id=text(node, 1), cluster=text(node, 2), zone=text(read(node.get(4, [b""])[0]), 2), metadata=3 in node)
    if error_field in request:
        report(event="refused", type=of_type.rsplit(".", 1)[1], reason=text(read(request[error_field][0]), 2))
    elif text(request, nonce_field):
        report(event="accepted", type=of_type.rsplit(".", 1)[1])


def report(**event):
    print(json.dumps(event), flush=True)


def main():
    handler = Server(int(sys.argv[1]))
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    server.add_generic_rpc_handlers((handler,))
    if len(sys.argv) > 2:
        certificate, key, authority = (open(name, "rb").read() for name in sys.argv[2:])
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)], authority, True))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    report(event="listening", port=port)
    for line in sys.stdin:
        handler.change(line.strip())
    server.stop(None)


main()
