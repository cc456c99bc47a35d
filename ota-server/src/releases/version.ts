// Release versions, `major.minor.patch`, and conditions on them.

import type { VersionCondition } from './release.ts';

/** In the order of their numbers, from 1 (draft-ietf-suit-update-management §4.3). */
export const COMPARISONS: readonly VersionCondition['comparison'][] = [
  'greater',
  'greater-equal',
  'equal',
  'lesser-equal',
  'lesser',
];

const SIGNS: Readonly<Record<VersionCondition['comparison'], string>> = {
  greater: '>',
  'greater-equal': '>=',
  equal: '=',
  'lesser-equal': '<=',
  lesser: '<',
};

/** The three numbers of `1.2.3`, each of at most nine digits; undefined where it is none. */
export function parseVersion(text: string): readonly [number, number, number] | undefined {
  const parts = /^(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})$/.exec(text);
  return parts === null ? undefined : [Number(parts[1]), Number(parts[2]), Number(parts[3])];
}

/** Below zero, zero or above as `a` is older than, as old as or newer than `b`. */
export function compareVersions(a: string, b: string): number {
  const left = parseVersion(a) ?? [0, 0, 0];
  const right = parseVersion(b) ?? [0, 0, 0];
  return left[0] - right[0] || left[1] - right[1] || left[2] - right[2];
}

/** For people: `>= 1.2.3`. */
export function formatCondition({ comparison, version }: VersionCondition): string {
  return `${SIGNS[comparison]} ${version}`;
}
