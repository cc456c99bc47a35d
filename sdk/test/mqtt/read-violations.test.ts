import { describe, expect, test } from 'vitest';
import {
  AUTH,
  CONNACK,
  CONNECT,
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
import { WILL } from '../../src/mqtt/properties.ts';
import { readPacket } from '../../src/mqtt/read.ts';
import { MALFORMED_PACKET, PROTOCOL_ERROR } from '../../src/mqtt/reason-codes.ts';
import { bytes, field, frame, oracleRead, properties, samples, text, VERSIONS } from './samples.ts';
import { connect, ID, NONE, T, VIOLATIONS } from './violations.ts';

const M = MALFORMED_PACKET;
const P = PROTOCOL_ERROR;

function read(source: Uint8Array, version: ProtocolVersion, packet = new Packet()): number {
  return readPacket(packet, source, 0, source.length, version);
}

describe('violations', () => {
  for (const [rule, version, reason, source, laxer] of VIOLATIONS) {
    test(`${rule} (version ${version})`, () => {
      expect(read(source, version)).toBe(reason);
      const oracle = oracleRead(source, version);
      expect(oracle.error === undefined && oracle.packet !== undefined).toBe(laxer === true);
    });
  }

  // [MQTT-2.1.3-1]; [MQTT-2.2.2-2] in 3.1.1.
  test.each(VERSIONS)('reserved flags of every packet, version %i', (version) => {
    for (const { name, bytes: source } of samples(version)) {
      const first = source[0];
      for (let flags = 0; flags < 16; flags += 1) {
        if (first >> 4 === PUBLISH || flags === (first & 15)) continue;
        const changed = Uint8Array.from(source);
        changed[0] = (first & 0xf0) | flags;
        expect(read(changed, version), `${name} flags ${flags}`).toBe(M);
      }
    }
  });

  // [MQTT-1.5.4-1], [MQTT-1.5.4-2]; [MQTT-1.5.3-1], [MQTT-1.5.3-2] in 3.1.1.
  test.each([
    ['U+0000', [0x61, 0x00, 0x62]],
    ['U+0000 behind a longer character', [0xc3, 0xa4, 0x00]],
    ['U+0000 in two bytes', [0xc0, 0x80]],
    ['"/" in two bytes', [0xc0, 0xaf]],
    ['an overlong form of three bytes', [0xe0, 0x80, 0xaf]],
    ['a surrogate', [0xed, 0xa0, 0x80]],
    ['beyond U+10FFFF', [0xf4, 0x90, 0x80, 0x80]],
    ['a lone continuation', [0x61, 0xbf]],
    ['a cut sequence', [0x61, 0xe2, 0x82]],
    ['0xFF', [0xff]],
  ])('ill-formed string: %s', (_, content) => {
    const bad = field(content);
    for (const version of VERSIONS) {
      const none = version === 5 ? NONE : [];
      expect(read(frame(0x30, bad, none), version)).toBe(M);
      expect(read(frame(0x82, [0, 1], none, bad, 0), version)).toBe(M);
      expect(read(connect(version, 2, none, bad), version)).toBe(M);
    }
    expect(read(frame(0x20, 0, 0, properties(0x1f, bad)), 5)).toBe(M);
  });

  test('U+FEFF and control characters are content like any other ([MQTT-1.5.4-3])', () => {
    const packet = new Packet();
    const source = frame(0x30, field('\u{feff}a\u{1}\u{10ffff}'));
    expect(read(source, 4, packet)).toBe(0);
    expect(text(source, packet.topicStart, packet.topicEnd)).toBe('\u{feff}a\u{1}\u{10ffff}');
  });
});

// MQTT 5 Table 2-4: identifier, a value, and the places where the property may stand.
const PLACES = {
  [WILL]: (field5: readonly number[]) => connect(5, 6, NONE, ID, field5, T, T),
  [CONNECT]: (field5: readonly number[]) => connect(5, 2, field5, ID),
  [CONNACK]: (field5: readonly number[]) => frame(0x20, 0, 0, field5),
  [PUBLISH]: (field5: readonly number[]) => frame(0x30, T, field5),
  [PUBACK]: (field5: readonly number[]) => frame(0x40, [0, 1], 0, field5),
  [PUBREC]: (field5: readonly number[]) => frame(0x50, [0, 1], 0, field5),
  [PUBREL]: (field5: readonly number[]) => frame(0x62, [0, 1], 0, field5),
  [PUBCOMP]: (field5: readonly number[]) => frame(0x70, [0, 1], 0, field5),
  [SUBSCRIBE]: (field5: readonly number[]) => frame(0x82, [0, 1], field5, T, 0),
  [SUBACK]: (field5: readonly number[]) => frame(0x90, [0, 1], field5, 0),
  [UNSUBSCRIBE]: (field5: readonly number[]) => frame(0xa2, [0, 1], field5, T),
  [UNSUBACK]: (field5: readonly number[]) => frame(0xb0, [0, 1], field5, 0),
  [DISCONNECT]: (field5: readonly number[]) => frame(0xe0, 0, field5),
  // The method is there already: AUTH must have it.
  [AUTH]: (field5: readonly number[]) => frame(0xf0, 0, field5),
};
const ANSWERS = [CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH];
const EVERYWHERE = Object.keys(PLACES).map(Number);
const TABLE_2_4: readonly [id: number, value: readonly number[], places: readonly number[]][] = [
  [0x01, [1], [PUBLISH, WILL]],
  [0x02, [0, 0, 0, 1], [PUBLISH, WILL]],
  [0x03, T, [PUBLISH, WILL]],
  [0x08, T, [PUBLISH, WILL]],
  [0x09, T, [PUBLISH, WILL]],
  [0x0b, [1], [PUBLISH, SUBSCRIBE]],
  [0x11, [0, 0, 0, 1], [CONNECT, CONNACK, DISCONNECT]],
  [0x12, T, [CONNACK]],
  [0x13, [0, 1], [CONNACK]],
  [0x15, T, [CONNECT, CONNACK, AUTH]],
  [0x16, T, [CONNECT, CONNACK, AUTH]],
  [0x17, [1], [CONNECT]],
  [0x18, [0, 0, 0, 1], [WILL]],
  [0x19, [1], [CONNECT]],
  [0x1a, T, [CONNACK]],
  [0x1c, T, [CONNACK, DISCONNECT]],
  [0x1f, T, ANSWERS],
  [0x21, [0, 1], [CONNECT, CONNACK]],
  [0x22, [0, 1], [CONNECT, CONNACK]],
  [0x23, [0, 1], [PUBLISH]],
  [0x24, [1], [CONNACK]],
  [0x25, [1], [CONNACK]],
  [0x26, bytes(T, T), EVERYWHERE],
  [0x27, [0, 0, 0, 1], [CONNECT, CONNACK]],
  [0x28, [1], [CONNACK]],
  [0x29, [1], [CONNACK]],
  [0x2a, [1], [CONNACK]],
];

describe('properties', () => {
  /** Reads a packet that has the property `count` times, and what it needs beside it. */
  function readWith(place: number, id: number, value: readonly number[], count: number): number {
    const parts: number[] = [];
    for (let index = 0; index < count; index += 1) parts.push(id, ...value);
    const needsMethod = id !== 0x15 && (place === AUTH || id === 0x16);
    if (needsMethod && (place === AUTH || place === CONNECT)) parts.push(0x15, ...T);
    return read(PLACES[place as keyof typeof PLACES](properties(parts)), 5);
  }

  test('stand where Table 2-4 lets them (§2.2.2.2)', () => {
    for (let id = 0; id < 256; id += 1) {
      const row = TABLE_2_4.find((candidate) => candidate[0] === id);
      for (const place of EVERYWHERE) {
        const expected = row?.[2].includes(place) ? 0 : M;
        const got = readWith(place, id, row?.[1] ?? [0], 1);
        expect(got, `property 0x${id.toString(16)} in ${place}`).toBe(expected);
      }
    }
  });

  test('stand once, but for user properties and the subscription ids of a PUBLISH', () => {
    for (const [id, value, places] of TABLE_2_4) {
      for (const place of places) {
        const repeatable = id === 0x26 || (id === 0x0b && place === PUBLISH);
        const got = readWith(place, id, value, 2);
        expect(got, `property 0x${id.toString(16)} twice in ${place}`).toBe(repeatable ? 0 : P);
      }
    }
  });

  test('are whole: every value cut short is malformed', () => {
    for (const [id, value, places] of TABLE_2_4) {
      for (const place of places) {
        for (let size = 0; size < value.length; size += 1) {
          const source = PLACES[place as keyof typeof PLACES](properties(id, value.slice(0, size)));
          expect(read(source, 5), `property 0x${id.toString(16)} cut at ${size}`).toBe(M);
        }
      }
    }
  });
});
