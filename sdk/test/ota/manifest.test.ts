// SUIT envelopes against those of ./suit-envelope.ts. Those that are signed with ES256 are in
// manifest-es256.test.ts: this file runs on XS too.

import { decode, Tag } from 'cbor-x';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nodeCrypto } from '../../ports/node/crypto.ts';
import {
  ENVELOPE_SIZE_MAX,
  ManifestFields,
  readManifest,
  type TrustedKey,
  type UpdateTarget,
} from '../../src/ota/manifest.ts';
import { ALTERNATIVE_COUNT_MAX, COMMAND_COUNT_MAX } from '../../src/ota/manifest-commands.ts';
import type { Crypto } from '../../src/platform.ts';
import {
  CLASS,
  cbor,
  DIGESTS,
  ed25519Signer,
  installOf,
  manifestOf,
  map,
  type Parts,
  SIZES,
  type Signer,
  seal,
  sha256,
  sharedOf,
  sign1,
  TARGET,
  TIME_S,
  URIS,
  VENDOR,
} from './suit-envelope.ts';

const signer = ed25519Signer(1);
const keys = [signer.trusted];
const GOOD = seal(manifestOf({ parameters: [[4, TIME_S + 100]], conditions: [4, 15] }), signer);

function read(
  envelope: Uint8Array,
  target: UpdateTarget = TARGET,
  trusted: readonly TrustedKey[] = keys,
  crypto: Crypto = nodeCrypto,
) {
  const fields = new ManifestFields();
  // Away from the start and the end of the source.
  const source = new Uint8Array(envelope.length + 5);
  source.set(envelope, 3);
  const code = readManifest(source, 3, 3 + envelope.length, trusted, target, crypto, fields);
  return { code, fields };
}

/** Takes any signature. */
const credulous: Crypto = { ...nodeCrypto, verify: () => true };
/** Its signatures are none: for what is judged after them. */
const forger: Signer = { ...signer, sign: () => new Uint8Array(64) };

function codeOf(parts: Parts, target: Partial<UpdateTarget> = {}): string | undefined {
  const envelope = seal(manifestOf(parts), forger);
  return read(envelope, { ...TARGET, ...target }, keys, credulous).code;
}

describe('a good envelope', () => {
  test.each([0, 1])('gives what it says for slot %i', (slot) => {
    const { code, fields } = read(GOOD, { ...TARGET, slot });
    expect(code).toBeUndefined();
    expect({ ...fields }).toEqual({
      sequence: 7,
      version: '2.0.0',
      digest: DIGESTS[slot],
      size: SIZES[slot],
      uri: URIS[slot],
      expiresS: TIME_S + 100,
      timeUnknown: false,
    });
  });

  test.each([-19, -8])('signed with COSE algorithm %i', (algorithm) => {
    const by = ed25519Signer(2, algorithm);
    const envelope = seal(manifestOf(), by);
    expect(read(envelope, TARGET, [by.trusted]).code).toBeUndefined();
    expect(read(envelope, TARGET, keys).code).toBe('wrong-signature');
    expect(read(envelope, TARGET, []).code).toBe('wrong-signature');
  });

  test('may invoke, and may leave validate out', () => {
    expect(codeOf({ invoke: [23, 2] })).toBeUndefined();
    const { 3: _, ...rest } = [...(decodeMembers(manifestOf()) as Iterable<[number, unknown]>)];
    expect(Object.values(rest)).toHaveLength(5);
    expect(codeOf({ members: Object.values(rest) as [number, unknown][] })).toBeUndefined();
  });

  test('says nothing of a refused one', () => {
    const { code, fields } = read(GOOD, { ...TARGET, slotSize: 1 });
    expect(code).toBe('too-large');
    expect({ ...fields }).toEqual({ ...new ManifestFields() });
  });
});

