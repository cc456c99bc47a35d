import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';

/** What a device may cost with its flash, record, wear and fuses. */
const DEVICE_SIZE_MAX = 600;
const DEVICES = 100_000;

describe('a fleet of chips (W25Q32, 4 MB each) with the same two images', () => {
  let figures: {
    /** Bytes per device in the field: its record and its fuses were written since. */
    readonly field: number;
    /** Bytes per device after an update of its own, and after taking the leader's layout. */
    readonly own: number;
    readonly rebased: number;
    /** Erase cycles of the record, rollback counters: what all devices have. */
    readonly wears: readonly number[];
    readonly counters: readonly number[];
    readonly contentsInFleet: number;
  };

  beforeAll(async () => {
    const program = fileURLToPath(new URL('./support/fleet-memory.ts', import.meta.url));
    const args = ['--expose-gc', program, String(DEVICES), '500'];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    figures = JSON.parse(stdout);
  });

  test(`needs at most ${DEVICE_SIZE_MAX} bytes per device`, () => {
    expect(figures.field).toBeLessThanOrEqual(DEVICE_SIZE_MAX);
    // Nor can it be less than two objects: a figure near zero would have measured nothing.
    expect(figures.field).toBeGreaterThan(100);
  });

  test('of which each has a record, wear and fuses of its own', () => {
    expect(figures).toMatchObject({ counters: [2], wears: [8], contentsInFleet: 1 });
  });

  test('as much after an update that each made itself, once it shares the layout', () => {
    expect(figures.own).toBeGreaterThan(figures.rebased);
    expect(figures.rebased).toBeLessThanOrEqual(DEVICE_SIZE_MAX);
  });
});
