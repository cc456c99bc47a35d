// What a device remembers of its sensors: numbers in one array per device, in the order of the
// profile's sensors. A device none of whose sensors needs any has no array.

import type { Sensor } from '../device-profile.ts';
import { ADAPTIVE_STATE_SIZE, checkAdaptive, initAdaptive } from './adaptive.ts';
import { ANOMALY_STATE_SIZE, checkAnomaly, initAnomaly } from './anomaly.ts';
import { checkWindow, initWindow, WINDOW_STATE_SIZE } from './window.ts';

/**
 * Largest size of a value that is adapted to, aggregated or judged: its square is finite. No
 * quantity in nature comes near; a larger value is a fault of the sensor.
 */
export const VALUE_MAX = 1e150;

/** Monotonic ms of the next sample of the sensors without a schedule of their own. */
export const FIXED_DUE_MS = 0;
/** Anomalies found. */
export const ANOMALY_COUNT = 1;
/** Anomalies that were no alarm, because the last one was too short ago. */
export const ANOMALY_HELD_COUNT = 2;
/** Where the first sensor's numbers begin. */
export const SENSORS_AT = 3;

/** Throws a RangeError that names the option for what cannot be sampled so. */
export function checkSensor(sensor: Sensor, path: string): void {
  const { adaptive, anomaly, every, window } = sensor;
  if (adaptive !== undefined) checkAdaptive(adaptive, `${path}.adaptive`);
  if (window !== undefined) checkWindow(window, `${path}.window`);
  if (anomaly !== undefined) checkAnomaly(anomaly, `${path}.anomaly`);
  if (every !== undefined && !(every >= 1 && Math.floor(every) === every)) {
    throw new RangeError(`${path}.every: expected a whole number from 1 on`);
  }
  const ways =
    (adaptive === undefined ? 0 : 1) +
    (window === undefined ? 0 : 1) +
    (every === undefined ? 0 : 1);
  if (ways > 1) throw new RangeError(`${path}: expected one of adaptive, window and every`);
}

/** True for a sensor that is not read with the others every intervalMs. */
export function hasOwnSchedule(sensor: Sensor): boolean {
  return sensor.adaptive !== undefined || sensor.window !== undefined;
}

/** Where the anomaly detector's numbers begin, after the sensor's first. */
export function anomalyOffset(sensor: Sensor): number {
  // Before the numbers of a schedule of its own stands when it is due.
  if (sensor.adaptive !== undefined) return 1 + ADAPTIVE_STATE_SIZE;
  if (sensor.window !== undefined) return 1 + WINDOW_STATE_SIZE;
  return sensor.every === undefined ? 0 : 1;
}

/** How many numbers are a sensor's own. */
export function stateSize(sensor: Sensor): number {
  return anomalyOffset(sensor) + (sensor.anomaly === undefined ? 0 : ANOMALY_STATE_SIZE);
}

/** The numbers of a new device; undefined when none are needed. */
export function createState(sensors: readonly Sensor[]): number[] | undefined {
  let size = SENSORS_AT;
  for (let index = 0; index < sensors.length; index += 1) {
    size += stateSize(sensors[index] as Sensor);
  }
  if (size === SENSORS_AT) return undefined;
  const state = new Array<number>(size);
  // Fractions from the start: V8 then keeps the array as plain doubles.
  for (let index = 0; index < size; index += 1) state[index] = Number.NaN;
  state[FIXED_DUE_MS] = Number.POSITIVE_INFINITY;
  state[ANOMALY_COUNT] = 0;
  state[ANOMALY_HELD_COUNT] = 0;
  let at = SENSORS_AT;
  for (let index = 0; index < sensors.length; index += 1) {
    const sensor = sensors[index] as Sensor;
    if (sensor.adaptive !== undefined) initAdaptive(state, at + 1, sensor.adaptive);
    else if (sensor.window !== undefined) initWindow(state, at + 1);
    else if (sensor.every !== undefined) state[at] = 0;
    if (sensor.anomaly !== undefined) initAnomaly(state, at + anomalyOffset(sensor));
    at += stateSize(sensor);
  }
  return state;
}
