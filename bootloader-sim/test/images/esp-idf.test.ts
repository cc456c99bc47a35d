import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type CreateEspImageOptions,
  createEspImage,
  type EspImage,
  readEspImage,
} from '../../src/images/esp-idf.ts';
import { nodeCrypto } from '../../src/node-crypto.ts';
import { damage, Random, surrounded } from './hostile.ts';

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));
const COUNT = Number(process.env.COUNT ?? 100_000);

const OPTIONS: CreateEspImageOptions = {
  entryAddress: 0x40380000,
  chipId: 5,
  minChipRevision: 3,
  maxChipRevision: 199,
  secureVersion: 2,
  version: '1.4.0',
  projectName: 'thermometer',
  time: '12:34:56',
  date: 'Jan  1 2026',
  idfVersion: 'v5.4',
  elfDigest: new Uint8Array(32).fill(0xe1),
  segments: [
    { loadAddress: 0x3c000020, data: new Uint8Array(40).fill(0xd0) },
    { loadAddress: 0x40380000, data: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) },
  ],
};

/** OPTIONS, put together by hand (esp_app_format.h, esp_app_desc.h). */
function knownImage(): Buffer {
  const field = (text: string, size: number): Buffer => {
    const bytes = Buffer.alloc(size);
    bytes.write(text);
    return bytes;
  };
  const description = Buffer.concat([
    Buffer.from('3254cdab', 'hex'), // magic_word
    Buffer.from('02000000', 'hex'), // secure_version
    Buffer.alloc(8), // reserv1
    field('1.4.0', 32), // version
    field('thermometer', 32), // project_name
    field('12:34:56', 16), // time
    field('Jan  1 2026', 16), // date
    field('v5.4', 32), // idf_ver
    Buffer.alloc(32, 0xe1), // app_elf_sha256
    Buffer.alloc(80), // eFuse block revisions, MMU page size, reserv2
  ]);
  const data = Buffer.concat([
    // magic, segments, DIO, 4 MB at 40 MHz, entry; wp_pin, drive; chip; min_rev, min, max; …; hash
    Buffer.from('e9020220' + '00003840', 'hex'),
    Buffer.from('ee000000' + '0500' + '00' + '0300' + 'c700' + '00000000' + '01', 'hex'),
    Buffer.from('2000003c' + '28010000', 'hex'), // 256 + 40 bytes
    description,
    Buffer.alloc(40, 0xd0),
    Buffer.from('00003840' + '08000000', 'hex'),
    Buffer.from('0102030405060708', 'hex'),
  ]);
  expect(data).toHaveLength(344);
  // XOR of the data: EF, magic, 2, the texts; an even number of E1 and D0 cancel out; 1 ^ … ^ 8 = 8.
  const texts = Buffer.from('1.4.0thermometer12:34:56Jan  1 2026v5.4');
  const xor = texts.reduce((sum, byte) => sum ^ byte, 0xef ^ 0x32 ^ 0x54 ^ 0xcd ^ 0xab ^ 2 ^ 8);
  // 344 = 21.5 x 16: seven zeros, and the checksum in the last byte of the block.
  const hashed = Buffer.concat([data, Buffer.alloc(7), Buffer.of(xor)]);
  return Buffer.concat([hashed, createHash('sha256').update(hashed).digest()]);
}

function read(bytes: Uint8Array): EspImage {
  const result = readEspImage(bytes, nodeCrypto);
  if (!result.ok) throw new Error(result.reason);
  return result.image;
}

/** '' where the image is accepted. */
function verdict(bytes: Uint8Array, options?: { hashRequired: boolean }): string {
  const result = readEspImage(bytes, nodeCrypto, options);
  return result.ok ? '' : result.reason;
}

function create(changed: Partial<CreateEspImageOptions> = {}): Uint8Array {
  return createEspImage({ ...OPTIONS, ...changed }, nodeCrypto);
}

describe('a known image', () => {
  test('is written', () => {
    expect(Buffer.from(create()).toString('hex')).toBe(knownImage().toString('hex'));
  });

  test('is read', () => {
    const { segments, ...said } = OPTIONS;
    expect(read(new Uint8Array(knownImage()))).toEqual({
      ...said,
      segments: [
        { loadAddress: 0x3c000020, start: 32, end: 32 + 256 + 40 },
        { loadAddress: 0x40380000, start: 336, end: 344 },
      ],
      hashAppended: true,
      digest: new Uint8Array(knownImage().subarray(352)),
      totalSize: 384,
    });
    expect(segments).toHaveLength(2);
  });
});

const text = (size: number): fc.Arbitrary<string> =>
  fc.string({ unit: 'grapheme-ascii', maxLength: size });
