import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { verifyImage } from '../../src/images/mcuboot.ts';
import { type CreateImageOptions, createImage } from '../../src/images/mcuboot-write.ts';
import { nodeCrypto } from '../../src/node-crypto.ts';
import { KEY, PUBLIC_KEY, readVector, VECTORS } from './vectors.ts';

const VERSION = { major: 1, minor: 0, revision: 0, build: 0 };
const PLAIN: CreateImageOptions = {
  payload: Uint8Array.of(1, 2, 3),
  version: VERSION,
  digest: 'sha256',
};

function create(options: CreateImageOptions): Uint8Array {
  return createImage(options, PUBLIC_KEY, nodeCrypto, KEY.sign);
}

const version = fc.record({
  major: fc.nat(0xff),
  minor: fc.nat(0xff),
  revision: fc.nat(0xffff),
  build: fc.nat(0xffffffff),
});

const u32 = fc.nat(0xffffffff);

/** Any image that can be made, without padding. */
const options: fc.Arbitrary<CreateImageOptions> = fc
  .record(
    {
      payload: fc.uint8Array({ minLength: 1, maxLength: 300 }),
      version,
      digest: fc.constantFrom('sha256' as const, 'sha512' as const),
      headerSize: fc.integer({ min: 32, max: 600 }),
      securityCounter: u32,
      dependencies: fc.array(fc.record({ imageId: fc.nat(0xff), version }), { maxLength: 4 }),
      loadAddress: u32,
      pure: fc.boolean(),
    },
    { requiredKeys: ['payload', 'version', 'digest'] },
  )
  .map((made) => ({ ...made, ...(made.pure ? { digest: 'sha512' as const } : {}) }));

describe('images written here', () => {
  test.each(Object.entries(VECTORS))('%s has the bytes that imgtool wrote', (name, made) => {
    expect(Buffer.from(create(made)).equals(readVector(name))).toBe(true);
  });

  test('read back as what they were made of', () => {
    fc.assert(
      fc.property(options, (made) => {
        const bytes = create(made);
        const result = verifyImage(bytes, [PUBLIC_KEY], nodeCrypto);
        if (!result.ok) throw new Error(result.reason);
        const { headerSize = 32, securityCounter = 0, dependencies = [], loadAddress = 0 } = made;
        expect(result.image).toMatchObject({
          version: made.version,
          headerSize,
          imageSize: made.payload.length,
          securityCounter,
          dependencies,
          loadAddress,
          flags: loadAddress === 0 ? 0 : 0x20,
          digestAlgorithm: made.digest,
          pure: made.pure ?? false,
          ignored: [],
          totalSize: bytes.length,
        });
        const { payloadStart, payloadEnd } = result.image;
        expect(bytes.slice(payloadStart, payloadEnd)).toEqual(made.payload);
      }),
      { numRuns: 300 },
    );
  });

  test('fill their slot up, in which the image is the same', () => {
    const room = create(PLAIN).length + 32;
    const padded = create({ ...PLAIN, padTo: room });
    expect(padded).toHaveLength(room);
    expect(padded.subarray(0, room - 32)).toEqual(create(PLAIN));
    expect(() => create({ ...PLAIN, padTo: room - 1 })).toThrow(
      `padTo: ${room - 32} bytes and a trailer of 32 do not fit into ${room - 1}`,
    );
  });
});

describe('options that cannot be', () => {
  const ROOM = Math.floor((0xffff - 4) / 16);
  const dependency = { imageId: 0, version: VERSION };

  test.each<[Partial<CreateImageOptions>, string]>([
    [{ payload: new Uint8Array() }, 'payload.length: expected 1-4294967295, got 0'],
    [{ headerSize: 31 }, 'headerSize: expected 32-65535, got 31'],
    [{ headerSize: 65536 }, 'headerSize: expected 32-65535, got 65536'],
    [{ headerSize: 32.5 }, 'headerSize: expected 32-65535, got 32.5'],
    [{ securityCounter: -1 }, 'securityCounter: expected 0-4294967295, got -1'],
    [{ securityCounter: Number.NaN }, 'securityCounter: expected 0-4294967295, got NaN'],
    [{ loadAddress: 2 ** 32 }, 'loadAddress: expected 0-4294967295, got 4294967296'],
    [{ version: { ...VERSION, minor: 256 } }, 'version.minor: expected 0-255, got 256'],
    [
      { dependencies: [{ ...dependency, imageId: 256 }] },
      'dependencies[0].imageId: expected 0-255',
    ],
    [
      { dependencies: [{ imageId: 0, version: { ...VERSION, build: 2 ** 32 } }] },
      'dependencies[0].version.build: expected 0-4294967295, got 4294967296',
    ],
    [{ dependencies: Array(ROOM + 1).fill(dependency) }, 'protected TLVs: expected 0-65535, got'],
    [{ pure: true }, 'pure: needs digest sha512'],
    [{ confirmed: true }, 'confirmed: needs padTo'],
  ])('case %#', (wrong, message) => {
    expect(() => create({ ...PLAIN, ...wrong })).toThrow(message);
    expect(() => create({ ...PLAIN, ...wrong })).toThrow(RangeError);
  });

  test('are named all at once', () => {
    const wrong = { ...PLAIN, headerSize: 0, loadAddress: -1 };
    expect(() => create(wrong)).toThrow(
      'headerSize: expected 32-65535, got 0; loadAddress: expected 0-4294967295, got -1',
    );
  });

  test('as many dependencies as there is room for', () => {
    const made = create({ ...PLAIN, dependencies: Array(ROOM).fill(dependency) });
    const result = verifyImage(made, [PUBLIC_KEY], nodeCrypto);
    expect(result.ok && result.image.dependencies).toHaveLength(ROOM);
  });

  test('a key or a signature of another size', () => {
    const { sign } = KEY;
    expect(() => createImage(PLAIN, PUBLIC_KEY.subarray(1), nodeCrypto, sign)).toThrow('31');
    expect(() => createImage(PLAIN, PUBLIC_KEY, nodeCrypto, () => new Uint8Array(70))).toThrow(
      'sign: expected 64 bytes, got 70',
    );
  });
});

describe('imgtool, where it is installed', () => {
  const keyFile = fileURLToPath(new URL('../vectors/mcuboot/pub.pem', import.meta.url));

  test('accepts images written here, and refuses them damaged', () => {
    if (spawnSync('imgtool', ['version']).status !== 0) {
      // Nothing is left untested: the vectors' bytes are imgtool's own. CI has no Python packages.
      console.log('skipped: needs imgtool (pip install imgtool)');
      return;
    }
    const folder = mkdtempSync(join(tmpdir(), 'flotilla-imgtool-'));
    const file = join(folder, 'image.bin');
    const judge = (bytes: Uint8Array): string => {
      writeFileSync(file, bytes);
      return spawnSync('imgtool', ['verify', '-k', keyFile, file], { encoding: 'utf8' }).stdout;
    };
    try {
      for (const made of fc.sample(options, 8)) {
        const bytes = create(made);
        const { major, minor, revision, build } = made.version;
        const said = judge(bytes);
        expect(said).toContain('Image was correctly validated');
        expect(said).toContain(`Image version: ${major}.${minor}.${revision}+${build}`);
        bytes[made.headerSize ?? 32]! ^= 1;
        expect(judge(bytes)).not.toContain('correctly validated');
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
