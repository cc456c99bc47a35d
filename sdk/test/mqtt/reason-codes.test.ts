import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import * as codes from '../../src/mqtt/reason-codes.ts';

type Names = Record<string, string>;
const oracle = createRequire(import.meta.url)('mqtt-packet/constants.js') as Record<string, Names>;

const TABLES = [
  'MQTT5_PUBACK_PUBREC_CODES',
  'MQTT5_PUBREL_PUBCOMP_CODES',
  'MQTT5_SUBACK_CODES',
  'MQTT5_UNSUBACK_CODES',
  'MQTT5_DISCONNECT_CODES',
  'MQTT5_AUTH_CODES',
];

test('names of MQTT 5 are those of mqtt-packet', () => {
  const seen = new Set<number>();
  for (const table of TABLES) {
    for (const [key, name] of Object.entries(oracle[table])) {
      const code = Number(key);
      // 0 has three names by the packet it is in, and its capitals are not always the standard's.
      if (code === 0) continue;
      expect(codes.reasonName(code, 5).toLowerCase()).toBe(name.toLowerCase());
      seen.add(code);
    }
  }
  // What only a CONNACK says, mqtt-packet has no table for (MQTT 5 Table 3-1).
  const connack: [number, string][] = [
    [0x84, 'Unsupported Protocol Version'],
    [0x85, 'Client Identifier not valid'],
    [0x86, 'Bad User Name or Password'],
    [0x88, 'Server unavailable'],
    [0x8a, 'Banned'],
    [0x8c, 'Bad authentication method'],
  ];
  for (const [code, name] of connack) {
    expect(codes.reasonName(code, 5)).toBe(name);
    seen.add(code);
  }
  for (let code = 0x80; code <= 0xa2; code += 1) expect(seen.has(code)).toBe(true);
});

test('a constant is named as its code', () => {
  const short: Names = {
    DISCONNECT_WITH_WILL: 'disconnect with will message',
    REAUTHENTICATE: 're-authenticate',
  };
  let count = 0;
  for (const [constant, code] of Object.entries(codes)) {
    if (typeof code !== 'number' || constant.startsWith('RETURN_')) continue;
    const words = short[constant] ?? constant.toLowerCase().replaceAll('_', ' ');
    expect(codes.reasonName(code, 5).toLowerCase()).toBe(words);
    count += 1;
  }
  expect(count).toBe(43);
});

test('names of 3.1.1 (Table 3.1, §3.9.3)', () => {
  expect(codes.reasonName(0, 4)).toBe('Connection Accepted');
  expect(codes.reasonName(codes.RETURN_UNACCEPTABLE_PROTOCOL_VERSION, 4)).toMatch(
    /protocol version/,
  );
  expect(codes.reasonName(codes.RETURN_IDENTIFIER_REJECTED, 4)).toMatch(/identifier rejected/);
  expect(codes.reasonName(codes.RETURN_SERVER_UNAVAILABLE, 4)).toMatch(/Server unavailable/);
  expect(codes.reasonName(codes.RETURN_BAD_USER_NAME_OR_PASSWORD, 4)).toMatch(/bad user name/);
  expect(codes.reasonName(codes.RETURN_NOT_AUTHORIZED, 4)).toMatch(/not authorized/);
  expect(codes.reasonName(0x80, 4)).toBe('Failure');
});

test('a code without a name', () => {
  expect(codes.reasonName(3, 5)).toBe('Reason 0x3');
  expect(codes.reasonName(0xa3, 5)).toBe('Reason 0xa3');
  expect(codes.reasonName(255, 5)).toBe('Reason 0xff');
  expect(codes.reasonName(6, 4)).toBe('Reason 0x6');
});
