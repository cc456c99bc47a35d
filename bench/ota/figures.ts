// What is measured of deltas, and the limits that it has to keep.

import { columns } from '@flotilla/command-line/columns';
import type { ApplierFigures } from './applier.ts';

/** Of one pair of images. */
export interface Sizes {
  readonly name: string;
  readonly targetBytes: number;
  /** The whole target, gzip -9. */
  readonly gzipBytes: number;
  /** Our delta file, header and table included. */
  readonly deltaBytes: number;
  /** fossil-delta's, gzip -9. */
  readonly fossilBytes: number;
  readonly encodeMs: number;
  readonly fossilMs: number;
}

export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly most: number;
  readonly met: boolean;
}

/** Shares of the full image and of fossil-delta, bytes, and seconds per MB of target. */
const GZIP_SHARE_MAX = 0.2;
const FOSSIL_SHARE_MAX = 0.75;
const ENCODE_S_MAX = 10;
const RAM_BYTES_MAX = 12 * 1024;

/** The figures that are demanded, the worst of all pairs for each. */
export function figuresOf(sizes: readonly Sizes[], appliers: readonly ApplierFigures[]): Figure[] {
  const worst = <T>(items: readonly T[], of: (item: T) => number) => Math.max(...items.map(of));
  const figure = (name: string, value: number, unit: string, most: number): Figure => {
    return { name, value, unit, most, met: value <= most };
  };
  const encodeS = worst(sizes, (each) => (each.encodeMs * 1e6) / each.targetBytes / 1000);
  return [
    figure(
      'delta / gzip',
      worst(sizes, (each) => each.deltaBytes / each.gzipBytes),
      '',
      GZIP_SHARE_MAX,
    ),
    figure(
      'delta / fossil-delta',
      worst(sizes, (each) => each.deltaBytes / each.fossilBytes),
      '',
      FOSSIL_SHARE_MAX,
    ),
    figure('encoding, per MB of target', encodeS, 's', ENCODE_S_MAX),
    figure(
      'applier on 32-bit XS',
      worst(appliers, (each) => each.ramBytes),
      'B',
      RAM_BYTES_MAX,
    ),
    figure(
      'left behind by an image',
      worst(appliers, (each) => each.leftBytes),
      'B',
      0,
    ),
  ];
}

export function allMet(figures: readonly Figure[]): boolean {
  return figures.every(({ met }) => met);
}

/** The table of sizes for people. */
export function formatSizes(sizes: readonly Sizes[]): string {
  const whole = (value: number) => Math.round(value).toLocaleString('en');
  const head = ['', 'bytes', 'gzip -9', 'fossil + gzip', 'ours', '/ gzip', '/ fossil', 'encode'];
  const rows = sizes.map((each) => [
    each.name,
    whole(each.targetBytes),
    whole(each.gzipBytes),
    whole(each.fossilBytes),
    whole(each.deltaBytes),
    (each.deltaBytes / each.gzipBytes).toFixed(3),
    (each.deltaBytes / each.fossilBytes).toFixed(2),
    `${whole(each.encodeMs)} ms`,
  ]);
  return columns([head, ...rows], 1).join('\n');
}

export function formatFigures(figures: readonly Figure[]): string {
  const rows = figures.map(({ name, value, unit, most, met }) => [
    name,
    `${value.toLocaleString('en', { maximumFractionDigits: 2 })} ${unit}`.trim(),
    `≤ ${most.toLocaleString('en')} ${unit}`.trim(),
    met ? 'yes' : 'NO',
  ]);
  return columns([['', 'worst', 'limit', 'ok'], ...rows], 1).join('\n');
}
