import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Pack, type PackError, readPack, readPackHead } from '../../src/codec/senml-pack.ts';
import { fromHex, POISON_START, poisoned, toHex, written } from './bytes.ts';
import { anyPack, type PackContent, writePack } from './packs.ts';

/** What a pack must say, once it is read. */
interface PackView {
  deviceId: string;
  stream: string;
  sequence: number;
  baseTimeS: number;
  uncertaintyS: number;
  samples: unknown[];
}

function viewOf(content: PackContent): PackView {
  const { deviceId, stream, sequence, baseTimeS, uncertaintyS, samples } = content;
  return {
    deviceId,
    stream,
    sequence,
    baseTimeS,
    uncertaintyS: uncertaintyS ?? NaN,
    samples: samples.map(({ name, unit, value, timeOffsetS }) => ({
      name,
      unit: unit ?? '',
      value,
      timeS: baseTimeS + timeOffsetS,
    })),
  };
}

function view(pack: Pack): PackView {
  const samples: unknown[] = [];
  while (pack.nextSample()) {
    const { name, unit, value, timeS } = pack;
    samples.push({ name, unit, value, timeS });
  }
  expect(samples).toHaveLength(pack.sampleCount);
  expect(pack.nextSample()).toBe(false);
  expect(pack.error).toBe(undefined);
  const { sequence, baseTimeS, uncertaintyS } = pack;
  const [deviceId, stream] = [pack.deviceId(), pack.stream()];
  return { deviceId, stream, sequence, baseTimeS, uncertaintyS, samples };
}

const pack = new Pack();

function read(bytes: Uint8Array): boolean {
  return readPack(poisoned(bytes, 0), POISON_START, POISON_START + bytes.length, pack);
}

function encode(content: PackContent): Uint8Array {
  return written((target, offset) => writePack(target, offset, content));
}

/** A sample that a reader could take for the record of the uncertainty. */
function isAmbiguous({ uncertaintyS, samples }: PackContent): boolean {
  const [first] = samples;
  return uncertaintyS === undefined && first?.name === 'uncertainty' && first.unit === 's';
}

describe('round trips', () => {
  test('of whole packs', () => {
    fc.assert(
      fc.property(anyPack, (content) => {
        fc.pre(!isAmbiguous(content));
        expect(read(encode(content))).toBe(true);
        expect(view(pack)).toEqual(viewOf(content));
      }),
      { numRuns: 300 },
    );
  });

  test('of heads, with ranges', () => {
    const head = new Pack();
    fc.assert(
      fc.property(anyPack, (content) => {
        const bytes = encode(content);
        expect(readPackHead(bytes, 0, bytes.length, head)).toBe(true);
        expect(head.sequence).toBe(content.sequence);
        expect(head.baseTimeS).toBe(content.baseTimeS);
        const { deviceIdStart, deviceIdEnd, streamStart, streamEnd } = head;
        const text = (start: number, end: number) => Buffer.from(bytes.subarray(start, end));
        expect(text(deviceIdStart, deviceIdEnd).toString()).toBe(content.deviceId);
        expect(text(streamStart, streamEnd).toString()).toBe(content.stream);
      }),
    );
  });

  test('the uncertainty is the second record, with its unit, and nothing else', () => {
    const content: PackContent = {
      deviceId: 'd',
      stream: '',
      baseTimeS: 0,
      sequence: 0,
      uncertaintyS: 0,
      samples: [{ name: 'uncertainty', unit: 's', value: 3, timeOffsetS: 0 }],
    };
    expect(read(encode(content))).toBe(true);
    expect(view(pack)).toEqual(viewOf(content));
    for (const sample of [
      { name: 'uncertainty', unit: 'm', value: 3, timeOffsetS: 0 },
      { name: 'uncertainty', unit: 's', value: '3', timeOffsetS: 0 },
      { name: 'uncertainties', unit: 's', value: 3, timeOffsetS: 0 },
    ]) {
      const other = { ...content, uncertaintyS: undefined, samples: [sample] };
      expect(read(encode(other))).toBe(true);
      expect(view(pack)).toEqual(viewOf(other));
    }
  });
});

/** Encodes as another sender may: any key order, long heads, indefinite lengths, chunks. */
class LooseWriter {
  hex = '';
  private readonly choices: readonly number[];
  private choiceCount = 0;

  constructor(choices: readonly number[]) {
    this.choices = choices;
  }

  choose(bound: number): number {
    this.choiceCount += 1;
    return (this.choices[this.choiceCount % this.choices.length] as number) % bound;
  }

  head(major: number, argument: number): void {
    const size = [0, 1, 2, 4, 8].filter((bytes) => fits(argument, bytes));
    const bytes = size[this.choose(size.length)] as number;
    const info = bytes === 0 ? argument : 24 + Math.log2(bytes);
    this.hex += ((major << 5) | info).toString(16).padStart(2, '0');
    if (bytes > 0) this.hex += argument.toString(16).padStart(2 * bytes, '0');
  }

