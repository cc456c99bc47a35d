// Documents as bytes: both encodings, hostile bytes.

import { Encoder } from 'cbor-x';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeDocument,
  decodeRequest,
  type Encoding,
  encodeDocument,
  REQUEST_SIZE_MAX,
  respond,
  type Shadow,
  STATE_SIZE_MAX,
  type Tree,
} from '../../src/shadow/index.ts';

const cbor = new Encoder({ mapsAsObjects: true, useRecords: false });
const encode = { cbor: (value: unknown) => cbor.encode(value), json: bytesOfJson };

function bytesOfJson(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

describe.each<Encoding>(['cbor', 'json'])('%s', (encoding) => {
  test('any request is read as another encoder wrote it', () => {
    const value = fc.dictionary(fc.constantFrom('state', 'a', 'é'), fc.jsonValue({ maxDepth: 3 }));
    fc.assert(
      fc.property(value, (body) => {
        fc.pre(!JSON.stringify(body).includes('__proto__'));
        const decoded = decodeRequest(encode[encoding](body), encoding);
        expect(JSON.stringify(decoded.body)).toBe(JSON.stringify(body));
      }),
    );
  });

  test('an empty payload is an empty request', () => {
    expect(decodeRequest(Buffer.alloc(0), encoding)).toEqual({});
  });

  test('every truncated prefix is malformed', () => {
    const whole = encode[encoding]({ state: { desired: { a: [1, 'x'] } }, clientToken: 't' });
    for (let end = 1; end < whole.length; end += 1) {
      const { refusal } = decodeRequest(whole.subarray(0, end), encoding);
      expect(refusal?.code, `${end} bytes`).toBe(400);
    }
  });

  test('any bytes give a body or a refusal', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 64 }), (bytes) => {
        const { refusal } = decodeRequest(bytes, encoding);
        if (refusal !== undefined) expect([400, 413, 415]).toContain(refusal.code);
      }),
      { numRuns: 500 },
    );
  });

  test('too much is 413, and too deep is 400', () => {
    const large = decodeRequest(encode[encoding]('x'.repeat(REQUEST_SIZE_MAX)), encoding);
    expect(large.refusal?.code).toBe(413);
    let deep: unknown = 1;
    for (let level = 0; level < 11; level += 1) deep = { a: deep };
    const { refusal } = decodeRequest(encode[encoding](deep), encoding);
    expect(refusal).toMatchObject({ code: 400, message: expect.stringContaining('nesting') });
  });

  test('the largest documents can be written and read', () => {
    // Many short leaves: each has a timestamp, in `accepted` once and in `documents` twice.
    const list = Array.from({ length: STATE_SIZE_MAX / 2 - 20 }, () => 1);
    let shadow: Shadow | undefined;
    for (const value of [list, [...list]]) {
      const body = { state: { desired: { a: value } } };
      const { messages, shadow: next } = respond(shadow, { kind: 'update', body }, 4_000_000_000);
      expect(messages).toHaveLength(3);
      shadow = next;
      for (const { document } of messages) {
        const decoded = decodeDocument(encodeDocument(document, encoding), encoding);
        expect(JSON.stringify(decoded.body)).toHaveLength(JSON.stringify(document).length);
      }
    }
  });
});

test.each<[string, Buffer, Encoding, number]>([
  ['JSON that is not UTF-8', Buffer.from('{"a":"\xff"}', 'latin1'), 'json', 415],
  ['CBOR text that is not UTF-8', Buffer.from('a1616161ff', 'hex'), 'cbor', 415],
  ['the same key twice in JSON', Buffer.from('{"a":1,"a":2}'), 'json', 400],
  ['the same key twice in CBOR', Buffer.from('a2616101616102', 'hex'), 'cbor', 400],
  ['__proto__ in JSON', Buffer.from('{"__proto__":{}}'), 'json', 400],
  ['__proto__ in CBOR', Buffer.from('a1695f5f70726f746f5f5fa0', 'hex'), 'cbor', 400],
  ['two values in CBOR', Buffer.from('a0a0', 'hex'), 'cbor', 400],
  ['2^64 - 1 in CBOR', Buffer.from('1bffffffffffffffff', 'hex'), 'cbor', 400],
  ['a list of 2^32 in CBOR', Buffer.from('9affffffff', 'hex'), 'cbor', 400],
  ['JSON where CBOR should be', Buffer.from('{"state":{}}'), 'cbor', 400],
  ['CBOR where JSON should be', Buffer.from('a0', 'hex'), 'json', 415],
])('%s', (_what, bytes, encoding, code) => {
  expect(decodeRequest(bytes, encoding).refusal?.code).toBe(code);
});

test('CBOR is deterministic: members sorted by their encoded keys', () => {
  const document = { version: 1, state: { b: 1, a: 2 } } as unknown as Tree;
  expect(encodeDocument(document, 'cbor').toString('hex')).toBe(
    'a2657374617465a26161026162016776657273696f6e01',
  );
});
