// The retained status of a device: a birth when it connects, the will when it is gone.
// CBOR: {"since": epoch seconds, "state": "online"}, {"state": "asleep", "until": epoch seconds}
// and {"state": "offline"}.

import { CborReader, readValue, writeMapHead, writeNumber, writeText } from './codec/cbor.ts';

const LIMITS = { depthMax: 2, countMax: 16, sizeMax: 256 };

/** Writes the birth; `sinceMs` is the epoch time of the connection, NaN while unknown. */
export function writeOnlineStatus(target: Uint8Array, offset: number, sinceMs: number): number {
  const known = isFinite(sinceMs);
  let next = writeMapHead(target, offset, known ? 2 : 1);
  if (known) {
    next = writeText(target, next, 'since');
    next = writeNumber(target, next, sinceMs / 1000);
  }
  next = writeText(target, next, 'state');
  return writeText(target, next, 'online');
}

/** Writes the status of a device that sleeps until this epoch time, NaN while unknown. */
export function writeAsleepStatus(target: Uint8Array, offset: number, untilMs: number): number {
  const known = isFinite(untilMs);
  let next = writeMapHead(target, offset, known ? 2 : 1);
  next = writeText(target, next, 'state');
  next = writeText(target, next, 'asleep');
  if (!known) return next;
  next = writeText(target, next, 'until');
  return writeNumber(target, next, untilMs / 1000);
}

/** The will's payload. */
export function offlineStatus(): Uint8Array {
  const bytes = new Uint8Array(16);
  let end = writeMapHead(bytes, 0, 1);
  end = writeText(bytes, end, 'state');
  end = writeText(bytes, end, 'offline');
  return bytes.subarray(0, end);
}

/** True for a status that says offline, as the will does. */
export function isOffline(source: Uint8Array, start: number, end: number): boolean {
  const reader = new CborReader();
  reader.reset(source, start, end);
  const status = readValue(reader, LIMITS);
  if (typeof status !== 'object' || status === null) return false;
  return (status as { state?: unknown }).state === 'offline';
}
