import { describe, expect, test } from 'vitest';
import {
  AUTH,
  ConnectDetails,
  DISCONNECT,
  Packet,
  type ProtocolVersion,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  SUBACK,
  SUBSCRIBE,
  UNSUBACK,
  UNSUBSCRIBE,
} from '../../src/mqtt/packet.ts';
import {
  frameSize,
  nextSubscription,
  nextUserProperty,
  readPacket,
  SubscriptionEntry,
  UserProperty,
} from '../../src/mqtt/read.ts';
import {
  MALFORMED_PACKET,
  PROTOCOL_ERROR,
  UNSUPPORTED_PROTOCOL_VERSION,
} from '../../src/mqtt/reason-codes.ts';
import { Random } from '../support/random.ts';
import { frame, oracleRead, samples, VERSIONS, variable } from './samples.ts';
import { VIOLATIONS } from './violations.ts';

const M = MALFORMED_PACKET;
const P = PROTOCOL_ERROR;
const U = UNSUPPORTED_PROTOCOL_VERSION;

function read(source: Uint8Array, version: ProtocolVersion, packet = new Packet()): number {
  return readPacket(packet, source, 0, source.length, version);
}

const KEYS = Object.keys(new Packet()) as (keyof Packet)[];
const DETAILS = Object.keys(new ConnectDetails()) as (keyof ConnectDetails)[];

/** The state of a packet as text, to compare. */
function state(packet: Packet): string {
  let out = '';
  const { connect } = packet;
  for (const key of KEYS) if (key !== 'connect') out += `${packet[key]},`;
  if (connect !== undefined) for (const key of DETAILS) out += `${connect[key]},`;
  return out;
}

/** Ranges are absent, or lie inside the packet. */
function rangesInside(packet: Packet, start: number, end: number): boolean {
  if (!areInside(packet, KEYS, start, end)) return false;
  return packet.connect === undefined || areInside(packet.connect, DETAILS, start, end);
}

function areInside<T>(part: T, keys: readonly (keyof T & string)[], start: number, end: number) {
  for (const key of keys) {
    if (!key.endsWith('Start') || key === 'cleanStart') continue;
    const from = part[key] as number;
    const to = part[key.replace('Start', 'End') as keyof T] as number;
    if (from === -1 && to === -1) continue;
    if (!(from >= start + 2 && to >= from && to <= end)) return false;
  }
  return true;
}

/** A view that throws on any read outside [0, end). */
function guarded(source: Uint8Array, end: number): Uint8Array {
  return new Proxy(source, {
    get(target, key) {
      const index = Number(key);
      if (!(index >= 0 && index < end)) throw new Error(`read at ${String(key)} of ${end}`);
      return target[index];
    },
  });
}

/** What a reader may answer. */
const ANSWERED = [0, M, P, U];

describe('hostile bytes', () => {
  test('every packet resets what the one before it said', () => {
    for (const version of VERSIONS) {
      const all = [...samples(4), ...samples(5), ...VIOLATIONS.map((row) => ({ bytes: row[3] }))];
      for (const before of all) {
        for (const after of samples(version)) {
          const used = new Packet();
          read(before.bytes, 5, used);
          read(after.bytes, version, used);
          const fresh = new Packet();
          expect(read(after.bytes, version, fresh)).toBe(0);
          expect(state(used)).toBe(state(fresh));
        }
      }
    }
  });

  test.each(VERSIONS)('every truncation is incomplete and refused, version %i', (version) => {
    for (const { name, bytes: source } of samples(version)) {
      expect(
        readPacket(new Packet(), guarded(source, source.length), 0, source.length, version),
      ).toBe(0);
      for (let end = 1; end < source.length; end += 1) {
        const view = guarded(source, end);
        const size = frameSize(view, 0, end);
        expect(size === 0 || size > end, `${name} cut at ${end}`).toBe(true);
        expect(readPacket(new Packet(), view, 0, end, version)).toBe(M);
      }
    }
  });

  test.each(VERSIONS)(
    'every truncation with a fitting length is checked, version %i',
    (version) => {
      // These stay packets when they are cut at the right places: their last part is optional,
      // or a list.
      const mayEnd = [PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH];
      mayEnd.push(SUBSCRIBE, UNSUBSCRIBE);
      for (const { name, bytes: source } of samples(version)) {
        const size = source.length;
        const headerSize = size - (frameSize(source, 0, size) - 1 - variable(size).length);
        for (let end = headerSize; end < size; end += 1) {
          const body = source.subarray(headerSize, end);
          const cut = frame(source[0], [...body]);
          const packet = new Packet();
          const reason = readPacket(packet, guarded(cut, cut.length), 0, cut.length, version);
          expect(ANSWERED).toContain(reason);
          if (reason !== 0) continue;
          expect(mayEnd, `${name} cut at ${end}`).toContain(packet.type);
          expect(rangesInside(packet, 0, cut.length)).toBe(true);
        }
      }
    },
  );

  test.each(VERSIONS)('every byte changed to every value, version %i', (version) => {
    const packet = new Packet();
    const other = new Packet();
    for (const { bytes: sample } of samples(version)) {
      const end = sample.length;
      // The same packet twice, before bytes of 0 and of 0xFF: they must not matter.
      const low = new Uint8Array(end + 8);
      const high = new Uint8Array(end + 8).fill(0xff);
      low.set(sample);
      high.set(sample);
      for (let at = 0; at < end; at += 1) {
        for (let value = 0; value < 256; value += 1) {
          low[at] = value;
          high[at] = value;
          const reason = readPacket(packet, low, 0, end, version);
          if (reason !== readPacket(other, high, 0, end, version)) expect.fail('poison matters');
          if (frameSize(low, 0, end) !== frameSize(high, 0, end)) expect.fail('poison matters');
          if (reason !== 0) {
            if (!ANSWERED.includes(reason)) expect.fail(`answered ${reason}`);
            continue;
          }
          if (state(packet) !== state(other)) expect.fail('poison matters');
          if (!rangesInside(packet, 0, end)) expect.fail('a range leaves the packet');
        }
        low[at] = sample[at];
        high[at] = sample[at];
      }
    }
  });

  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));
  console.log(`SEED=${seed} sdk/test/mqtt/read-hostile.test.ts`);

  test('300,000 random strings', () => {
    const random = new Random(seed);
    const source = new Uint8Array(96);
    let accepted = 0;
    for (let count = 0; count < 300_000; count += 1) {
      const end = fillRandom(source, random);
      if (survives(source, end, random.pick(VERSIONS))) accepted += 1;
    }
    expect(accepted).toBeGreaterThan(5_000);
  });

  test('100,000 rich packets, damaged and framed anew', () => {
    const random = new Random(seed);
    const whole = [...samples(4), ...samples(5)];
    const source = new Uint8Array(512);
    let accepted = 0;
    for (let count = 0; count < 100_000; count += 1) {
      const end = fillDamaged(source, random.pick(whole).bytes, random);
      if (survives(source, end, random.oneIn(4) ? 4 : 5)) accepted += 1;
    }
    expect(accepted).toBeGreaterThan(5_000);
  });
});

