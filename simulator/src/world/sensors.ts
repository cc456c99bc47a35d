// What simulated sensors measure. Values depend on (seed, device, sensor, count) and time alone.

import type { Sensor as DeviceSensor } from '@flotilla/sdk';
import { randomNormal, randomUnit, SENSOR_STREAM } from '../fleet/random.ts';
import type { Sensor } from '../scenario/schema.ts';

/** The device that reads, as the world knows it: its index in the run and in its worker. */
export interface SensorPlace {
  readonly deviceIndex: number;
  readonly localIndex: number;
  readonly elapsedMs: number;
}

/**
 * The sensors of a fleet. `count` bounds the local indices of its devices; `placeOf` finds where
 * a reading device stands.
 */
export function createSensors(
  sensors: readonly Sensor[],
  seed: number,
  count: number,
  placeOf: (device: Parameters<DeviceSensor['read']>[0]) => SensorPlace,
): DeviceSensor[] {
  return sensors.map((sensor, index) => {
    const sample = createSampler(sensor, seed, SENSOR_STREAM + index, count);
    // The rest is the SDK's: name, unit, and how it is sampled.
    const { model: _, ...members } = sensor;
    return {
      ...members,
      read: (device) => sample(placeOf(device)),
    };
  });
}

function createSampler(
  sensor: Sensor,
  seed: number,
  stream: number,
  count: number,
): (place: SensorPlace) => number {
  const { model } = sensor;
  const round = (value: number) => Math.round(value * 100) / 100; // As real sensors resolve.
  switch (model.kind) {
    case 'constant':
      return () => model.value;
    case 'sine':
      return ({ elapsedMs }) =>
        round(model.mean + model.amplitude * Math.sin((2 * Math.PI * elapsedMs) / model.periodMs));
    case 'noise': {
      const counters = new Uint32Array(count);
      return ({ deviceIndex, localIndex }) => {
        const counter = counters[localIndex]!;
        counters[localIndex] = counter + 2;
        return round(
          model.mean + model.deviation * randomNormal(seed, deviceIndex, stream, counter),
        );
      };
    }
    case 'random-walk': {
      const counters = new Uint32Array(count);
      const values = new Float64Array(count).fill(model.start);
      return ({ deviceIndex, localIndex }) => {
        const counter = counters[localIndex]!;
        counters[localIndex] = counter + 1;
        const move = (2 * randomUnit(seed, deviceIndex, stream, counter) - 1) * model.step;
        const value = clamp(values[localIndex]! + move, model.min, model.max);
        values[localIndex] = value;
        // Bounds may be finer than what a sensor resolves.
        return clamp(round(value), model.min, model.max);
      };
    }
  }
}

function clamp(value: number, min: number, max: number): number {
  return Math.min(max, Math.max(min, value));
}
