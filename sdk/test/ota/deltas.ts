// Delta files for tests, of the layout in ota-server/src/releases/delta.ts.

import { constants, deflateRawSync } from 'node:zlib';
import { image, sha256 } from '../support/update-scene.ts';
import type { TestImage } from '../support/virtual-firmware.ts';

const CHUNK = 4096;

/** A delta of the simplest kind: copies what is the same at the same place, inserts the rest. */
export function simpleDelta(base: TestImage, target: TestImage): Uint8Array {
  const count = Math.ceil(target.bytes.length / CHUNK);
  const table = Buffer.alloc(count * 8);
  const parts: Buffer[] = [];
  let offset = 0;
  let old = 0;
  for (let index = 0; index < count; index += 1) {
    table.writeUInt32LE(offset, index * 8);
    table.writeUInt32LE(old, index * 8 + 4);
    const end = Math.min((index + 1) * CHUNK, target.bytes.length);
    const records: number[] = [];
    const head = (kind: number, n: number) => {
      let value = n * 4 + kind;
      for (; value > 127; value = Math.floor(value / 128)) records.push((value & 127) | 128);
      records.push(value);
    };
    for (let at = index * CHUNK; at < end; ) {
      let size = 0;
      const isSame = (place: number) => base.bytes[place] === target.bytes[place];
      const copies = isSame(at);
      while (at + size < end && isSame(at + size) === copies) size += 1;
      if (copies) {
        if (old !== at) {
          head(3, old < at ? 2 * (at - old) : 2 * (old - at) - 1);
          old = at;
        }
        head(0, size - 1);
        old += size;
      } else {
        head(2, size - 1);
        records.push(...target.bytes.subarray(at, at + size));
      }
      at += size;
    }
    const isLast = index === count - 1;
    const part = deflateRawSync(Uint8Array.from(records), {
      windowBits: 10,
      finishFlush: isLast ? constants.Z_FINISH : constants.Z_FULL_FLUSH,
    });
    parts.push(part);
    offset += part.length;
  }
  const header = Buffer.alloc(48);
  header.write('FDL1');
  header.writeUInt32LE(target.bytes.length, 4);
  header.writeUInt32LE(base.bytes.length, 8);
  header.set(sha256(base.bytes), 12);
  header.writeUInt32LE(count, 44);
  return new Uint8Array(Buffer.concat([header, table, ...parts]));
}

/** The base with a third of its bytes changed, in runs. */
export function similar(base: TestImage, version: string): TestImage {
  const other = image(version, base.bytes.length, 9).bytes;
  const bytes = base.bytes.map((byte, at) => (at % 600 < 200 ? (other[at] as number) : byte));
  return { version, bytes };
}