function decodeMembers(manifest: Uint8Array): Map<number, unknown> {
  const object = decode(manifest) as Record<string, unknown>;
  return new Map(Object.entries(object).map(([key, value]) => [Number(key), value]));
}

describe('authentication', () => {
  test('every truncation is truncated, every further byte malformed', () => {
    for (let size = 0; size < GOOD.length; size += 1) {
      expect(read(GOOD.slice(0, size)).code).toBe('truncated');
    }
    for (let byte = 0; byte < 256; byte += 1) {
      expect(read(Uint8Array.of(...GOOD, byte)).code).toBe('malformed');
    }
  });

  test('every other value of every byte is refused; of the signature every bit', () => {
    const signature = Buffer.from(GOOD).indexOf(Buffer.of(0xf6, 0x58, 0x40)) + 3;
    const accepted: string[] = [];
    const altered = GOOD.slice();
    GOOD.forEach((byte, at) => {
      const isSignature = at >= signature && at < signature + 64;
      for (let change = 1; change < 256; change += 1) {
        if (isSignature && (change & (change - 1)) !== 0) continue;
        altered[at] = byte ^ change;
        const fields = new ManifestFields();
        const { length } = altered;
        const code = readManifest(altered, 0, length, keys, TARGET, nodeCrypto, fields);
        if (code === undefined) accepted.push(`${at}: ${altered[at]}`);
      }
      altered[at] = byte;
    });
    expect(accepted).toEqual([]);
  });

  test('comes before anything of the manifest is read', () => {
    // Were it parsed first, this would be malformed.
    const other = ed25519Signer(2);
    expect(read(seal(Uint8Array.of(0xff), other)).code).toBe('wrong-signature');
    expect(read(seal(Uint8Array.of(0xff), signer)).code).toBe('malformed');
  });

  test('is of this manifest', () => {
    const digest = cbor([-16, sha256(cbor(manifestOf({ sequence: 8 })))]);
    const wrapper = cbor([digest, sign1(digest, signer)]);
    const swapped = cbor(new Tag(map([2, wrapper], [3, manifestOf()]), 107));
    expect(read(swapped).code).toBe('wrong-digest');
    // The digest without the head of the byte string.
    const bare = cbor([-16, sha256(manifestOf())]);
    const bareWrapper = cbor([bare, sign1(bare, signer)]);
    const headless = cbor(new Tag(map([2, bareWrapper], [3, manifestOf()]), 107));
    expect(read(headless).code).toBe('wrong-digest');
  });

  const manifest = manifestOf();
  const digest = cbor([-16, sha256(cbor(manifest))]);
  const block = sign1(digest, signer);
  const sealed = (wrapper: unknown, ...more: readonly (readonly [unknown, unknown])[]) =>
    cbor(new Tag(map([2, cbor(wrapper)], [3, manifest], ...more), 107));
  const sha384 = cbor([-43, sha256(cbor(manifest))]);
  const short = cbor([-16, sha256(cbor(manifest)).slice(1)]);

  test.each([
    ['as it should be', sealed([digest, block]), undefined],
    ['no wrapper', cbor(new Tag(map([3, manifest]), 107)), 'unsigned'],
    ['no block', sealed([digest]), 'unsigned'],
    ['two blocks', sealed([digest, block, block]), 'unsupported'],
    ['another digest', sealed([sha384, sign1(sha384, signer)]), 'unsupported'],
    ['a short digest', sealed([short, sign1(short, signer)]), 'malformed'],
    ['an integrated payload', sealed([digest, block], ['#a', manifest]), 'unsupported'],
    ['a severed member', sealed([digest, block], [20, manifest]), 'unsupported'],
    [
      'another tag',
      cbor(new Tag(map([2, cbor([digest, block])], [3, manifest]), 108)),
      'malformed',
    ],
    ['no tag', cbor(map([2, cbor([digest, block])], [3, manifest])), 'malformed'],
    ['members swapped', cbor(new Tag(map([3, manifest], [2, block]), 107)), 'unsigned'],
    ['nothing', new Uint8Array(0), 'truncated'],
    ['too much', new Uint8Array(ENVELOPE_SIZE_MAX + 1), 'too-long'],
  ])('%s', (_, envelope, code) => {
    expect(read(envelope).code).toBe(code);
  });
});

