// From readings to the figures that are asked for, with their limits, and to the table.

import { columns } from '@flotilla/command-line/columns';
import type { Side } from './fleet.ts';

/** What one run of one side gave; names carry the unit. Absent = not measured. */
export interface Sample {
  memoryBytes?: number;
  /** As `memoryBytes`, before anything was collected: what a process grows by. */
  grownBytes?: number;
  /** As `memoryBytes`, with adaptive sensors and a shadow. */
  wholeBytes?: number;
  connectUs?: number;
  connectProcessUs?: number;
  qos0Us?: number;
  qos0ProcessUs?: number;
  qos1Us?: number;
  qos1ProcessUs?: number;
  /** CPU time per second of the connected fleet that does nothing. */
  idleUsPerS?: number;
  qos0NetUs?: number;
  qos1NetUs?: number;
  heapBytes?: number;
  simulatedHeapBytes?: number;
  payloadBytes?: number;
}

export type Quantity = keyof Sample;

export interface Limit {
  /** Largest value of ours, in the row's unit. */
  readonly most?: number;
  /** Largest share of MQTT.js's. */
  readonly share?: number;
}

interface RowForm {
  readonly quantity: Quantity;
  readonly title: string;
  readonly unit: string;
  /** Sample units per unit. */
  readonly scale: number;
  readonly digits: number;
  readonly limit?: Limit;
}

const ROWS: readonly RowForm[] = [
  {
    quantity: 'memoryBytes',
    title: 'memory per device',
    unit: 'KB',
    scale: 1024,
    digits: 2,
    limit: { most: 9, share: 0.45 },
  },
  {
    quantity: 'qos1Us',
    title: 'CPU per QoS 1 message',
    unit: 'µs',
    scale: 1,
    digits: 1,
    limit: { share: 0.6 },
  },
  {
    quantity: 'qos0Us',
    title: 'CPU per QoS 0 message',
    unit: 'µs',
    scale: 1,
    digits: 1,
    limit: { share: 0.6 },
  },
  {
    quantity: 'connectUs',
    title: 'CPU per connect',
    unit: 'µs',
    scale: 1,
    digits: 0,
    limit: { share: 0.4 },
  },
  {
    quantity: 'heapBytes',
    title: 'V8 heap per device',
    unit: 'B',
    scale: 1,
    digits: 0,
    limit: { most: 2048 },
  },
  {
    quantity: 'wholeBytes',
    title: 'memory, adaptive and shadow',
    unit: 'KB',
    scale: 1024,
    digits: 2,
    limit: { most: 9 },
  },
  {
    quantity: 'simulatedHeapBytes',
    title: '  with its simulated platform',
    unit: 'B',
    scale: 1,
    digits: 0,
  },
  {
    quantity: 'grownBytes',
    title: '  memory with garbage',
    unit: 'KB',
    scale: 1024,
    digits: 2,
  },
  { quantity: 'qos1NetUs', title: '  QoS 1, less idle', unit: 'µs', scale: 1, digits: 1 },
  { quantity: 'qos0NetUs', title: '  QoS 0, less idle', unit: 'µs', scale: 1, digits: 1 },
  { quantity: 'qos1ProcessUs', title: '  QoS 1, all threads', unit: 'µs', scale: 1, digits: 1 },
  { quantity: 'qos0ProcessUs', title: '  QoS 0, all threads', unit: 'µs', scale: 1, digits: 1 },
  {
    quantity: 'connectProcessUs',
    title: '  connect, all threads',
    unit: 'µs',
    scale: 1,
    digits: 0,
  },
  { quantity: 'idleUsPerS', title: '  idle fleet', unit: 'ms/s', scale: 1000, digits: 1 },
  { quantity: 'payloadBytes', title: '  payload', unit: 'B', scale: 1, digits: 1 },
];

/** Medians of one quantity, in its unit; a side that was not measured has none. */
export interface Figure {
  readonly quantity: Quantity;
  readonly title: string;
  readonly unit: string;
  readonly ours: number | undefined;
  readonly mqttjs: number | undefined;
  readonly ratio: number | undefined;
  readonly limit: Limit | undefined;
  /** Undefined where nothing is demanded. */
  readonly met: boolean | undefined;
  readonly digits: number;
}

export type Samples = Readonly<Record<Side, readonly Sample[]>>;

/** The middle value, or the mean of the two in the middle; undefined of none. */
export function median(values: readonly number[]): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  if (sorted.length === 0) return undefined;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1]! + sorted[half]!) / 2;
}

/** The figures of all runs. A demanded figure that was not measured is not met. */
export function computeFigures(samples: Samples): Figure[] {
  return ROWS.map((row) => {
    const { quantity, title, unit, scale, digits, limit } = row;
    const [ours, mqttjs] = (['ours', 'mqttjs'] as const).map((side) => {
      const values = samples[side].map((sample) => sample[quantity]);
      const value = median(values.filter((each) => each !== undefined));
      return value === undefined ? undefined : value / scale;
    });
    const ratio = ours === undefined || mqttjs === undefined ? undefined : ours / mqttjs;
    const met = limit === undefined ? undefined : isMet(limit, ours, ratio);
    return { quantity, title, unit, ours, mqttjs, ratio, limit, met, digits };
  });
}

function isMet(limit: Limit, ours: number | undefined, ratio: number | undefined): boolean {
  const { most, share } = limit;
  if (most !== undefined && !(ours !== undefined && ours <= most)) return false;
  return share === undefined || (ratio !== undefined && ratio <= share);
}

/** True when every figure that is demanded is met. */
export function allMet(figures: readonly Figure[]): boolean {
  return figures.every(({ met }) => met !== false);
}

/** The table for people. */
export function formatTable(figures: readonly Figure[]): string {
  const head = ['', 'ours', 'MQTT.js', 'ratio', 'limit', 'ok'];
  const rows = figures.map((figure) => {
    const { title, unit, limit, met, ratio, digits } = figure;
    const value = (each: number | undefined) =>
      each === undefined ? '-' : `${each.toFixed(digits)} ${unit}`;
    const words = met === undefined ? '' : met ? 'yes' : 'NO';
    const times = ratio === undefined ? '' : ratio.toFixed(2);
    return [title, value(figure.ours), value(figure.mqttjs), times, limitText(limit, unit), words];
  });
  return columns([head, ...rows], 1).join('\n');
}

function limitText(limit: Limit | undefined, unit: string): string {
  if (limit === undefined) return '';
  const { most, share } = limit;
  const parts = [
    ...(most === undefined ? [] : [`≤ ${most.toLocaleString('en')} ${unit}`]),
    ...(share === undefined ? [] : [`≤ ${share} ×`]),
  ];
  return parts.join(', ');
}
