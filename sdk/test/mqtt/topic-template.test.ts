// Topics by template: written, measured, compared and taken apart as strings would be.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TopicTemplate } from '../../src/mqtt/topic-template.ts';

const literal = fc.oneof(
  fc.constantFrom('', 'a', 'devices/', '/', 'tenant/7/', '$aws/things/', 'дом/', '🏠/'),
  fc.string({ unit: 'grapheme', maxLength: 6 }).filter((text) => !/[+#\0{}]/.test(text)),
);
const id = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._:-]{0,20}$/);
const topic = fc.constantFrom('telemetry', 'status', 'commands', 'commands/7/result', 'x');
const parts = fc.tuple(literal, literal, literal);

describe('topic template', () => {
  test('writes, measures and compares what it formats', () => {
    fc.assert(
      fc.property(parts, id, topic, ([before, middle, after], deviceId, name) => {
        const template = new TopicTemplate(`${before}{id}${middle}{topic}${after}`);
        const text = before + deviceId + middle + name + after;
        expect(template.format(deviceId, name)).toBe(text);
        // By Node, lone surrogates as U+FFFD too.
        const expected = Buffer.from(text);
        expect(template.size(deviceId, name)).toBe(expected.length);
        const target = new Uint8Array(expected.length + 8).fill(0xaa);
        const end = template.write(target, 3, deviceId, name);
        expect(end).toBe(3 + expected.length);
        expect(Buffer.from(target.subarray(3, end))).toEqual(expected);
        expect([...target.subarray(0, 3), ...target.subarray(end)]).toEqual(
          new Array(8).fill(0xaa),
        );
        expect(template.matches(target, 3, end, deviceId, name)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  test('matches nothing else', () => {
    fc.assert(
      fc.property(
        parts,
        id,
        topic,
        fc.nat(60),
        fc.integer({ min: 1, max: 255 }),
        (p, d, n, at, x) => {
          const template = new TopicTemplate(`${p[0]}{id}${p[1]}{topic}${p[2]}`);
          const bytes = new Uint8Array(Buffer.from(template.format(d, n)));
          const size = bytes.length;
          expect(template.matches(bytes, 0, size - 1, d, n)).toBe(false);
          expect(template.matches(bytes, 1, size, d, n)).toBe(false);
          expect(template.matches(bytes, 0, size, `${d}0`, n)).toBe(false);
          const changed = bytes.slice();
          changed[at % size] = (changed[at % size] as number) ^ x;
          expect(template.matches(changed, 0, size, d, n)).toBe(false);
        },
      ),
      { numRuns: 200 },
    );
  });

  test('takes the id out of a topic that it wrote, and of no other', () => {
    fc.assert(
      fc.property(parts, id, topic, ([before, middle, after], deviceId, name) => {
        const template = new TopicTemplate(`${before}{id}${middle}{topic}${after}`);
        expect(template.idOf(template.format(deviceId, name), name)).toBe(deviceId);
        expect(template.idOf(template.format(`${deviceId}/x`, name), name)).toBe('');
        expect(template.idOf(template.format('', name), name)).toBe('');
      }),
    );
    const template = new TopicTemplate('devices/{id}/{topic}');
    for (const other of [
      '',
      'devices/',
      'devices/a/status2',
      'device/a/status',
      'devices//status',
    ]) {
      expect(template.idOf(other, 'status')).toBe('');
    }
  });

  /** Template, and a word of the reason. */
  const WRONG: readonly (readonly [string, string])[] = [
    ['', 'expected'],
    ['devices', 'expected'],
    ['{id}', 'expected'],
    ['{topic}', 'expected'],
    ['{topic}/{id}', 'expected'],
    ['{id}/{id}/{topic}', 'expected'],
    ['{id}/{topic}/{id}', 'expected'],
    ['{id}/{topic}/{topic}', 'expected'],
    ['+/{id}/{topic}', 'wildcards'],
    ['{id}/{topic}/#', 'wildcards'],
    ['a\0/{id}/{topic}', 'U+0000'],
  ];

  test.each(WRONG)('%j is refused: %s', (text, reason) => {
    expect(() => new TopicTemplate(text)).toThrow(RangeError);
    expect(() => new TopicTemplate(text)).toThrow(reason);
  });
});

describe('found by this test', () => {
  test('a template that is not ASCII is recognised in what comes in', () => {
    const template = new TopicTemplate('дом/{id}/{topic}');
    const bytes = new Uint8Array(Buffer.from('дом/d1/commands'));
    expect(template.matches(bytes, 0, bytes.length, 'd1', 'commands')).toBe(true);
  });
});