/** Reads source[0, end) and checks what must hold for any bytes; true when it is accepted. */
function survives(source: Uint8Array, end: number, version: ProtocolVersion): boolean {
  const packet = new Packet();
  const other = new Packet();
  const reason = readPacket(packet, source, 0, end, version);
  if (!ANSWERED.includes(reason)) expect.fail(`answered ${reason}`);
  for (let at = end; at < source.length; at += 1) source[at] ^= 0xff;
  if (readPacket(other, source, 0, end, version) !== reason) expect.fail('poison matters');
  if (reason !== 0) return false;
  if (state(packet) !== state(other)) expect.fail('poison matters');
  if (!rangesInside(packet, 0, end)) expect.fail('a range leaves the packet');
  if (frameSize(source, 0, end) !== end) expect.fail('accepted another size');

  const property = new UserProperty();
  let at = packet.propertiesStart;
  while (at >= 0) at = nextUserProperty(property, source, at, packet.propertiesEnd);
  if (packet.type === SUBSCRIBE || packet.type === UNSUBSCRIBE) {
    const entry = new SubscriptionEntry();
    let last = 0;
    for (let next = packet.payloadStart; next >= 0; ) {
      last = next;
      next = nextSubscription(entry, packet, source, next);
    }
    if (last !== end) expect.fail(`entries end at ${last} of ${end}`);
  }
  // Where we are content mqtt-packet is too, but for reason codes that it does not know.
  const oracle = oracleRead(source.subarray(0, end), version);
  if (oracle.error !== undefined) expect(oracle.error).toMatch(/reason code|suback code/);
  return true;
}

/** Fills `source` with `sample` after a few changes, under a Remaining Length that fits again. */
function fillDamaged(source: Uint8Array, sample: Uint8Array, random: Random): number {
  const headerSize = sample.length > 129 ? 3 : 2;
  const body = [...sample.subarray(headerSize)];
  for (let changes = random.between(1, 4); changes > 0 && body.length > 0; changes -= 1) {
    const at = random.below(body.length);
    const count = random.between(1, 9);
    const action = random.below(5);
    if (action === 0) body[at] = random.below(256);
    else if (action === 1) body[at] = (body[at] + random.between(-2, 2)) & 255;
    else if (action === 2) body.splice(at, count);
    else if (action === 3) body.splice(at, 0, ...body.slice(at, at + count));
    else body.splice(at, 0, random.below(43));
  }
  const whole = frame(sample[0], body);
  source.fill(0);
  source.set(whole);
  return whole.length;
}

/** Fills `source` with one random packet: most are framed right, so that readers get further. */
function fillRandom(source: Uint8Array, random: Random): number {
  const size = Math.min(random.below(90), random.below(90));
  const dense = random.below(10) < 7;
  for (let at = 0; at < source.length; at += 1) {
    // Small numbers are lengths and identifiers of properties more often than not.
    source[at] = random.below(dense && !random.oneIn(10) ? 43 : 256);
    if (dense && random.oneIn(5)) source[at] = 0;
  }
  if (random.oneIn(10)) return 2 + size;
  const type = random.below(16);
  const flags =
    type === PUBLISH ? random.below(16) : type === 6 || type === 8 || type === 10 ? 2 : 0;
  source[0] = (type << 4) | flags;
  source[1] = size;
  if (type === 1) source.set([0, 4, 0x4d, 0x51, 0x54, 0x54, random.pick(VERSIONS)], 2);
  return 2 + size;
}
