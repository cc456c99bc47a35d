// A scenario: what a run simulates and what it demands. This file holds the result of loading,
// with every unit normalised and every default filled in; `file-schema.ts` holds the file's form.

import type { Sensor as DeviceSensor } from '@flotilla/sdk';
import type { Threshold } from '../metrics/thresholds.ts';
import type { FleetFirmware, ReleaseEvent, RolloutEvent } from './update.ts';

/** How a sensor's value moves; all randomness comes from (seed, device, sensor). */
export type SensorModel =
  | { readonly kind: 'constant'; readonly value: number }
  /** Each sample moves by at most `step` either way and stays within [min, max]. */
  | {
      readonly kind: 'random-walk';
      readonly start: number;
      readonly step: number;
      readonly min: number;
      readonly max: number;
    }
  | {
      readonly kind: 'sine';
      readonly mean: number;
      readonly amplitude: number;
      readonly periodMs: number;
    }
  /** Normal distribution; `deviation` is the standard deviation. */
  | { readonly kind: 'noise'; readonly mean: number; readonly deviation: number };

/** How a sensor is sampled, in the SDK's own words; absent = with the others of its fleet. */
export type SensorSampling = Pick<DeviceSensor, 'adaptive' | 'window' | 'anomaly' | 'every'>;

export interface Sensor extends SensorSampling {
  readonly name: string;
  /** SenML unit (RFC 8428 §12.1), `Cel`, `%RH` … */
  readonly unit?: string;
  readonly model: SensorModel;
}

/** `auto` speaks MQTT 5 and falls back to 3.1.1. */
export type Protocol = 'auto' | '5' | '3.1.1';

/** Between two failed connects: a random time within a window that doubles from min to max. */
export interface Retry {
  readonly minMs: number;
  readonly maxMs: number;
}

export interface Fleet {
  readonly name: string;
  /** Devices; at least 1. */
  readonly count: number;
  /** Pattern of client ids with `{run}`, `{fleet}`, `{index}`; see `deviceId`. */
  readonly id: string;
  /** `plain` clients have no status, commands or diagnostics: only the traffic asked for. */
  readonly kind: 'device' | 'plain';
  /** Between two messages of a device; Infinity = it publishes nothing on a schedule. */
  readonly intervalMs: number;
  readonly qos: 0 | 1 | 2;
  /** Of devices; none for plain clients. */
  readonly sensors: readonly Sensor[];
  /** Bytes of a plain client's messages; 0 for devices. */
  readonly payloadSize: number;
  /** Topic filters, with `{run}`. */
  readonly subscribe: readonly string[];
  /** Mean time a client stays connected before it disconnects and comes back; 0 = for good. */
  readonly churnMs: number;
  /** Module with the user's own firmware logic, absolute path; see docs/applications.md. */
  readonly application?: string;
  /** Whole seconds, 0 = off. */
  readonly keepAliveMs: number;
  /** Whole seconds. */
  readonly sessionExpiryMs: number;
  readonly protocol: Protocol;
  readonly retry: Retry;
  /** Bytes of a device's outbox. */
  readonly bufferSize: number;
  /** Unacknowledged publishes at once. */
  readonly inflight: number;
  /** Absent = always connected. */
  readonly wake?: FleetWake;
  /** Absent = right. */
  readonly clock?: FleetClock;
  /** Absent = the devices have no firmware that could be updated. */
  readonly firmware?: FleetFirmware;
}

/** As the SDK's `WakeOptions`. */
export interface FleetWake {
  readonly intervalMs: number;
  readonly awakeMsMax: number;
  readonly lingerMs: number;
  readonly highWater: number;
}

/** How wrong the devices' clocks are: uniformly within these bounds. */
export interface FleetClock {
  readonly skewMs: number;
  readonly driftPpm: number;
  /** False: devices start without any time. */
  readonly known: boolean;
}

export interface Broker {
  /** `mqtt://host:port` or `mqtts://host:port`, without credentials: safe to print. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly username?: string;
  readonly password?: string;
  /** Present = TLS. PEM text, read from files where the scenario names files. */
  readonly tls?: {
    readonly ca?: string;
    readonly certificate?: string;
    readonly key?: string;
    readonly verify: boolean;
  };
}

/** At `atMs`, every connection of `fleets` breaks and none opens for `forMs`. */
export interface Outage {
  readonly kind: 'outage';
  readonly atMs: number;
  readonly forMs: number;
  /** Names; all fleets when the file names none. */
  readonly fleets: readonly string[];
  /** What cannot be reached; absent = broker and OTA server. */
  readonly to?: 'broker' | 'server';
}

/** At `atMs`, `desired` is merged into the shadow of every device of `fleets`. */
export interface ShadowChange {
  readonly kind: 'shadow';
  readonly atMs: number;
  /** Names; all fleets of devices when the file names none. */
  readonly fleets: readonly string[];
  /** As in a shadow document: null removes. */
  readonly desired: Readonly<Record<string, unknown>>;
}

export type TimelineEvent = Outage | ShadowChange | ReleaseEvent | RolloutEvent;

export interface Scenario {
  /** Kebab-case. */
  readonly name: string;
  readonly description?: string;
  /** 0 to 2^32 - 1. */
  readonly seed: number;
  /** Where virtual time starts, ms since 1970; 2026-01-01T00:00:00Z by default. */
  readonly startMs: number;
  /** Absent = a broker inside the run. */
  readonly broker?: Broker;
  /** Topic template with `{id}` and `{topic}`. */
  readonly topics: string;
  readonly fleets: readonly Fleet[];
  readonly connect: {
    /** Connects under way at once. */
    readonly inFlight: number;
    /** Connects started per second; absent = as fast as `inFlight` allows. */
    readonly rate?: number;
    readonly timeoutMs: number;
  };
  /** First connects are spread evenly over this time; 0 = at once. */
  readonly rampMs: number;
  /** Of sampling, from the start of the run. */
  readonly durationMs: number;
  /** Sampling ends this long after all rollouts came to their end; absent = it does not. */
  readonly endAfterRolloutsMs?: number;
  /** Bound on draining after sampling has stopped. */
  readonly settleMs: number;
  /** Ordered by `atMs`. */
  readonly timeline: readonly TimelineEvent[];
  readonly thresholds: readonly Threshold[];
}

/** Of all fleets together. */
export function deviceCount({ fleets }: Pick<Scenario, 'fleets'>): number {
  return fleets.reduce((sum, { count }) => sum + count, 0);
}

/** True when fleets have firmware; without that a run brings no OTA server. */
export function hasFirmware({ fleets }: Scenario): boolean {
  return fleets.some(({ firmware }) => firmware !== undefined);
}

/** Longest run id that `{run}` may stand for; client ids are checked with this length. */
export const RUN_ID_LENGTH_MAX = 10;

/** The client id of a device; `index` counts from 0 within its fleet. */
export function deviceId(pattern: string, run: string, fleet: string, index: number): string {
  return pattern
    .replaceAll('{run}', run)
    .replaceAll('{fleet}', fleet)
    .replaceAll('{index}', String(index));
}
