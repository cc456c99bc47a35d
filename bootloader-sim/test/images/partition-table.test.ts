import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  APP_FACTORY,
  APP_OTA_0,
  createPartitionTable,
  DATA_NVS,
  DATA_OTA,
  PARTITION_APP,
  PARTITION_COUNT_MAX,
  PARTITION_DATA,
  type PartitionRow,
  partitionMistakes,
  readPartitionTable,
  TABLE_SIZE,
} from '../../src/images/partition-table.ts';
import { nodeCrypto } from '../../src/node-crypto.ts';
import { damage, Random, surrounded } from './hostile.ts';

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));
const COUNT = Number(process.env.COUNT ?? 100_000);
const FLASH_SIZE = 0x400000;

const NVS: PartitionRow = {
  name: 'nvs',
  type: PARTITION_DATA,
  subtype: DATA_NVS,
  offset: 0x9000,
  size: 0x5000,
  flags: 0,
};
const OTADATA: PartitionRow = {
  name: 'otadata',
  type: PARTITION_DATA,
  subtype: DATA_OTA,
  offset: 0xe000,
  size: 0x2000,
  flags: 0,
};
const OTA_0: PartitionRow = {
  name: 'ota_0',
  type: PARTITION_APP,
  subtype: APP_OTA_0,
  offset: 0x10000,
  size: 0x100000,
  flags: 0,
};
const OTA_1: PartitionRow = {
  ...OTA_0,
  name: 'ota_1',
  subtype: APP_OTA_0 + 1,
  offset: 0x110000,
  flags: 1,
};
const PARTITIONS = [NVS, OTADATA, OTA_0, OTA_1];

/** PARTITIONS by hand, a row a line: magic, type, subtype, offset, size, label, flags. */
const KNOWN = [
  'aa50 01 02 00900000 00500000 6e767300000000000000000000000000 00000000',
  'aa50 01 00 00e00000 00200000 6f746164617461000000000000000000 00000000',
  'aa50 00 10 00000100 00001000 6f74615f300000000000000000000000 00000000',
  'aa50 00 11 00001100 00001000 6f74615f310000000000000000000000 01000000',
  'ebeb ffffffffffffffffffffffffffff 46af2ebf00580b868dffef746becbfb0',
].join('');

function knownTable(): Uint8Array {
  const table = new Uint8Array(TABLE_SIZE).fill(0xff);
  table.set(Buffer.from(KNOWN.replaceAll(' ', ''), 'hex'));
  return table;
}

/** '' where the table is accepted. */
function verdict(bytes: Uint8Array, flashSize?: number): string {
  const result = readPartitionTable(bytes, nodeCrypto, flashSize);
  return result.ok ? '' : result.reason;
}

/** Rows and their MD5 row, whatever they hold. */
function tableOf(...rows: Uint8Array[]): Uint8Array {
  const table = new Uint8Array(TABLE_SIZE).fill(0xff);
  const content = Buffer.concat(rows);
  table.set(content);
  table.set([0xeb, 0xeb], content.length);
  table.set(nodeCrypto.md5(content), content.length + 16);
  return table;
}

describe('a known table', () => {
  test('is written', () => {
    const table = createPartitionTable(PARTITIONS, nodeCrypto, FLASH_SIZE);
    expect(table).toHaveLength(0xc00);
    expect(Buffer.from(table).toString('hex')).toBe(Buffer.from(knownTable()).toString('hex'));
  });

  test('is read, also from its sector and without what follows the end row', () => {
    const sector = new Uint8Array(0x1000);
    sector.set(knownTable());
    for (const bytes of [knownTable(), sector, knownTable().subarray(0, 6 * 32)]) {
      const result = readPartitionTable(bytes, nodeCrypto, FLASH_SIZE);
      expect(result).toEqual({ ok: true, partitions: PARTITIONS });
    }
  });

  test('every truncation is refused', () => {
    const table = knownTable();
    for (let size = 0; size < 6 * 32; size++) {
      expect(verdict(table.subarray(0, size)), `${size} bytes`).not.toBe('');
    }
  });

  test('every flipped bit of it is refused', () => {
    const table = knownTable();
    for (let bit = 0; bit < 6 * 32 * 8; bit++) {
      table[bit >> 3]! ^= 1 << (bit & 7);
      expect(verdict(table), `bit ${bit}`).not.toBe('');
      table[bit >> 3]! ^= 1 << (bit & 7);
    }
    expect(verdict(table)).toBe('');
  });
});

