// Messages that no buffer of their fleet holds are mistakes, at the place of the buffer.

import { describe, expect, it } from 'vitest';
import { load, mistakes } from './scenario-file.ts';

function plain(members: string): string {
  return `name: sizes
fleets:
  - { name: a, count: 1, kind: plain, interval: 1s, ${members} }
duration: 20s
`;
}

describe('the buffer of a plain client', () => {
  it('must hold one message', () => {
    expect(mistakes(plain('payload: 8KB, buffer: 8KB'))).toEqual([
      'f:3:75: fleets[0].buffer: holds no message of 8192 bytes: expected at least 8208B',
    ]);
    expect(load(plain('payload: 8KB, buffer: 8208B')).scenario.fleets[0]!.bufferSize).toBe(8208);
  });

  it.each([
    ['0B', 4096],
    ['1KB', 4096],
    ['8KB', 2 * 8208],
    ['1MB', 2 * 1_048_592],
  ])('is 4 KB, or two messages: %s', (payload, bufferSize) => {
    expect(load(plain(`payload: ${payload}`)).scenario.fleets[0]!.bufferSize).toBe(bufferSize);
  });
});

describe('the buffer of devices', () => {
  const sensor = (index: number) =>
    `{ name: ${'n'.repeat(29)}${index + 100}, unit: ${'u'.repeat(16)}, model: constant, value: 1 }`;
  const text = (count: number) => `name: sizes
fleets:
  - name: a
    count: 1
    interval: 1s
    buffer: 1KB
    sensors: [${Array.from({ length: count }, (_, index) => sensor(index)).join(', ')}]
duration: 20s
`;

  it('must hold one sample of every sensor', () => {
    expect(load(text(10)).scenario.fleets[0]!.sensors.length).toBe(10);
    expect(mistakes(text(20))).toEqual([
      expect.stringMatching(
        /^f:6:13: fleets\[0\]\.buffer: holds no message of 1\d{3} bytes: expected at least 1\d{3}B$/,
      ),
    ]);
  });
});
