// What a device tells of itself at every connect and once a day: a counter for every bound.
// CBOR map of text to integer, and to such maps; keys in the order of RFC 8949 §4.2.1.

import { writeMapHead, writeNumber, writeText } from './codec/cbor.ts';
import type { Device } from './device.ts';
import type { ShadowCounters } from './shadow/shadow-counters.ts';
import type { Wake } from './wake.ts';

/** Writes the diagnostics of `device` and returns the offset after. */
export function writeDiagnostics(target: Uint8Array, offset: number, device: Device): number {
  const { counters, client, outbox, sampler } = device;
  const { shadow, wake } = device;
  const heap = device.platform.memory.heapUsed();
  const optional = (heap === undefined ? 0 : 1) + (shadow === undefined ? 0 : 1);
  let next = writeMapHead(target, offset, 17 + optional + (wake === undefined ? 0 : 1));
  if (heap !== undefined) next = write(target, next, 'heap', heap);
  if (wake !== undefined) next = writeWake(target, writeText(target, next, 'wake'), wake);
  if (shadow !== undefined) {
    next = writeShadow(target, writeText(target, next, 'shadow'), shadow.counters);
  }
  next = write(target, next, 'dropped', counters.dropped);
  next = write(target, next, 'leftOut', counters.leftOut);
  next = write(target, next, 'pending', outbox.count);
  next = write(target, next, 'refused', counters.refused);
  next = write(target, next, 'commands', counters.commands);
  next = write(target, next, 'connects', counters.connects);
  next = write(target, next, 'oversize', client.oversizeCount);
  next = write(target, next, 'produced', sampler.packCount);
  next = write(target, next, 'tooLarge', counters.tooLarge);
  next = write(target, next, 'anomalies', sampler.anomalyCount);
  next = write(target, next, 'unconfirmed', counters.unconfirmed);
  next = write(target, next, 'sensorFaults', sampler.faultCount);
  next = write(target, next, 'anomaliesHeld', sampler.anomalyHeldCount);
  next = write(target, next, 'missedSamples', sampler.missedCount);
  next = write(target, next, 'commandsRefused', counters.commandsRefused);
  next = write(target, next, 'commandsRepeated', counters.commandsRepeated);
  return write(target, next, 'subscribeRefused', client.subscribeRefusedCount);
}

function write(target: Uint8Array, offset: number, name: string, value: number): number {
  return writeNumber(target, writeText(target, offset, name), value);
}

function writeWake(target: Uint8Array, offset: number, wake: Wake): number {
  let next = writeMapHead(target, offset, 3);
  next = write(target, next, 'count', wake.count);
  next = write(target, next, 'awakeMs', Math.round(wake.awakeMs));
  return write(target, next, 'cutShort', wake.cutShortCount);
}

function writeShadow(target: Uint8Array, offset: number, counters: ShadowCounters): number {
  let next = writeMapHead(target, offset, 9);
  next = write(target, next, 'rests', counters.rests);
  next = write(target, next, 'stale', counters.stale);
  next = write(target, next, 'faults', counters.faults);
  next = write(target, next, 'applied', counters.applied);
  next = write(target, next, 'refused', counters.refused);
  next = write(target, next, 'rejected', counters.rejected);
  next = write(target, next, 'timeouts', counters.timeouts);
  next = write(target, next, 'conflicts', counters.conflicts);
  return write(target, next, 'overflows', counters.overflows);
}
