import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  PLAIN_HEAD_SIZE,
  PlainMessage,
  readPlain,
  writePlain,
} from '../../src/fleet/plain-payload.ts';

const DAY_MS = 86_400_000;

test('sequence and schedule come back, to a tenth of a ms, within two days either way', () => {
  const form = fc.record({
    offset: fc.nat(100),
    size: fc.integer({ min: PLAIN_HEAD_SIZE, max: 70_000 }),
    sequence: fc.integer({ min: 0, max: 0xffffffff }),
    scheduledMs: fc.double({ min: 0, max: 4e12, noNaN: true }),
    delayMs: fc.double({ min: -2 * DAY_MS, max: 2 * DAY_MS, noNaN: true }),
  });
  fc.assert(
    fc.property(form, ({ delayMs, offset, scheduledMs, sequence, size }) => {
      const payload = new Uint8Array(size);
      writePlain(payload, size, sequence, scheduledMs);
      const source = new Uint8Array(offset + size);
      source.set(payload, offset);
      const message = new PlainMessage();
      readPlain(source, offset, Math.max(0, scheduledMs + delayMs), message);
      expect(message.sequence).toBe(sequence);
      expect(Math.abs(message.scheduledMs - scheduledMs)).toBeLessThan(0.1 + 1e-3);
    }),
  );
});

test('what is no head is filled, and nothing beyond the payload is touched', () => {
  fc.assert(
    fc.property(fc.nat(100), (size) => {
      const target = new Uint8Array(200);
      writePlain(target, size, 0x01020304, 1000);
      const filled = target.subarray(size < PLAIN_HEAD_SIZE ? 0 : PLAIN_HEAD_SIZE, size);
      expect(filled.every((byte) => byte === 0x78)).toBe(true);
      expect(target.subarray(size).every((byte) => byte === 0)).toBe(true);
    }),
  );
});
