// Checks of sizes: what a fleet sends must fit into the buffer of its devices, or none of it would
// ever go out.

import { DEVICE_ID_LENGTH_MAX } from '@flotilla/sdk';
import { beginPack, writeSample, writeUncertainty } from '@flotilla/sdk/codec/senml';
import { BUFFER_SIZE_DEFAULT, PAYLOAD_SIZE_DEFAULT } from './file-schema.ts';
import { recordSize } from './message-size.ts';
import type { Mistake, Path } from './mistakes.ts';
import type { Value } from './tree.ts';
import { parseSize } from './units.ts';

type Members = { readonly [key: string]: Value };

const NOTHING = new Uint8Array(0);
/** A pack has this many records at most, its head's and the uncertainty's among them. */
const RECORD_COUNT_MAX = 23;
/** A window is told in five records, whose names are longer than the sensor's by this at most. */
const WINDOW_RECORDS = 5;
const WINDOW_SUFFIX = '/stddev';
/** Values that take the most bytes: a number with a fraction, a large sequence. */
const NUMBER = 0.1;
const TIME_S = 1767225600.1;
const SEQUENCE = 0x1_0000_0000;
/** A random uint32 to base 36. */
const STREAM = 'z'.repeat(7);

/** A fleet whose messages are larger than the buffer that it asks for. */
export function checkSizes(fleet: Members, sensors: readonly Members[], path: Path): Mistake[] {
  const { buffer, kind, payload } = fleet;
  const bufferSize = buffer === undefined ? undefined : parseSize(buffer);
  if (buffer !== undefined && bufferSize === undefined) return []; // As the schema says.
  if (kind === 'plain') {
    const payloadSize = payload === undefined ? PAYLOAD_SIZE_DEFAULT : parseSize(payload);
    // Absent, it is as large as need be.
    if (payloadSize === undefined || bufferSize === undefined) return [];
    return tooLarge(payloadSize, bufferSize, path);
  }
  return tooLarge(packSizeMax(sensors), bufferSize ?? BUFFER_SIZE_DEFAULT, path);
}

function tooLarge(size: number, bufferSize: number, path: Path): Mistake[] {
  const need = recordSize(size);
  if (need <= bufferSize) return [];
  const message = `holds no message of ${size} bytes: expected at least ${need}B`;
  return [{ path: [...path, 'buffer'], message }];
}

/** Bytes of the largest pack of these sensors. */
function packSizeMax(sensors: readonly Members[]): number {
  const sizes = sensors
    .flatMap(({ name, unit, window }) => {
      if (typeof name !== 'string') return [];
      const ofUnit = typeof unit === 'string' ? unit : undefined;
      if (window === undefined) return [writeSample(NOTHING, 0, name, ofUnit, NUMBER, 0)];
      const size = writeSample(NOTHING, 0, name + WINDOW_SUFFIX, ofUnit, NUMBER, 0);
      return Array.from({ length: WINDOW_RECORDS }, () => size);
    })
    .sort((left, right) => right - left);
  const id = 'x'.repeat(DEVICE_ID_LENGTH_MAX);
  let size = beginPack(NOTHING, 0, RECORD_COUNT_MAX, id, STREAM, TIME_S, SEQUENCE);
  size = writeUncertainty(NOTHING, size, NUMBER);
  for (const record of sizes.slice(0, RECORD_COUNT_MAX - 2)) size += record;
  return size;
}