describe('conditions', () => {
  const other = new Uint8Array(16).fill(9);
  const use = { parameters: [[4, TIME_S]], conditions: [4, 15] } as const;
  const version = (comparison: number, ...parts: readonly number[]): Parts => ({
    parameters: [[28, cbor([comparison, parts])]],
    conditions: [28, 15],
  });

  test.each([
    ['another vendor', {}, { vendorId: other }, 'wrong-vendor'],
    ['another class', {}, { classId: other }, 'wrong-class'],
    ['an id of another size', {}, { classId: new Uint8Array(0) }, 'wrong-class'],
    ['a longer id', {}, { vendorId: Uint8Array.of(...VENDOR, 0) }, 'wrong-vendor'],
    ['no such slot', {}, { slot: 2 }, 'wrong-slot'],
    ['the stored sequence', {}, { sequence: 7 }, undefined],
    ['a lower sequence', {}, { sequence: 8 }, 'old-sequence'],
    ['the size of the slot', {}, { slotSize: SIZES[0] }, undefined],
    ['a smaller slot', {}, { slotSize: SIZES[0] - 1 }, 'too-large'],
    ['before its expiry', use, { timeS: TIME_S - 1 }, undefined],
    ['at its expiry', use, { timeS: TIME_S }, 'expired'],
    ['the version it needs', version(2, 1, 4, 2), {}, undefined],
    ['an older version', version(2, 1, 4, 3), {}, 'wrong-version'],
    ['a version of a build', version(3, 1, 4, 2), { version: '1.4.2+7' }, undefined],
    ['a version that is none', version(2, 0, 0, 0), { version: 'dev' }, 'wrong-version'],
    ['abort', { conditions: [14, 15] }, {}, 'aborted'],
    [
      'the first of two',
      { conditions: [14, 15, ...[4, 15]], parameters: use.parameters },
      {},
      'aborted',
    ],
  ] satisfies [string, Parts, Partial<UpdateTarget>, string | undefined][])(
    '%s',
    (_, parts, target, code) => {
      expect(codeOf(parts, target)).toBe(code);
    },
  );

  test('without a time the expiry is not checked, and that is said', () => {
    const { code, fields } = read(GOOD, { ...TARGET, timeS: 0 });
    expect([code, fields.timeUnknown, fields.expiresS]).toEqual([undefined, true, TIME_S + 100]);
    const without = read(seal(manifestOf(), signer), { ...TARGET, timeS: 0 });
    expect([without.code, without.fields.timeUnknown]).toEqual([undefined, false]);
  });

  test('versions compare as numbers', () => {
    const part = fc.nat({ max: 12 });
    const three = fc.tuple(part, part, part);
    fc.assert(
      fc.property(three, three, fc.integer({ min: 1, max: 5 }), (running, wanted, comparison) => {
        const order = running
          .map((value, index) => Math.sign(value - wanted[index]!))
          .find((sign) => sign !== 0);
        const sign = order ?? 0;
        const holds = [sign > 0, sign >= 0, sign === 0, sign <= 0, sign < 0][comparison - 1];
        const code = codeOf(version(comparison, ...wanted), { version: running.join('.') });
        expect(code).toBe(holds ? undefined : 'wrong-version');
      }),
      { numRuns: 300 },
    );
  });
});

const ordered = [...decodeMembers(manifestOf())];

