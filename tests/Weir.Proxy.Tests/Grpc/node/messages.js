// The messages of gRPC's interoperability tests, as far as the cases use them.
const varint = value => {
  const out = [];
  for (; value > 127; value = Math.floor(value / 128)) out.push((value & 127) | 128);
  return Buffer.from([...out, value]);
};
const number = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);
const message = (field, content) => Buffer.concat([varint((field << 3) | 2), varint(content.length), content]);
const payload = (field, size) => message(field, message(2, Buffer.alloc(size)));
const status = (code, text) => message(7, Buffer.concat([number(1, code), message(2, Buffer.from(text))]));
const simple = (size, own, asked = Buffer.alloc(0)) => Buffer.concat([number(2, size), payload(3, own), asked]);
const streaming = (sizes, own, asked = Buffer.alloc(0)) =>
  Buffer.concat([...sizes.map(size => message(2, number(1, size))), payload(3, own), asked]);

/** [field, number or bytes] of a message. */
const fields = data => {
  const found = [];
  let at = 0;
  const read = () => {
    for (let value = 0, factor = 1; ; factor *= 128) {
      const byte = data[at++];
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (at < data.length) {
    const tag = read();
    const value = read();
    found.push([tag >> 3, (tag & 7) === 2 ? data.subarray(at, (at += value)) : value]);
  }
  return found;
};
const field = (data, wanted) => fields(data).find(([id]) => id === wanted)?.[1];
const payloadSize = answer => field(field(answer, 1) ?? Buffer.alloc(0), 2)?.length ?? 0;

module.exports = { number, payload, status, simple, streaming, fields, field, payloadSize };