/** Tables without a mistake: gaps and sizes in sectors, from 0x9000 on. */
const anyPartitions: fc.Arbitrary<PartitionRow[]> = fc
  .uniqueArray(
    fc.record({
      name: fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 15 }),
      type: fc.constantFrom(0, 1, 0x40, 0xfe),
      subtype: fc.integer({ min: 1, max: 0xff }),
      gap: fc.nat(3),
      sectors: fc.integer({ min: 1, max: 40 }),
      flags: fc.nat(0xffffffff),
    }),
    { minLength: 1, maxLength: PARTITION_COUNT_MAX, selector: ({ name }) => name },
  )
  .chain((drafts) => {
    let end = 0x9000;
    const rows = drafts.map(({ gap, sectors, ...row }) => {
      const alignment = row.type === PARTITION_APP ? 0x10000 : 0x1000;
      const offset = Math.ceil((end + gap * 0x1000) / alignment) * alignment;
      end = offset + sectors * 0x1000;
      return { ...row, offset, size: sectors * 0x1000 };
    });
    // Their order in the table is free.
    return fc.shuffledSubarray(rows, { minLength: rows.length, maxLength: rows.length });
  });

test('tables read back as what they were made of', () => {
  fc.assert(
    fc.property(anyPartitions, (partitions) => {
      const table = createPartitionTable(partitions, nodeCrypto);
      expect(readPartitionTable(table, nodeCrypto)).toEqual({ ok: true, partitions });
    }),
    { numRuns: 200 },
  );
});

test('a table as large as there is room for', () => {
  const rows = Array.from({ length: PARTITION_COUNT_MAX + 1 }, (_, index) => ({
    ...NVS,
    name: `p${index}`,
    offset: 0x9000 + index * 0x1000,
    size: 0x1000,
  }));
  const fits = rows.slice(0, PARTITION_COUNT_MAX);
  expect(PARTITION_COUNT_MAX).toBe(94);
  expect(readPartitionTable(createPartitionTable(fits, nodeCrypto), nodeCrypto)).toEqual({
    ok: true,
    partitions: fits,
  });
  expect(() => createPartitionTable(rows, nodeCrypto)).toThrow('expected 1-94 partitions, got 95');
});

/** Partitions beside NVS, what is wrong with them, and with nothing else. */
const MISTAKES: readonly [rows: Partial<PartitionRow>[], mistakes: string[]][] = [
  [[{ name: '' }], ['partition 1: name: expected 1-15 characters, got none']],
  [[{ name: 'n'.repeat(16) }], ['partition 1: name: expected at most 15 characters, got 16']],
  [[{ name: 'caf\u00e9' }], ['partition 1: name: expected printable ASCII']],
  [[{ name: '\x1b[2J' }], ['partition 1: name: expected printable ASCII']],
  [[{ name: 'nvs' }], ['partition 1 "nvs": partition 0 has the same name']],
  [[{ type: 256 }], ['partition 1 "a": type: expected 0-255, got 256']],
  [[{ subtype: -1 }], ['partition 1 "a": subtype: expected 0-255, got -1']],
  [[{ flags: 2 ** 32 }], ['partition 1 "a": flags: expected 0-4294967295, got 4294967296']],
  [[{ size: 0 }], ['partition 1 "a": size: expected 1-4294967295, got 0']],
  [[{ offset: 0x20800 }], ['partition 1 "a": offset: 0x20800 is not a multiple of 0x1000']],
  [[{ size: 0x1800 }], ['partition 1 "a": size: 0x1800 is not a multiple of 0x1000']],
  [
    [{ type: PARTITION_APP, subtype: APP_FACTORY, offset: 0x21000 }],
    ['partition 1 "a": offset: 0x21000 is not a multiple of 0x10000'],
  ],
  [
    [{ offset: 0x3ff000, size: 0x2000 }],
    ['partition 1 "a": ends at 0x401000, behind the flash of 0x400000'],
  ],
  [
    [{ offset: 0xfffff000, size: 0xfffff000 }],
    ['partition 1 "a": ends at 0x1ffffe000, behind the flash of 0x400000'],
  ],
  [
    [{ subtype: DATA_OTA, size: 0x1000 }],
    ['partition 1 "a": size: otadata has 0x2000 bytes, not 0x1000'],
  ],
  [
    [
      { subtype: DATA_OTA, size: 0x2000 },
      { name: 'b', subtype: DATA_OTA, offset: 0x30000, size: 0x2000 },
    ],
    ['expected one otadata partition, got 2'],
  ],
  [[{ offset: 0xd000 }], ['partition 1 "a": overlaps partition 0 "nvs"']],
  [[{ offset: 0x8000, size: 0x2000 }], ['partition 0 "nvs": overlaps partition 1 "a"']],
  [[{ offset: 0x9000, size: 0x5000 }], ['partition 1 "a": overlaps partition 0 "nvs"']],
  // Behind a large one, neither of two small ones hides the other.
  [
    [
      { offset: 0x20000, size: 0x10000 },
      { name: 'b', offset: 0x21000 },
      { name: 'c', offset: 0x2f000 },
    ],
    ['partition 2 "b": overlaps partition 1 "a"', 'partition 3 "c": overlaps partition 1 "a"'],
  ],
  [[{ offset: 0xe000 }], []],
];

