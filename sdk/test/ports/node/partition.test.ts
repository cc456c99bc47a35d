import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FilePartition, type PartitionGeometry } from '../../../ports/node/partition.ts';
import { NodePlatform } from '../../../ports/node/platform.ts';

const GEOMETRY = { size: 64, sectorSize: 16, writeAlignment: 4 };

const root = mkdtempSync(join(tmpdir(), 'flotilla-partition-'));
let path = '';
let pathCount = 0;
const opened: FilePartition[] = [];

beforeEach(() => {
  pathCount += 1;
  path = join(root, String(pathCount), 'log.flash');
});

afterEach(() => {
  for (const partition of opened.splice(0)) partition.close();
});

afterAll(() => rmSync(root, { recursive: true }));

function open(geometry: PartitionGeometry = GEOMETRY): FilePartition {
  const partition = new FilePartition(path, geometry);
  opened.push(partition);
  return partition;
}

function readAll(partition: FilePartition): number[] {
  const into = new Uint8Array(partition.size);
  partition.read(0, into);
  return [...into];
}

describe('a partition in a file', () => {
  test('begins erased, with the geometry of its options', () => {
    const partition = open({ size: 8192 });
    expect(partition).toMatchObject({ size: 8192, sectorSize: 4096, writeAlignment: 4 });
    expect(readAll(partition).every((byte) => byte === partition.erasedValue)).toBe(true);
    expect(partition.erasedValue).toBe(0xff);
  });

  test('behaves as NOR flash does', () => {
    // Some addresses and sizes are wrong on purpose.
    const step = fc.record({
      act: fc.constantFrom('write', 'write', 'erase', 'read', 'reopen'),
      address: fc.oneof(
        fc.nat(17).map((unit) => unit * 4),
        fc.integer({ min: -4, max: 70 }),
      ),
      start: fc.nat(3),
      size: fc.oneof(fc.constantFrom(0, 4, 8), fc.nat(20)),
      fill: fc.nat(255),
    });
    let run = 0;
    const folder = path;
    fc.assert(
      fc.property(fc.array(step, { maxLength: 15 }), (steps) => {
        run += 1;
        path = `${folder}-${run}`;
        let partition = open();
        const model = new Array<number>(GEOMETRY.size).fill(0xff);
        for (const { act, address, start, size, fill } of steps) {
          const inside = address >= 0 && address + size <= GEOMETRY.size;
          if (act === 'write') {
            const bytes = Uint8Array.from({ length: start + size + 3 }, (_, at) => fill + at);
            const allowed =
              inside &&
              address % 4 === 0 &&
              size % 4 === 0 &&
              model.slice(address, address + size).every((byte) => byte === 0xff);
            const write = () => partition.write(address, bytes, start, start + size);
            if (!allowed) expect(write).toThrow(RangeError);
            else {
              write();
              for (let at = 0; at < size; at += 1) model[address + at] = bytes[start + at]!;
            }
          } else if (act === 'erase') {
            const erase = () => partition.eraseBlock(address);
            if (address < 0 || address >= 64 || address % 16 !== 0) {
              expect(erase).toThrow(RangeError);
            } else {
              erase();
              model.fill(0xff, address, address + 16);
            }
          } else if (act === 'read') {
            const into = new Uint8Array(size).fill(1);
            if (!inside) expect(() => partition.read(address, into)).toThrow(RangeError);
            else {
              partition.read(address, into);
              expect([...into]).toEqual(model.slice(address, address + size));
            }
          } else {
            partition = open();
          }
        }
        expect(readAll(partition)).toEqual(model);
        for (const each of opened.splice(0)) each.close();
      }),
      { numRuns: 60 },
    );
  });

  test('keeps a byte that was programmed to 0xFF as erased, as flash does', () => {
    const partition = open();
    partition.write(0, new Uint8Array(4).fill(0xff), 0, 4);
    partition.write(0, new Uint8Array(4).fill(0x55), 0, 4);
    expect(readAll(partition).slice(0, 5)).toEqual([0x55, 0x55, 0x55, 0x55, 0xff]);
  });

  test('that was cut short is completed, and a longer file is left as it is', () => {
    open().write(0, new Uint8Array(16).fill(1), 0, 16);
    truncateSync(path, 6);
    expect(readAll(open())).toEqual([1, 1, 1, 1, 1, 1, ...new Array(58).fill(0xff)]);
    writeFileSync(path, Buffer.alloc(100, 2));
    expect(readAll(open())).toEqual(new Array(64).fill(2));
    expect(readFileSync(path).length).toBe(100);
  });

  test.each([[{ size: 0 }], [{ size: -4096 }], [{ size: 5000 }], [{ size: 64, sectorSize: 24 }]])(
    'refuses the geometry %j',
    (geometry) => {
      expect(() => open(geometry)).toThrow(RangeError);
    },
  );

  test('is found by its name on a platform with a folder', () => {
    const platform = new NodePlatform({ folder: path, partitions: { log: { size: 4096 } } });
    const log = platform.partition('log') as FilePartition;
    opened.push(log);
    expect(log.size).toBe(4096);
    expect(platform.partition('other')).toBeUndefined();
    expect(() => new NodePlatform({ partitions: { log: { size: 4096 } } })).toThrow(
      "partition 'log': needs a folder",
    );
  });
});
