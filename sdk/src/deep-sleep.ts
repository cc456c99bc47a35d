// Deep sleep: RAM is lost, and the program starts anew. What a device carries over it is in one
// setting, which is there only from the moment of an orderly sleep to the boot that ends it.

import { sideOf } from './announcements.ts';
import { readUint32, writeUint32 } from './codec/uint32.ts';
import type { Device } from './device.ts';
import { SIDE_RECORD_SIZE } from './side-messages.ts';

/** 32-bit words: format and flags, times until sample and wake-up, then the counters. */
const KEY = 'asleep';
const FORMAT = 1;
/** In the first word, beside the format: the server holds the session of this device. */
const HAS_SESSION = 256;
/** The same: something is known of the messages beside. */
const HAS_SIDE = 512;
const SAMPLE_WORD = 1;
const WAKE_WORD = 2;
const COUNTERS_WORD = 3;
/** Nothing is due. */
const NEVER = 0xffffffff;

/** Counters of a device in the order of the record. */
type Counters = readonly number[];
const COUNTER_COUNT = 17;
/** After the counters: what is left out of the messages beside. */
const SIDE_AT = (COUNTERS_WORD + COUNTER_COUNT) * 4;
const RECORD_SIZE = SIDE_AT + SIDE_RECORD_SIZE;

/**
 * Ends the program until a sample or the wake-up at `wakeMs` is due, where the device can, it is
 * worth it, and nothing would be lost with the RAM. Returns where it does not sleep.
 */
export function sleepDeeply(device: Device, nowMs: number, wakeMs: number): void {
  const { platform, profile, sampler } = device;
  if (platform.sleep === undefined || profile.wake === undefined) return;
  const untilMs = Math.min(wakeMs, sampler.dueMs);
  const sleepMs = Math.floor(untilMs - nowMs);
  if (!(sleepMs >= profile.wake.deepSleepMsMin) || !device.secure()) return;
  save(device, nowMs + sleepMs, wakeMs);
  platform.sleep(sleepMs);
}

/**
 * The monotonic ms of the next wake-up of a device that comes back from deep sleep, with sampler,
 * session and counters as they were; undefined = it was no deep sleep.
 */
export function endDeepSleep(device: Device): number | undefined {
  const { client, platform, sampler } = device;
  if (platform.sleep === undefined) return undefined;
  const record = platform.settings.get(KEY);
  if (record === undefined) return undefined;
  // Whatever comes next, the same record does not hold for another boot.
  platform.settings.delete(KEY);
  if (record.length !== RECORD_SIZE || (readUint32(record, 0) & 255) !== FORMAT) return undefined;
  const counters: number[] = [];
  for (let index = 0; index < COUNTER_COUNT; index += 1) {
    counters.push(readUint32(record, (COUNTERS_WORD + index) * 4));
  }
  setCounters(device, counters);
  const { firmware } = platform;
  // The power went while it slept: how long is not known, so it wakes up as at its first start.
  if (firmware !== undefined && firmware.bootReason() !== 'deep-sleep') return undefined;
  const nowMs = platform.clock.monotonicMs();
  if ((readUint32(record, 0) & HAS_SIDE) !== 0) sideOf(device).load(record, SIDE_AT, nowMs);
  const sampleInMs = readUint32(record, SAMPLE_WORD * 4);
  if (sampleInMs !== NEVER) sampler.dueMs = nowMs + sampleInMs;
  client.holdsSession = (readUint32(record, 0) & HAS_SESSION) !== 0;
  return nowMs + readUint32(record, WAKE_WORD * 4);
}

function save(device: Device, endMs: number, wakeMs: number): void {
  const { client, platform, sampler } = device;
  const record = new Uint8Array(RECORD_SIZE);
  const hasSide = device.side !== undefined ? HAS_SIDE : 0;
  writeUint32(record, 0, FORMAT | (client.holdsSession ? HAS_SESSION : 0) | hasSide);
  const sampleInMs = sampler.dueMs - endMs;
  const samples = sampleInMs < Number.POSITIVE_INFINITY;
  writeUint32(record, SAMPLE_WORD * 4, samples ? Math.floor(sampleInMs) : NEVER);
  writeUint32(record, WAKE_WORD * 4, Math.floor(wakeMs - endMs));
  const counters = countersOf(device);
  for (let index = 0; index < COUNTER_COUNT; index += 1) {
    writeUint32(record, (COUNTERS_WORD + index) * 4, counters[index] as number);
  }
  if (device.side !== undefined) device.side.save(record, SIDE_AT, endMs);
  platform.settings.set(KEY, record);
}

function countersOf(device: Device): Counters {
  const { client, counters, sampler } = device;
  const wake = device.wake as NonNullable<Device['wake']>;
  return [
    counters.dropped,
    counters.refused,
    counters.unconfirmed,
    counters.commands,
    counters.commandsRefused,
    counters.commandsRepeated,
    counters.connects,
    sampler.packCount,
    sampler.faultCount,
    sampler.missedCount,
    client.oversizeCount,
    client.subscribeRefusedCount,
    wake.count,
    wake.cutShortCount,
    Math.floor(wake.pastMs),
    counters.tooLarge,
    counters.leftOut,
  ];
}

function setCounters(device: Device, values: Counters): void {
  const { client, counters, sampler } = device;
  const wake = device.wake as NonNullable<Device['wake']>;
  counters.dropped = values[0] as number;
  counters.refused = values[1] as number;
  counters.unconfirmed = values[2] as number;
  counters.commands = values[3] as number;
  counters.commandsRefused = values[4] as number;
  counters.commandsRepeated = values[5] as number;
  counters.connects = values[6] as number;
  sampler.packCount = values[7] as number;
  sampler.faultCount = values[8] as number;
  sampler.missedCount = values[9] as number;
  client.oversizeCount = values[10] as number;
  client.subscribeRefusedCount = values[11] as number;
  wake.count = values[12] as number;
  wake.cutShortCount = values[13] as number;
  wake.pastMs = values[14] as number;
  counters.tooLarge = values[15] as number;
  counters.leftOut = values[16] as number;
}
