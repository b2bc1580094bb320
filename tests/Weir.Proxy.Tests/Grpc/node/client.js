// gRPC's interoperability cases with @grpc/grpc-js: client.js PORT. Prints a line for each case that passes.
const assert = require("node:assert");
const grpc = require("@grpc/grpc-js");
const { number, payload, status, simple, streaming, payloadSize } = require("./messages");

const same = bytes => bytes;
const path = name => `/grpc.testing.TestService/${name}`;
const client = new grpc.Client(`127.0.0.1:${process.argv[2]}`, grpc.credentials.createInsecure(), { "grpc.enable_http_proxy": 0 });
const within = milliseconds => ({ deadline: Date.now() + milliseconds });
const limit = () => within(20000);

const unary = (method, request, metadata = new grpc.Metadata()) => new Promise(resolve => {
  const seen = {};
  const call = client.makeUnaryRequest(method, same, same, request, metadata, limit(), (error, answer) => resolve({ error, answer, seen }));
  call.on("metadata", m => (seen.initial = m));
  call.on("status", s => (seen.trailers = s.metadata));
});
const duplex = options => client.makeBidiStreamRequest(path("FullDuplexCall"), same, same, new grpc.Metadata(), options);
const end = call => new Promise(resolve => {
  const answers = [];
  call.on("data", d => answers.push(d));
  call.on("error", () => {});
  call.on("status", s => resolve({ code: s.code, details: s.details, answers }));
});

(async () => {
  const done = name => console.log(name);
  assert.equal((await unary(path("EmptyCall"), Buffer.alloc(0))).answer.length, 0);
  done("empty_unary");
  assert.equal(payloadSize((await unary(path("UnaryCall"), simple(314159, 271828))).answer), 314159);
  done("large_unary");
  const sum = await new Promise((yes, no) => {
    const call = client.makeClientStreamRequest(path("StreamingInputCall"), same, same, new grpc.Metadata(), limit(), (e, a) => (e ? no(e) : yes(a)));
    [27182, 8, 1828, 45904].forEach(size => call.write(payload(1, size)));
    call.end();
  });
  assert.deepEqual(sum, number(1, 74922));
  done("client_streaming");
  const sizes = [31415, 9, 2653, 58979];
  const stream = await end(client.makeServerStreamRequest(path("StreamingOutputCall"), same, same, streaming(sizes, 0), new grpc.Metadata(), limit()));
  assert.deepEqual([stream.code, stream.answers.map(payloadSize)], [0, sizes]);
  done("server_streaming");
  const pong = duplex(limit());
  const ended = end(pong);
  const owns = [27182, 8, 1828, 45904];
  for (let i = 0; i < sizes.length; i++) {
    const answer = new Promise(resolve => pong.once("data", resolve));
    pong.write(streaming([sizes[i]], owns[i]));
    assert.equal(payloadSize(await answer), sizes[i]);
  }
  pong.end();
  assert.equal((await ended).code, 0);
  done("ping_pong");
  const nothing = duplex(limit());
  nothing.end();
  const empty = await end(nothing);
  assert.deepEqual([empty.code, empty.answers], [0, []]);
  done("empty_stream");
  const begun = client.makeClientStreamRequest(path("StreamingInputCall"), same, same, () => {});
  begun.on("error", () => {});
  const begunEnd = new Promise(resolve => begun.on("status", s => resolve(s.code)));
  begun.cancel();
  assert.equal(await begunEnd, grpc.status.CANCELLED);
  done("cancel_after_begin");
  const first = duplex(limit());
  const firstEnd = end(first);
  first.once("data", () => first.cancel());
  first.write(streaming([31415], 27182));
  assert.equal((await firstEnd).code, grpc.status.CANCELLED);
  done("cancel_after_first_response");
  const sleeping = duplex(within(200));
  sleeping.write(streaming([], 27182));
  assert.equal((await end(sleeping)).code, grpc.status.DEADLINE_EXCEEDED);
  done("timeout_on_sleeping_server");
  const metadata = new grpc.Metadata();
  metadata.set("x-grpc-test-echo-initial", "test_initial_metadata_value");
  metadata.set("x-grpc-test-echo-trailing-bin", Buffer.from([0xab, 0xab, 0xab]));
  const told = await unary(path("UnaryCall"), simple(314159, 271828), metadata);
  await new Promise(resolve => setImmediate(resolve));
  assert.deepEqual(told.seen.initial.get("x-grpc-test-echo-initial"), ["test_initial_metadata_value"]);
  assert.deepEqual(told.seen.trailers.get("x-grpc-test-echo-trailing-bin"), [Buffer.from([0xab, 0xab, 0xab])]);
  done("custom_metadata");
  for (const text of ["test status message", "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \u{1f608}\t\n"]) {
    const { error } = await unary(path("UnaryCall"), simple(0, 0, status(2, text)));
    assert.deepEqual([error.code, error.details], [2, text]);
    const call = duplex(limit());
    call.end(streaming([], 0, status(2, text)));
    const failed = await end(call);
    assert.deepEqual([failed.code, failed.details], [2, text]);
  }
  done("status_code_and_message");
  done("special_status_message");
  assert.equal((await unary(path("UnimplementedCall"), Buffer.alloc(0))).error.code, grpc.status.UNIMPLEMENTED);
  done("unimplemented_method");
  assert.equal((await unary("/grpc.testing.UnimplementedService/UnimplementedCall", Buffer.alloc(0))).error.code, grpc.status.UNIMPLEMENTED);
  done("unimplemented_service");
  process.exit(0);
})().catch(error => {
  console.error(error);
  process.exit(1);
});
