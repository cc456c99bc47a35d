import { readOffer } from '@flotilla/sdk/ota/offer';
import { Decoder, Encoder } from 'cbor-x';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type CheckRequest,
  decodeCheck,
  decodeCheckResponse,
  decodeReport,
  encodeCheck,
  encodeCheckResponse,
  encodeReport,
  NAME_SIZE_MAX,
  REPORT_STAGES,
  type ReportRequest,
} from '../../src/device-api/index.ts';

const cbor = {
  mapsAsObjects: true,
  useRecords: false,
  tagUint8Array: false,
  int64AsType: 'number' as const,
};
const oracle = { encoder: new Encoder(cbor), decoder: new Decoder(cbor) };

const name = fc.string({ minLength: 1, maxLength: NAME_SIZE_MAX, unit: 'grapheme-ascii' });
const count = fc.maxSafeNat();
const bytes = (size: number) => fc.uint8Array({ minLength: size, maxLength: size });
const check = fc.record(
  {
    version: name,
    digest: bytes(32),
    sequence: count,
    uptimeS: count,
    abnormalResets: count,
    class: bytes(16),
    failed: name,
  },
  { requiredKeys: ['version', 'digest', 'sequence', 'uptimeS', 'abnormalResets'] },
);
const report = fc.record(
  {
    rollout: name,
    attempt: fc.nat({ max: 65535 }),
    stage: fc.constantFrom(...REPORT_STAGES),
    reason: name,
    version: name,
    bytes: count,
  },
  { requiredKeys: ['rollout', 'attempt', 'stage'] },
);

test('checks and reports come back as they were, from our encoder and from another', () => {
  fc.assert(
    fc.property(check, (request) => {
      const plain = { ...request } as CheckRequest;
      expect(decodeCheck(encodeCheck(plain)).message).toEqual(plain);
      expect(decodeCheck(oracle.encoder.encode(plain)).message).toEqual(plain);
    }),
  );
  fc.assert(
    fc.property(report, (request) => {
      const plain = { ...request } as ReportRequest;
      expect(decodeReport(encodeReport(plain)).message).toEqual(plain);
      expect(decodeReport(oracle.encoder.encode(plain)).message).toEqual(plain);
    }),
  );
});

test('another decoder and the device itself read the answer to a check', () => {
  const sources = [
    { url: '/v1/a', size: 7, base: new Uint8Array(32).fill(9) },
    { url: 'b', size: 8 },
  ];
  const update = {
    rollout: 'r',
    attempt: 1,
    version: '1.2.3',
    envelope: new Uint8Array(2000),
    sources,
  };
  const response = { nowMs: 1_767_225_600_000, pollS: 300, update };
  const encoded = encodeCheckResponse(response);
  // cbor-x gives integers of eight bytes as BigInt.
  expect(oracle.decoder.decode(encoded)).toMatchObject({
    nowMs: BigInt(response.nowMs),
    pollS: 300,
  });
  expect(oracle.decoder.decode(encoded).update.sources[0].size).toBe(7);
  const offer = readOffer(encoded, encoded.length)!;
  expect(offer).toMatchObject({
    nowMs: response.nowMs,
    rollout: 'r',
    attempt: 1,
    version: '1.2.3',
  });
  expect(
    offer.sources.map(({ base, size, url }) => ({ url, size, ...(base && { base }) })),
  ).toEqual(sources);
  expect(offer.envelopeEnd - offer.envelopeStart).toBe(2000);
  expect(decodeCheckResponse(encoded).update!.sources[1]!.url).toBe('b');
  expect(Buffer.from(decodeCheckResponse(encoded).update!.envelope)).toHaveLength(2000);
});

test('every cut and any bytes give problems, and no exception', () => {
  const whole = encodeCheck({
    version: '1.0.0',
    digest: new Uint8Array(32),
    sequence: 1,
    uptimeS: 2,
    abnormalResets: 0,
  });
  for (let size = 0; size < whole.length; size += 1) {
    expect(decodeCheck(whole.subarray(0, size)).problems).toHaveLength(1);
  }
  for (let at = 0; at < whole.length; at += 1) {
    const altered = whole.slice();
    altered[at] = altered[at]! ^ 0xff;
    const { message, problems } = decodeCheck(altered);
    expect((message === undefined) !== (problems === undefined)).toBe(true);
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (random) => {
      expect(decodeReport(random).message).toBeUndefined();
      expect(decodeCheck(random).problems!.length).toBeGreaterThan(0);
    }),
  );
});

test('every wrong field is named', () => {
  const wrong = oracle.encoder.encode({
    version: 'x'.repeat(65),
    digest: new Uint8Array(31),
    sequence: -1,
    uptimeS: 1.5,
    class: 'x',
  });
  const paths = decodeCheck(wrong).problems!.map(({ path }) => path);
  expect(paths).toEqual(['version', 'digest', 'sequence', 'uptimeS', 'abnormalResets', 'class']);
  const stage = oracle.encoder.encode({ rollout: 'r', attempt: 1, stage: 'eaten' });
  expect(decodeReport(stage).problems).toEqual([
    { path: 'stage', message: expect.stringContaining('got "eaten"') },
  ]);
});

test('deep, long, tagged and doubled bodies are refused', () => {
  const deep = Buffer.from(`${'81'.repeat(500)}00`, 'hex');
  const doubled = Buffer.from('a2617801617802', 'hex');
  const tagged = Buffer.from('c1a0', 'hex');
  const long = Buffer.alloc(2000, 0x80);
  for (const body of [deep, doubled, tagged, long, Buffer.from('9bffffffffffffffff', 'hex')]) {
    expect(decodeCheck(body).problems).toHaveLength(1);
  }
});
