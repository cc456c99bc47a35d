// What a device tells of itself at every connect and once a day: a counter for every bound.
// CBOR map of text to integer; keys in the order of RFC 8949 §4.2.1.

import { writeMapHead, writeNumber, writeText } from './codec/cbor.ts';
import type { Device } from './device.ts';

/** Writes the diagnostics of `device` and returns the offset after. */
export function writeDiagnostics(target: Uint8Array, offset: number, device: Device): number {
  const { counters, client, outbox, sampler } = device;
  const heap = device.platform.memory.heapUsed();
  let next = writeMapHead(target, offset, heap === undefined ? 12 : 13);
  if (heap !== undefined) next = write(target, next, 'heap', heap);
  next = write(target, next, 'dropped', counters.dropped);
  next = write(target, next, 'pending', outbox.count);
  next = write(target, next, 'refused', counters.refused);
  next = write(target, next, 'commands', counters.commands);
  next = write(target, next, 'connects', counters.connects);
  next = write(target, next, 'oversize', client.oversizeCount);
  next = write(target, next, 'produced', sampler.packCount);
  next = write(target, next, 'unconfirmed', counters.unconfirmed);
  next = write(target, next, 'missedSamples', sampler.missedCount);
  next = write(target, next, 'sensorFaults', sampler.faultCount);
  next = write(target, next, 'commandsRefused', counters.commandsRefused);
  return write(target, next, 'subscribeRefused', client.subscribeRefusedCount);
}

function write(target: Uint8Array, offset: number, name: string, value: number): number {
  return writeNumber(target, writeText(target, offset, name), value);
}
