// A rollout as bytes, and back: a restart changes nothing. A JSON head, then a fixed-size record per
// device. Counts are not saved: they are what the records say.

import { DEVICE_STATUS } from './model.ts';
import { count, createState, type RolloutHead, type RolloutState } from './state.ts';

/** Raised when the layout changes. */
const FORMAT = 1;
/** status, attempt, used, class: 1 each; position 4; dueMs 8; confirmedMs 8; little endian. */
const RECORD_SIZE = 24;
/** Of the field that says how long the head is: u32, little endian. */
const LENGTH_SIZE = 4;

/** All of the state. */
export function save(state: RolloutState): Uint8Array {
  const { columns } = state;
  // JSON leaves out what is undefined: null keeps the place, so equal states are equal bytes.
  const rollbackRelease = state.head.rollbackRelease ?? null;
  const saved = { format: FORMAT, ...state.head, rollbackRelease };
  const head = new TextEncoder().encode(JSON.stringify(saved));
  const recordsAt = LENGTH_SIZE + head.length;
  const bytes = new Uint8Array(recordsAt + state.head.deviceCount * RECORD_SIZE);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, head.length, true);
  bytes.set(head, LENGTH_SIZE);
  for (let device = 0; device < state.head.deviceCount; device += 1) {
    const at = recordsAt + device * RECORD_SIZE;
    bytes[at] = columns.status[device]!;
    bytes[at + 1] = columns.attempt[device]!;
    bytes[at + 2] = columns.used[device]!;
    bytes[at + 3] = columns.deviceClass[device]!;
    view.setUint32(at + 4, columns.position[device]!, true);
    view.setFloat64(at + 8, columns.dueMs[device]!, true);
    view.setFloat64(at + 16, columns.confirmedMs[device]!, true);
  }
  return bytes;
}

/** What `save` wrote; throws an Error that says what is wrong with the bytes. */
export function load(bytes: Uint8Array): RolloutState {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const recordsAt = bytes.length < LENGTH_SIZE ? 0 : LENGTH_SIZE + view.getUint32(0, true);
  if (recordsAt === 0 || recordsAt > bytes.length) throw new Error('saved rollout is truncated');
  const head = loadHead(bytes.subarray(LENGTH_SIZE, recordsAt));
  if (bytes.length !== recordsAt + head.deviceCount * RECORD_SIZE) {
    throw new Error(`saved rollout has ${bytes.length} bytes, not those of its devices`);
  }
  const state = createState(head);
  const { columns } = state;
  for (let device = 0; device < head.deviceCount; device += 1) {
    const at = recordsAt + device * RECORD_SIZE;
    columns.status[device] = bytes[at]!;
    columns.attempt[device] = bytes[at + 1]!;
    columns.used[device] = bytes[at + 2]!;
    columns.deviceClass[device] = bytes[at + 3]!;
    columns.position[device] = view.getUint32(at + 4, true);
    columns.dueMs[device] = view.getFloat64(at + 8, true);
    columns.confirmedMs[device] = view.getFloat64(at + 16, true);
    checkAndCount(state, device);
  }
  // The first tick finds out what is due.
  state.nextDueMs = 0;
  return state;
}

function loadHead(bytes: Uint8Array): RolloutHead {
  const text = new TextDecoder().decode(bytes);
  const { format, ...head } = JSON.parse(text) as RolloutHead & { format: number };
  if (format !== FORMAT) {
    throw new Error(`saved rollout has format ${format}, this version reads ${FORMAT}`);
  }
  return { ...head, rollbackRelease: head.rollbackRelease ?? undefined };
}

function checkAndCount(state: RolloutState, device: number): void {
  const status = state.columns.status[device]!;
  if (status === DEVICE_STATUS.excluded) return;
  const isKnown = state.columns.deviceClass[device]! < state.tallies.length;
  if (status > DEVICE_STATUS.excluded || !isKnown) {
    throw new Error(`saved rollout is corrupt at device ${device}`);
  }
  count(state, device, 1);
}