  integer(value: number): void {
    if (value < 0) this.head(1, -1 - value);
    else this.head(0, value);
  }

  number(value: number): void {
    if (Number.isSafeInteger(value) && !Object.is(value, -0) && this.choose(2) === 0) {
      this.integer(value);
      return;
    }
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleBE(value);
    this.hex += `fb${toHex(bytes)}`;
  }

  text(text: string): void {
    const isChunked = this.choose(3) === 0;
    if (isChunked) this.hex += '7f';
    const characters = Array.from(text);
    do {
      const count = isChunked ? this.choose(5) : characters.length;
      const bytes = Buffer.from(characters.splice(0, count).join(''));
      this.head(3, bytes.length);
      this.hex += toHex(bytes);
    } while (characters.length > 0);
    if (isChunked) this.hex += 'ff';
  }

  /** An array (4) or map (5) of `count` members, each a function that writes it. */
  container(major: number, members: (() => void)[]): void {
    const isIndefinite = this.choose(3) === 0;
    if (isIndefinite) this.hex += major === 4 ? '9f' : 'bf';
    else this.head(major, members.length);
    for (const member of members) member();
    if (isIndefinite) this.hex += 'ff';
  }

  /** Fields by label, in an order of its own, with one that nobody knows. */
  record(fields: [number, number | string | boolean][]): void {
    const known = fields.map(([label, value]) => () => {
      this.integer(label);
      if (typeof value === 'boolean') this.hex += value ? 'f5' : 'f4';
      else if (typeof value === 'string') this.text(value);
      else this.number(value);
    });
    const unknown = () => {
      this.text('unknown');
      this.container(4, [() => this.integer(1), () => this.text('é')]);
    };
    const members = this.choose(4) === 0 ? [...known, unknown] : known;
    for (let index = members.length - 1; index > 0; index -= 1) {
      const other = this.choose(index + 1);
      const member = members[index] as () => void;
      members[index] = members[other] as () => void;
      members[other] = member;
    }
    this.container(5, members);
  }
}

function fits(argument: number, bytes: number): boolean {
  return bytes === 0 ? argument < 24 : argument < 256 ** bytes;
}

function writeLoosely(content: PackContent, choices: readonly number[]): Uint8Array {
  const writer = new LooseWriter(choices);
  const { deviceId, stream, baseTimeS, sequence, uncertaintyS, samples } = content;
  const baseName = stream === '' ? `${deviceId}:` : `${deviceId}/${stream}:`;
  const records: (() => void)[] = [
    () =>
      writer.record([
        [0, 'seq'],
        [2, sequence],
        [-2, baseName],
        [-3, baseTimeS],
      ]),
  ];
  if (uncertaintyS !== undefined) {
    records.push(() =>
      writer.record([
        [0, 'uncertainty'],
        [1, 's'],
        [2, uncertaintyS],
      ]),
    );
  }
  for (const { name, unit, value, timeOffsetS } of samples) {
    const label = typeof value === 'number' ? 2 : typeof value === 'string' ? 3 : 4;
    const fields: [number, number | string | boolean][] = [
      [0, name],
      [label, value],
      [6, timeOffsetS],
    ];
    if (unit !== undefined) fields.push([1, unit]);
    records.push(() => writer.record(fields));
  }
  writer.container(4, records);
  return fromHex(writer.hex);
}

test('every valid form of a pack says the same', () => {
  const choices = fc.array(fc.nat(), { minLength: 50, maxLength: 200 });
  fc.assert(
    fc.property(anyPack, choices, (content, picks) => {
      fc.pre(!isAmbiguous(content));
      const bytes = writeLoosely(content, picks);
      expect(read(bytes), `${pack.error} at ${pack.errorOffset - POISON_START}`).toBe(true);
      expect(view(pack)).toEqual(viewOf(content));
      expect(readPackHead(bytes, 0, bytes.length, pack)).toBe(true);
      expect(pack.sequence).toBe(content.sequence);
      expect([pack.deviceId(), pack.stream()]).toEqual([content.deviceId, content.stream]);
    }),
    { numRuns: 500 },
  );
});

