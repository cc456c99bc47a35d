// The examples of RFC 8949, Appendix A: all of them, in its order.

import { CborTag } from '../../src/codec/cbor-value.ts';
import { fromHex } from './bytes.ts';

export interface Example {
  readonly hex: string;
  /** What it decodes to. */
  readonly value?: unknown;
  /** Decoded only: we write the value otherwise, as §4.2 says. */
  readonly decodeOnly?: true;
  /** Why it is not decoded. */
  readonly error?: string;
}

function map(entries: Record<string, unknown>): unknown {
  return Object.assign(Object.create(null), entries);
}

const TO_25 = Array.from({ length: 25 }, (_, index) => index + 1);
const NESTED = [1, [2, 3], [4, 5]];

export const APPENDIX_A: readonly Example[] = [
  { hex: '00', value: 0 },
  { hex: '01', value: 1 },
  { hex: '0a', value: 10 },
  { hex: '17', value: 23 },
  { hex: '1818', value: 24 },
  { hex: '1819', value: 25 },
  { hex: '1864', value: 100 },
  { hex: '1903e8', value: 1000 },
  { hex: '1a000f4240', value: 1000000 },
  { hex: '1b000000e8d4a51000', value: 1000000000000 },
  { hex: '1bffffffffffffffff', error: 'unsupported-integer' },
  { hex: 'c249010000000000000000', value: new CborTag(2, fromHex('010000000000000000')) },
  { hex: '3bffffffffffffffff', error: 'unsupported-integer' },
  { hex: 'c349010000000000000000', value: new CborTag(3, fromHex('010000000000000000')) },
  { hex: '20', value: -1 },
  { hex: '29', value: -10 },
  { hex: '3863', value: -100 },
  { hex: '3903e7', value: -1000 },
  { hex: 'f90000', value: 0, decodeOnly: true },
  { hex: 'f98000', value: -0 },
  { hex: 'f93c00', value: 1, decodeOnly: true },
  { hex: 'fb3ff199999999999a', value: 1.1 },
  { hex: 'f93e00', value: 1.5 },
  { hex: 'f97bff', value: 65504, decodeOnly: true },
  { hex: 'fa47c35000', value: 100000, decodeOnly: true },
  { hex: 'fa7f7fffff', value: 3.4028234663852886e38 },
  { hex: 'fb7e37e43c8800759c', value: 1.0e300 },
  { hex: 'f90001', value: 2 ** -24 },
  { hex: 'f90400', value: 2 ** -14 },
  { hex: 'f9c400', value: -4, decodeOnly: true },
  { hex: 'fbc010666666666666', value: -4.1 },
  { hex: 'f97c00', value: Infinity },
  { hex: 'f97e00', value: NaN },
  { hex: 'f9fc00', value: -Infinity },
  { hex: 'fa7f800000', value: Infinity, decodeOnly: true },
  { hex: 'fa7fc00000', value: NaN, decodeOnly: true },
  { hex: 'faff800000', value: -Infinity, decodeOnly: true },
  { hex: 'fb7ff0000000000000', value: Infinity, decodeOnly: true },
  { hex: 'fb7ff8000000000000', value: NaN, decodeOnly: true },
  { hex: 'fbfff0000000000000', value: -Infinity, decodeOnly: true },
  { hex: 'f4', value: false },
  { hex: 'f5', value: true },
  { hex: 'f6', value: null },
  { hex: 'f7', value: undefined },
  { hex: 'f0', error: 'unsupported-simple' },
  { hex: 'f8ff', error: 'unsupported-simple' },
  {
    hex: 'c074323031332d30332d32315432303a30343a30305a',
    value: new CborTag(0, '2013-03-21T20:04:00Z'),
  },
  { hex: 'c11a514b67b0', value: new CborTag(1, 1363896240) },
  { hex: 'c1fb41d452d9ec200000', value: new CborTag(1, 1363896240.5) },
  { hex: 'd74401020304', value: new CborTag(23, fromHex('01020304')) },
  { hex: 'd818456449455446', value: new CborTag(24, fromHex('6449455446')) },
  {
    hex: 'd82076687474703a2f2f7777772e6578616d706c652e636f6d',
    value: new CborTag(32, 'http://www.example.com'),
  },
  { hex: '40', value: fromHex('') },
  { hex: '4401020304', value: fromHex('01020304') },
  { hex: '60', value: '' },
  { hex: '6161', value: 'a' },
  { hex: '6449455446', value: 'IETF' },
  { hex: '62225c', value: '"\\' },
  { hex: '62c3bc', value: '\u00fc' },
  { hex: '63e6b0b4', value: '\u6c34' },
  { hex: '64f0908591', value: '\ud800\udd51' },
  { hex: '80', value: [] },
  { hex: '83010203', value: [1, 2, 3] },
  { hex: '8301820203820405', value: NESTED },
  { hex: '98190102030405060708090a0b0c0d0e0f101112131415161718181819', value: TO_25 },
  { hex: 'a0', value: map({}) },
  // Integer keys become text, and are written as such.
  { hex: 'a201020304', value: map({ 1: 2, 3: 4 }), decodeOnly: true },
  { hex: 'a26161016162820203', value: map({ a: 1, b: [2, 3] }) },
  { hex: '826161a161626163', value: ['a', map({ b: 'c' })] },
  {
    hex: 'a56161614161626142616361436164614461656145',
    value: map({ a: 'A', b: 'B', c: 'C', d: 'D', e: 'E' }),
  },
  { hex: '5f42010243030405ff', value: fromHex('0102030405'), decodeOnly: true },
  { hex: '7f657374726561646d696e67ff', value: 'streaming', decodeOnly: true },
  { hex: '9fff', value: [], decodeOnly: true },
  { hex: '9f018202039f0405ffff', value: NESTED, decodeOnly: true },
  { hex: '9f01820203820405ff', value: NESTED, decodeOnly: true },
  { hex: '83018202039f0405ff', value: NESTED, decodeOnly: true },
  { hex: '83019f0203ff820405', value: NESTED, decodeOnly: true },
  {
    hex: '9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff',
    value: TO_25,
    decodeOnly: true,
  },
  { hex: 'bf61610161629f0203ffff', value: map({ a: 1, b: [2, 3] }), decodeOnly: true },
  { hex: '826161bf61626163ff', value: ['a', map({ b: 'c' })], decodeOnly: true },
  // Its keys are in an order that is not deterministic: "Fun" before "Amt".
  { hex: 'bf6346756ef563416d7421ff', value: map({ Fun: true, Amt: -2 }), decodeOnly: true },
];