describe('fails closed', () => {
  const dead = (commands: readonly unknown[]) => [15, [cbor([14, 15, ...commands]), cbor([])]];
  const skipped = (commands: readonly unknown[]) => [15, [cbor([]), cbor(commands)]];

  test('every command outside of the profile, wherever it stands', () => {
    const known = [1, 2, 3, 4, 5, 12, 14, 15, 20, 21, 23, 28];
    for (let code = -30; code < 300; code += 1) {
      if (known.includes(code)) continue;
      for (const argument of [15, 0, null, [], 'a']) {
        expect(codeOf({ conditions: [code, argument] })).toBe('unsupported');
      }
      expect(codeOf({ conditions: dead([code, 15]) })).toBe('unsupported');
      expect(codeOf({ conditions: skipped([code, 15]) })).toBe('unsupported');
      expect(codeOf({ install: [...installOf(), code, 15] })).toBe('unsupported');
      expect(codeOf({ validate: [code, 15] })).toBe('unsupported');
    }
  });

  test('every parameter outside of the profile', () => {
    const known = [1, 2, 3, 4, 5, 14, 28];
    for (let key = -10; key < 60; key += 1) {
      if (known.includes(key)) continue;
      const conditions = [20, map([key, 'a'])];
      expect(codeOf({ conditions })).toBe('unsupported');
      expect(codeOf({ conditions: dead(conditions) })).toBe('unsupported');
    }
    for (const key of [1, 2, 3, 4, 14, 28]) {
      expect(codeOf({ install: [20, map([key, 1]), ...installOf()] })).toBe('unsupported');
      expect(codeOf({ validate: [20, map([key, 1]), 3, 15] })).toBe('unsupported');
    }
  });

  /** [20, {14: 1, 14: 1}] */
  const TWICE = Uint8Array.of(0x82, 20, 0xa2, 14, 1, 14, 1);
  const BARE = map([1, VENDOR], [2, CLASS], [14, 5]);
  const SWAPPED = [...ordered.slice(0, -2), ...ordered.slice(-2).reverse()];

  const without = (code: number) => {
    const shared = sharedOf({});
    shared.splice(shared.indexOf(code, 4), 2);
    return { shared };
  };
  const many = (count: number) => Array.from({ length: count }, () => [5, 15]).flat();
  const alternatives = (count: number) => [15, Array.from({ length: count }, () => cbor([]))];

  test.each([
    ['no condition on the vendor', without(1), 'unsupported'],
    ['no condition on the class', without(2), 'unsupported'],
    ['a condition without its parameter', { conditions: [4, 15] }, 'unsupported'],
    ['a version condition without one', { conditions: [28, 15] }, 'unsupported'],
    ['a slot condition without one', { shared: [5, 15, ...sharedOf({})] }, 'unsupported'],
    ['no fetch', { install: [3, 15] }, 'unsupported'],
    ['nothing to match', { install: installOf().slice(0, 4) }, 'unsupported'],
    [
      'matched before it is fetched',
      { install: [3, 15, ...installOf().slice(0, 4)] },
      'unsupported',
    ],
    ['fetched twice', { install: [...installOf(), 21, 2] }, 'unsupported'],
    ['fetched from nowhere', { install: [21, 2, 3, 15] }, 'unsupported'],
    ['a fetch in the shared sequence', { conditions: [21, 2] }, 'unsupported'],
    ['a fetch there that is not run', { conditions: skipped([21, 2]) }, 'unsupported'],
    ['no digest', { shared: [20, BARE, 1, 15, 2, 15], validate: [12, 0] }, 'unsupported'],
    ['an invoke in the install sequence', { install: [...installOf(), 23, 2] }, 'unsupported'],
    ['a match in the shared sequence', { conditions: [3, 15] }, 'unsupported'],
    ['another component', { conditions: [12, 1] }, 'unsupported'],
    ['all components', { conditions: [12, true] }, 'malformed'],
    ['component 0', { conditions: [12, 0] }, undefined],
    ['two components', { components: [[Uint8Array.of(0)], [Uint8Array.of(1)]] }, 'unsupported'],
    ['an unknown component', { components: [[Uint8Array.of(1)]] }, 'unsupported'],
    ['try-each within try-each', { conditions: [15, [cbor([15, [cbor([])]])]] }, 'unsupported'],
    ['a try-each of nothing', { conditions: [15, []] }, 'malformed'],
    ['most alternatives', { conditions: alternatives(ALTERNATIVE_COUNT_MAX) }, undefined],
    ['too many', { conditions: alternatives(ALTERNATIVE_COUNT_MAX + 1) }, 'unsupported'],
    ['most commands', { conditions: many(COMMAND_COUNT_MAX - 4) }, undefined],
    ['one more', { conditions: many(COMMAND_COUNT_MAX - 3) }, 'unsupported'],
    ['a command without its argument', { conditions: [14] }, 'malformed'],
    [
      'an argument after its array',
      { conditions: [15, [Uint8Array.of(0x81, 14, 15)]] },
      'malformed',
    ],
    ['an expiry of 0', { parameters: [[4, 0]], conditions: [4, 15] }, 'unsupported'],
    ['a number of ten digits', { version: '1234567890.0.0' }, 'malformed'],
    ['a reporting policy of five bits', { conditions: [14, 16] }, 'unsupported'],
    ['a parameter twice', { conditions: [15, [TWICE]] }, 'unsupported'],
    ['parameters in disorder', { conditions: [20, map([14, 5], [5, 0])] }, 'unsupported'],
    ['parameters in order', { conditions: [20, map([5, 0], [14, 5])] }, undefined],
    ['text before install', { members: SWAPPED }, 'malformed'],
    ['a class of 15 bytes', { conditions: [20, map([2, CLASS.slice(1)])] }, 'malformed'],
    [
      'another digest algorithm',
      { conditions: [20, map([3, cbor([-43, VENDOR])])] },
      'unsupported',
    ],
    ['a size of 0', { conditions: [20, map([14, 0])] }, 'malformed'],
    ['a size of 33 bits', { conditions: [20, map([14, 2n ** 32n])] }, 'unsupported'],
    [
      'a comparison that is none',
      { conditions: [20, map([28, cbor([6, [1, 0, 0]])])] },
      'unsupported',
    ],
    ['a version of two numbers', { conditions: [20, map([28, cbor([2, [1, 0]])])] }, 'unsupported'],
    ['a pre-release', { conditions: [20, map([28, cbor([2, [1, 0, -1]])])] }, 'unsupported'],
    ['a sequence of 33 bits', { sequence: 2n ** 32n }, 'unsupported'],
    ['a negative sequence', { sequence: -1 }, 'malformed'],
    ['a sequence that is text', { sequence: '7' }, 'malformed'],
    ['a version that is none', { version: '2.0' }, 'malformed'],
    ['a leading zero', { version: '2.00.0' }, 'malformed'],
    ['a build', { version: '2.0.0+1' }, 'malformed'],
    ['a long URI', { install: [20, map([21, 'a'.repeat(129)]), 21, 2, 3, 15] }, 'unsupported'],
    ['an empty URI', { install: [20, map([21, '']), 21, 2, 3, 15] }, 'unsupported'],
    ['two languages', { text: map(['en', map()], ['de', map()]) }, 'unsupported'],
    ['manifest version 2', { members: [[1, 2]] }, 'unsupported'],
    [
      'an unknown member',
      {
        members: [
          [1, 1],
          [2, 7],
          [5, 'reference'],
        ],
      },
      'unsupported',
    ],
    ['no members', { members: [] }, 'malformed'],
    [
      'members in disorder',
      {
        members: [
          [2, 7],
          [1, 1],
        ],
      },
      'malformed',
    ],
  ] satisfies [string, Parts, string | undefined][])('%s', (_, parts, code) => {
    expect(codeOf(parts)).toBe(code);
  });
});