describe('damage', () => {
  const content: PackContent = {
    deviceId: 'dev-7',
    stream: 's1',
    baseTimeS: 1767225600.5,
    sequence: 300,
    uncertaintyS: 2.5,
    samples: [
      { name: 'temperature', unit: 'Cel', value: 21.37, timeOffsetS: -0.5 },
      { name: 'door', unit: undefined, value: true, timeOffsetS: 0 },
    ],
  };
  const bytes = encode(content);

  test('every truncation', () => {
    const headEnd = encode({ ...content, uncertaintyS: undefined, samples: [] }).length;
    for (let size = 0; size < bytes.length; size += 1) {
      expect(read(bytes.slice(0, size))).toBe(false);
      expect(pack.error).toBe('truncated');
      expect(readPackHead(bytes, 0, size, pack)).toBe(size >= headEnd);
      expect(pack.error).toBe(size >= headEnd ? undefined : 'truncated');
    }
  });

  test('every changed byte is refused, or is another pack; none reads past the end', () => {
    let acceptedCount = 0;
    for (let index = 0; index < bytes.length; index += 1) {
      for (let value = 0; value < 256; value += 1) {
        const changed = bytes.slice();
        changed[index] = value;
        const outcomes = [0x00, 0xff].map((poison) => {
          const source = poisoned(changed, poison);
          const isRead = readPack(source, POISON_START, POISON_START + changed.length, pack);
          return isRead ? JSON.stringify(view(pack)) : `${pack.error} ${pack.errorOffset}`;
        });
        expect(outcomes[0]).toBe(outcomes[1]);
        if (pack.error === undefined) acceptedCount += 1;
        else expect(pack.errorOffset).toBeGreaterThanOrEqual(POISON_START);
      }
    }
    expect(acceptedCount).toBeGreaterThan(bytes.length);
  });

  test('a pack reads right after one that did not', () => {
    expect(read(fromHex('80'))).toBe(false);
    expect(read(bytes)).toBe(true);
    expect(view(pack)).toEqual(viewOf(content));
  });
});

describe('errors', () => {
  const sample = 'a2 006178 0201';
  const table: [string, string, PackError, number][] = [
    ['no record', '80', 'no-sequence', 1],
    ['another first record', `81 a3 006178 0201 2162643a`, 'no-sequence', 1],
    ['a sequence below 0', '81 a3 0063736571 0220 2162643a', 'no-sequence', 1],
    ['a sequence between integers', '81 a3 0063736571 02f93e00 2162643a', 'no-sequence', 1],
    ['a sequence beyond 2^53', '81 a3 0063736571 02fa5a000000 2162643a', 'no-sequence', 1],
    ['a sequence that is text', '81 a3 0063736571 036131 2162643a', 'no-sequence', 1],
    ['no base name', '81 a2 0063736571 0201', 'bad-base-name', 1],
    ['a base name without a colon', '81 a3 0063736571 0201 216164', 'bad-base-name', 1],
    ['such a one in chunks', '81 a3 0063736571 0201 217f6164ff', 'bad-base-name', 1],
    ['a base name without a device', '81 a3 0063736571 0201 21613a', 'bad-name', 10],
    [
      'another base name',
      `82 a3 0063736571 0201 2162643a a3 006178 0201 2161 62`,
      'several-base-names',
      20,
    ],
    ['a bad sample', `82 a3 0063736571 0201 2162643a a1 006178`, 'no-value', 13],
    ['bytes after it', `82 a3 0063736571 0201 2162643a ${sample} 00`, 'trailing-bytes', 19],
    ['a head that is malformed', '81 a3 0063736571 021c', 'reserved-additional-information', 8],
  ];
  for (const [name, hex, error, offset] of table) {
    test(name, () => {
      expect(read(fromHex(hex))).toBe(false);
      expect([pack.error, pack.errorOffset - POISON_START]).toEqual([error, offset]);
    });
  }

  test('a sequence may come as a float, or as base and value', () => {
    for (const value of ['02fb4072c00000000000', '0219012b 2401', '02 20 24 19012d']) {
      const count = value.includes(' 24') || value.includes('2401') ? 'a4' : 'a3';
      expect(read(fromHex(`81 ${count} 0063736571 ${value} 2162643a`)), value).toBe(true);
      expect(pack.sequence).toBe(300);
    }
  });

  test('records without a value are no samples', () => {
    const hex = `84 a3 0063736571 0201 2162643a a1 2205 a2 006179 0507 ${sample}`;
    expect(read(fromHex(hex))).toBe(true);
    expect(view(pack).samples).toEqual([{ name: 'x', unit: '', value: 1, timeS: 5 }]);
    expect(pack.baseTimeS).toBe(0);
  });

  test('a base name in chunks has no ranges', () => {
    expect(read(fromHex('81 a3 0063736571 0201 217f 6164 63 2f733a ff'))).toBe(true);
    const { deviceIdStart, deviceIdEnd, streamStart, streamEnd } = pack;
    expect([deviceIdStart, deviceIdEnd, streamStart, streamEnd]).toEqual([-1, -1, -1, -1]);
    expect([pack.deviceId(), pack.stream()]).toEqual(['d', 's']);
  });

  test('data comes as a copy', () => {
    const bytes = fromHex('82 a3 0063736571 0201 2162643a a2 006178 08420102');
    expect(readPack(bytes, 0, bytes.length, pack) && pack.nextSample()).toBe(true);
    bytes.fill(0);
    expect(pack.value).toEqual(Uint8Array.of(1, 2));
  });
});