describe('mistakes', () => {
  const complete = (rows: Partial<PartitionRow>[]): PartitionRow[] => [
    NVS,
    ...rows.map((row) => ({
      ...NVS,
      name: 'a',
      subtype: 6,
      offset: 0x20000,
      size: 0x1000,
      ...row,
    })),
  ];

  test.each(MISTAKES)('case %#: %j', (rows, mistakes) => {
    expect(partitionMistakes(complete(rows), FLASH_SIZE)).toEqual(mistakes);
    if (mistakes.length === 0) return;
    expect(() => createPartitionTable(complete(rows), nodeCrypto, FLASH_SIZE)).toThrow(
      mistakes.join('; '),
    );
  });

  test('are named all at once, also when they are read', () => {
    const row = Buffer.from(knownTable().subarray(0, 32));
    row.writeUInt32LE(0x9004, 4);
    row.writeUInt32LE(0xffffffff, 8);
    row.fill(0x41, 12, 28);
    expect(verdict(tableOf(row), FLASH_SIZE)).toBe(
      [
        'partition 0: name: expected at most 15 characters, got 16',
        'partition 0: offset: 0x9004 is not a multiple of 0x1000',
        'partition 0: size: 0xffffffff is not a multiple of 0x1000',
        'partition 0: ends at 0x100009003, behind the flash of 0x400000',
      ].join('; '),
    );
  });

  test('without a flash size, 32 bits are the limit', () => {
    const row = { ...NVS, offset: 0xfffff000, size: 0x1000 };
    expect(partitionMistakes([row])).toEqual([]);
    expect(partitionMistakes([{ ...row, size: 0x2000 }])).toEqual([
      'partition 0 "nvs": ends at 0x100001000, behind the flash of 0x100000000',
    ]);
  });
});

describe('hostile tables', () => {
  const row = (index: number): Uint8Array => knownTable().subarray(index * 32, index * 32 + 32);
  const md5Row = row(4);

  test.each<[what: string, () => Uint8Array, reason: string]>([
    ['nothing', () => new Uint8Array(), 'the table ends before its end row'],
    ['erased flash', () => new Uint8Array(0x1000).fill(0xff), 'the table is empty'],
    ['zeros', () => new Uint8Array(0x1000), 'row 0: magic 0x0 is that of no row'],
    ['an MD5 of nothing', () => tableOf(), 'expected 1-94 partitions, got 0'],
    ['no MD5 row', () => knownTable().fill(0xff, 4 * 32, 5 * 32), 'the table has no MD5 row'],
    [
      'another MD5',
      () => knownTable().fill(0, 4 * 32 + 16, 5 * 32),
      'the MD5 does not match the table',
    ],
    [
      'a damaged MD5 row',
      () => knownTable().fill(0, 4 * 32 + 2, 4 * 32 + 3),
      'the MD5 row is damaged',
    ],
    ['a damaged end row', () => knownTable().fill(0, 6 * 32 - 1, 6 * 32), 'the end row is damaged'],
    [
      'a partition behind the MD5',
      () => {
        const table = knownTable();
        table.set(row(3), 5 * 32);
        return table;
      },
      'rows follow the MD5 row',
    ],
    [
      'two MD5 rows',
      () => {
        const table = knownTable();
        table.set(md5Row, 5 * 32);
        return table;
      },
      'rows follow the MD5 row',
    ],
    [
      'rows without an end',
      () => new Uint8Array(Buffer.concat(Array(0x1000 / 32).fill(row(0)))),
      'the table has no end within 0xc00 bytes',
    ],
  ])('%s', (_what, make, reason) => {
    expect(verdict(make())).toBe(reason);
  });

  test('nothing throws, and nothing past the end matters', () => {
    console.log(`SEED=${SEED} COUNT=${COUNT} bootloader-sim/test/images/partition-table.test.ts`);
    const random = new Random(SEED);
    const file = knownTable().subarray(0, 6 * 32);
    let layoutMistakeCount = 0;
    for (let index = 0; index < COUNT; index++) {
      const bytes = damage(random, file, [0, 2, 4, 8, 32, 36, 40, 68, 72, 100, 104, 128]);
      // With the MD5 made to fit, what the rows say is checked as well.
      if (bytes.length >= 160) bytes.set(nodeCrypto.md5(bytes.subarray(0, 128)), 144);
      const result = readPartitionTable(surrounded(bytes, 0x00), nodeCrypto, FLASH_SIZE);
      const context = `SEED=${SEED} input ${index}: ${Buffer.from(bytes).toString('hex')}`;
      const other = readPartitionTable(surrounded(bytes, 0xff), nodeCrypto, FLASH_SIZE);
      if (JSON.stringify(other) !== JSON.stringify(result)) throw new Error(context);
      if (!result.ok && result.reason.startsWith('partition')) layoutMistakeCount += 1;
      if (!result.ok) continue;
      const isInside = result.partitions.every(({ offset, size }) => offset + size <= FLASH_SIZE);
      if (!isInside || partitionMistakes(result.partitions).length > 0) throw new Error(context);
    }
    expect(layoutMistakeCount).toBeGreaterThan(COUNT / 20);
  });
});