const u16 = fc.nat(0xffff);
const u32 = fc.nat(0xffffffff);
const anyOptions: fc.Arbitrary<CreateEspImageOptions> = fc.record({
  entryAddress: u32,
  chipId: u16,
  minChipRevision: u16,
  maxChipRevision: u16,
  secureVersion: u32,
  version: text(31),
  projectName: text(31),
  time: text(15),
  date: text(15),
  idfVersion: text(31),
  elfDigest: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  segments: fc.array(
    fc.record({
      loadAddress: u32,
      data: fc
        .uint8Array({ maxLength: 60 })
        .map((data) => data.subarray(0, data.length - (data.length % 4))),
    }),
    { minLength: 1, maxLength: 16 },
  ),
  hashAppended: fc.boolean(),
});

describe('images', () => {
  test('read back as what they were made of', () => {
    fc.assert(
      fc.property(anyOptions, (options) => {
        const bytes = createEspImage(options, nodeCrypto);
        const result = readEspImage(bytes, nodeCrypto, { hashRequired: false });
        if (!result.ok) throw new Error(result.reason);
        const { segments, ...said } = options;
        const { segments: found, ...image } = result.image;
        expect(image).toMatchObject({ ...said, totalSize: bytes.length });
        const data = found.map(({ loadAddress, start, end }, index) => ({
          loadAddress,
          data: bytes.slice(start + (index === 0 ? 256 : 0), end),
        }));
        const plain = segments.map((each) => ({ ...each, data: each.data.slice() }));
        expect(data).toEqual(plain);
        expect(bytes.length % 16).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  test('every truncation is refused', () => {
    const bytes = create();
    for (let size = 0; size < bytes.length; size++) {
      expect(verdict(bytes.subarray(0, size)), `${size} bytes`).not.toBe('');
    }
  });

  test('what follows in the slot changes nothing', () => {
    const slot = new Uint8Array(4096).fill(0xe9);
    slot.set(create());
    expect(read(slot)).toEqual(read(create()));
  });
});

describe('a flipped bit', () => {
  function acceptedFlips(bytes: Uint8Array, options?: { hashRequired: boolean }): string[] {
    const accepted: string[] = [];
    for (let offset = 0; offset < bytes.length; offset++) {
      for (let bit = 0; bit < 8; bit++) {
        bytes[offset]! ^= 1 << bit;
        if (verdict(bytes, options) === '') accepted.push(`${offset}/${bit}`);
        bytes[offset]! ^= 1 << bit;
      }
    }
    expect(verdict(bytes)).toBe('');
    return accepted;
  }

  test('is refused', () => {
    expect(acceptedFlips(create())).toEqual([]);
  });

  test('of hash_appended turns the check off where a digest is not required', () => {
    expect(acceptedFlips(create(), { hashRequired: false })).toEqual(['23/0']);
  });
});

describe('hostile images', () => {
  const twoSegments = (): Uint8Array => create({ hashAppended: true });

  test.each<[what: string, offset: number, bytes: number[], reason: RegExp]>([
    ['magic', 0, [0xe8], /^not an ESP-IDF image: it does not begin with E9$/],
    ['no segments', 1, [0], /^0 segments, expected 1-16$/],
    ['17 segments', 1, [17], /^17 segments, expected 1-16$/],
    ['255 segments', 1, [255], /^255 segments, expected 1-16$/],
    ['more segments than there are', 1, [16], /^segment 2: \d+ bytes/],
    ['no digest', 23, [0], /^the image has no digest$/],
    ['a segment of 2^32 - 4', 28, [0xfc, 255, 255, 255], /^segment 0: 4294967292 bytes is no/],
    ['a segment of 16 MB', 28, [0, 0, 0, 1], /^segment 0: 16777216 bytes is no length/],
    ['a segment of 16 MB - 4', 28, [0xfc, 255, 255, 0], /^segment 0: 16777212 bytes do not fit/],
    ['a segment of 297', 28, [0x29, 1], /^segment 0: 297 bytes is no length/],
    ['a segment up to the end', 28, [0x60, 1, 0, 0], /^the image ends before segment 1$/],
    ['a segment past the end', 28, [0x64, 1, 0, 0], /^segment 0: 356 bytes do not fit into 352$/],
    ['a last segment up to the end', 332, [40, 0, 0, 0], /^an image of 416 bytes does not fit/],
    ['the checksum', 351, [0], /^the checksum does not match the image$/],
    ['the digest', 383, [0], /^the digest does not match the image$/],
  ])('%s', (_what, offset, lie, reason) => {
    const bytes = twoSegments();
    bytes.set(lie, offset);
    expect(verdict(bytes)).toMatch(reason);
  });

  test('no description: what is no application', () => {
    const noMagic = create();
    noMagic[32]! ^= 1;
    noMagic[351]! ^= 1;
    noMagic.set(nodeCrypto.sha256(noMagic.subarray(0, 352)), 352);
    expect(verdict(noMagic)).toBe('no application description');
    // 24 + 8 + 8 bytes, and the checksum of no data in the last of 48.
    const short = new Uint8Array(80);
    short.set([0xe9, 1]);
    short[23] = 1;
    short[28] = 8;
    short[47] = 0xef;
    short.set(nodeCrypto.sha256(short.subarray(0, 48)), 48);
    expect(verdict(short)).toBe('the first segment holds no application description');
  });

  test('text that could do things to a terminal is shown as ?', () => {
    const bytes = create({ version: 'abcdef' });
    bytes.set([0x1b, 0x5b, 0x32, 0x4a, 0x9b, 0x0a], 48);
    const xor = [...'abcdef', '\x1b', '[', '2', 'J', '\x9b', '\n'];
    bytes[351]! ^= xor.reduce((sum, each) => sum ^ each.charCodeAt(0), 0);
    bytes.set(nodeCrypto.sha256(bytes.subarray(0, 352)), 352);
    expect(read(bytes).version).toBe('?[2J??');
  });

  test('a text without its closing zero ends with its field', () => {
    const bytes = create({ version: '' });
    bytes.fill(0x76, 48, 48 + 32); // An even number of them: the checksum stays.
    bytes.set(nodeCrypto.sha256(bytes.subarray(0, 352)), 352);
    expect(read(bytes).version).toBe('v'.repeat(32));
  });

  test('nothing throws, and nothing past the end matters', () => {
    console.log(`SEED=${SEED} COUNT=${COUNT} bootloader-sim/test/images/esp-idf.test.ts`);
    const random = new Random(SEED);
    const reasons = new Set<string>();
    let acceptedCount = 0;
    const file = twoSegments();
    for (let index = 0; index < COUNT; index++) {
      const bytes = damage(random, file, [1, 23, 28, 30, 332, 334, 351]);
      const options = { hashRequired: random.below(2) === 0 };
      const result = readEspImage(surrounded(bytes, 0x00), nodeCrypto, options);
      const context = `SEED=${SEED} input ${index}: ${Buffer.from(bytes).toString('hex')}`;
      if (index % 8 === 0) {
        const other = readEspImage(surrounded(bytes, 0x69), nodeCrypto, options);
        expect(other, context).toEqual(result);
      }
      if (!result.ok) {
        reasons.add(result.reason.replace(/\d+/g, '#'));
        continue;
      }
      acceptedCount += 1;
      const { totalSize, segments, digest } = result.image;
      const isInside = totalSize <= bytes.length && segments.every(({ end }) => end < totalSize);
      if (!isInside || digest.length !== 32) throw new Error(context);
      // Where the digest counts, nothing before it differs.
      const isSame = Buffer.from(bytes.subarray(0, totalSize)).equals(file.subarray(0, totalSize));
      if (options.hashRequired && !isSame) throw new Error(context);
    }
    expect(reasons.size).toBeGreaterThan(9);
    expect(acceptedCount).toBeGreaterThan(COUNT / 1000);
  });
});

describe('options that cannot be', () => {
  const segment = { loadAddress: 0, data: new Uint8Array(4) };

  test.each<[Partial<CreateEspImageOptions>, string]>([
    [{ entryAddress: -1 }, 'entryAddress: expected 0-4294967295, got -1'],
    [{ chipId: 65536 }, 'chipId: expected 0-65535, got 65536'],
    [{ minChipRevision: 0.5 }, 'minChipRevision: expected 0-65535, got 0.5'],
    [{ maxChipRevision: 65536 }, 'maxChipRevision: expected 0-65535, got 65536'],
    [{ secureVersion: 2 ** 32 }, 'secureVersion: expected 0-4294967295, got 4294967296'],
    [{ version: 'v'.repeat(32) }, 'version: expected at most 31 characters, got 32'],
    [{ projectName: 'thermomètre' }, 'projectName: expected printable ASCII'],
    [{ date: 'two\nlines' }, 'date: expected printable ASCII'],
    [{ time: 't'.repeat(16) }, 'time: expected at most 15 characters, got 16'],
    [{ elfDigest: new Uint8Array(31) }, 'elfDigest: expected 32 bytes, got 31'],
    [{ segments: [] }, 'segments: expected 1-16, got 0'],
    [{ segments: Array(17).fill(segment) }, 'segments: expected 1-16, got 17'],
    [
      { segments: [{ loadAddress: 0, data: new Uint8Array(3) }] },
      'segments[0].data: expected a multiple of 4 bytes, got 3',
    ],
    [
      { segments: [segment, { loadAddress: 2 ** 32, data: new Uint8Array(4) }] },
      'segments[1].loadAddress: expected 0-4294967295, got 4294967296',
    ],
    [
      { segments: [{ loadAddress: 0, data: new Uint8Array(0x1000000 - 256) }] },
      'segments[0].data: 16776960 bytes are too many',
    ],
  ])('case %#', (wrong, message) => {
    expect(() => create(wrong)).toThrow(message);
    expect(() => create(wrong)).toThrow(RangeError);
  });

  test('are named all at once', () => {
    expect(() => create({ chipId: -1, secureVersion: -1 })).toThrow(
      'chipId: expected 0-65535, got -1; secureVersion: expected 0-4294967295, got -1',
    );
  });
});