describe('hostile manifests that are signed', () => {
  const manifest = manifestOf({ parameters: [[4, TIME_S + 1]], conditions: [4, 15] });
  const outcome = (bytes: Uint8Array) => read(seal(bytes, forger), TARGET, keys, credulous);

  test('every byte altered, every truncation: a code, or a result within its bounds', () => {
    for (let at = 0; at < manifest.length; at += 1) {
      expect(outcome(manifest.slice(0, at)).code).toBeTypeOf('string');
      for (const change of [0x01, 0x20, 0x40, 0x80, 0xff]) {
        const altered = manifest.slice();
        altered[at]! ^= change;
        const { code, fields } = outcome(altered);
        if (code !== undefined) continue;
        expect(fields.size).toBeGreaterThan(0);
        expect(fields.size).toBeLessThanOrEqual(TARGET.slotSize);
        expect(fields.version).toMatch(/^\d+\.\d+\.\d+$/);
      }
    }
  });

  test('longer heads and indefinite lengths are refused', () => {
    // Each head of one byte in its next longer form, with the lengths around it left as they are.
    const long = Uint8Array.of(0xb8, manifest[0]! & 31, ...manifest.slice(1));
    expect(outcome(long).code).toBe('malformed');
    expect(outcome(Uint8Array.of(0xbf, ...manifest.slice(1), 0xff)).code).toBe('malformed');
    const version = Uint8Array.of(manifest[0]!, 0x01, 0x18, 0x01, ...manifest.slice(3));
    expect(outcome(version).code).toBe('malformed');
  });

  test('strings in chunks are refused', () => {
    const uri = cbor('a0.bin');
    const install = (...text: readonly number[]) => {
      const alternative = Uint8Array.of(0x82, 20, 0xa1, 21, ...text);
      return outcome(manifestOf({ install: [15, [alternative], 21, 2, 3, 15] })).code;
    };
    expect(install(...uri)).toBeUndefined();
    expect(install(0x7f, ...uri, 0xff)).toBe('malformed');
  });

  const more = (bytes: Uint8Array) => Uint8Array.of(...bytes, 0);
  const digest = cbor([-16, DIGESTS[0]]);
  const members = (key: number, change: (bytes: Uint8Array) => Uint8Array) =>
    [...decodeMembers(manifestOf())].map(
      ([name, value]) => [name, name === key ? change(value as Uint8Array) : value] as const,
    );

  test.each([
    ['common', { members: members(3, more) }],
    ['validate', { members: members(7, more) }],
    ['install', { members: members(20, more) }],
    ['text', { members: members(23, more) }],
    ['the manifest', undefined],
    ['a digest', { conditions: [20, map([3, more(digest)])] }],
    ['a version', { conditions: [20, map([28, more(cbor([2, [1, 0, 0]]))])] }],
    ['an alternative', { conditions: [15, [more(cbor([]))]] }],
  ] satisfies [string, Parts | undefined][])('bytes after %s are refused', (_, parts) => {
    const bytes = parts === undefined ? more(manifestOf()) : manifestOf(parts);
    expect(outcome(bytes).code).toBe('malformed');
  });

  test('a member may not begin within another', () => {
    const [, , common, validate, install, text] = ordered.map(([name, value]) =>
      Uint8Array.of(...cbor(name), ...cbor(value)),
    ) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array];
    const content = decodeMembers(manifestOf()).get(3) as Uint8Array;
    const both = cbor(Uint8Array.of(...content, ...validate));
    const head = [0xa6, 1, 1, 2, 7];
    const plain = Uint8Array.of(...head, ...common, ...validate, ...install, ...text);
    expect(plain).toEqual(manifestOf());
    const within = Uint8Array.of(...head, 3, ...both, ...install, ...text);
    expect(outcome(within).code).toBe('malformed');
  });

  test('any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(outcome(bytes).code).toBeTypeOf('string');
        expect(read(bytes, TARGET, keys, credulous).code).toBeTypeOf('string');
      }),
      { numRuns: 500 },
    );
  });
});
