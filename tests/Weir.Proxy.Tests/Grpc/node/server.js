// grpc.testing.TestService on @grpc/grpc-js. Prints its port, and serves until its input ends.
const grpc = require("@grpc/grpc-js");
const { number, payload, fields, field } = require("./messages");

const same = bytes => bytes;
const define = (name, requestStream, responseStream) => ({
  path: `/grpc.testing.TestService/${name}`, requestStream, responseStream,
  requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same,
});

const trailers = call => {
  const initial = call.metadata.get("x-grpc-test-echo-initial");
  if (initial.length > 0) {
    const metadata = new grpc.Metadata();
    metadata.set("x-grpc-test-echo-initial", initial[0]);
    call.sendMetadata(metadata);
  }
  const trailing = call.metadata.get("x-grpc-test-echo-trailing-bin");
  const metadata = new grpc.Metadata();
  if (trailing.length > 0) metadata.set("x-grpc-test-echo-trailing-bin", trailing[0]);
  return metadata;
};
const failure = request => {
  const asked = field(request, 7);
  return asked && { code: field(asked, 1), details: field(asked, 2).toString() };
};
const answer = (call, request) => fields(request).filter(([id]) => id === 2).forEach(([, parameters]) => call.write(payload(1, field(parameters, 1) ?? 0)));

const server = new grpc.Server();
server.addService({
  EmptyCall: define("EmptyCall", false, false),
  UnaryCall: define("UnaryCall", false, false),
  StreamingInputCall: define("StreamingInputCall", true, false),
  StreamingOutputCall: define("StreamingOutputCall", false, true),
  FullDuplexCall: define("FullDuplexCall", true, true),
}, {
  EmptyCall: (call, reply) => reply(null, Buffer.alloc(0)),
  UnaryCall: (call, reply) => {
    const metadata = trailers(call);
    const failed = failure(call.request);
    failed ? reply(failed) : reply(null, payload(1, field(call.request, 2) ?? 0), metadata);
  },
  StreamingInputCall: (call, reply) => {
    let sum = 0;
    call.on("data", d => (sum += field(field(d, 1), 2)?.length ?? 0));
    call.on("end", () => reply(null, number(1, sum)));
  },
  StreamingOutputCall: call => {
    answer(call, call.request);
    call.end();
  },
  FullDuplexCall: call => {
    const metadata = trailers(call);
    let hasFailed = false;
    call.on("data", d => {
      const failed = failure(d);
      if (failed) {
        hasFailed = true;
        call.emit("error", failed);
      } else {
        answer(call, d);
      }
    });
    call.on("end", () => hasFailed || call.end(metadata));
  },
});
server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => console.log(error ?? port));
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
