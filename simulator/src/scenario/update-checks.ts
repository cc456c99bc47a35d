// Checks of firmware and its updates that need more than one member of a scenario.

import { parseDuration } from '@flotilla/command-line/quantities';
import { type Mistake, type Path, show } from './mistakes.ts';
import type { Value } from './tree.ts';
import { DEVICE_CLASS_DEFAULT } from './update-file.ts';

type Members = { readonly [key: string]: Value };

/** Releases before they are rolled out, waves that rise to 100 %, files with versions. */
export function checkUpdates(fleets: readonly Members[], timeline: readonly Members[]): Mistake[] {
  return [
    ...fleets.flatMap((fleet, index) => checkFirmware(fleet, ['fleets', index])),
    ...timeline.flatMap((event, index) => [
      ...checkRelease(event, ['timeline', index, 'release'], fleets, timeline),
      ...checkRollout(event, ['timeline', index, 'rollout'], timeline),
    ]),
  ];
}

function checkFirmware({ firmware, kind, wake }: Members, path: Path): Mistake[] {
  if (!isMembers(firmware)) return [];
  const at = [...path, 'firmware'];
  const mistakes: Mistake[] = [];
  if (kind === 'plain') {
    mistakes.push({ path: at, message: 'is of devices: a plain client has none' });
  }
  if (wake !== undefined) {
    const message = 'is not simulated together with wake: give the devices a fleet of their own';
    mistakes.push({ path: at, message });
  }
  if (firmware.key !== undefined && firmware.file === undefined) {
    const message = 'is of your own images: give the firmware a file';
    mistakes.push({ path: [...at, 'key'], message });
  }
  return mistakes;
}

function checkRelease(
  { at, release }: Members,
  path: Path,
  fleets: readonly Members[],
  timeline: readonly Members[],
): Mistake[] {
  if (!isMembers(release)) return [];
  const deviceClass = classOf(release);
  const factory = fleets.flatMap(({ firmware }) => (isMembers(firmware) ? [firmware] : []));
  const mistakes: Mistake[] = [];
  if (!factory.some((firmware) => classOf(firmware) === deviceClass)) {
    const message = `no fleet has firmware of the class ${show(deviceClass)}`;
    mistakes.push({ path: release.class === undefined ? path : [...path, 'class'], message });
  }
  const others = timeline.flatMap((event) => {
    return isMembers(event.release) && event.release !== release ? [event] : [];
  });
  const isTwin = (other: Value | undefined) =>
    isMembers(other) && other.version === release.version && classOf(other) === deviceClass;
  if (
    factory.some(isTwin) ||
    others.some((event) => isTwin(event.release) && isBefore(event, at))
  ) {
    const message = `there is firmware of version ${show(release.version)} already`;
    mistakes.push({ path: [...path, 'version'], message });
  }
  const known = [
    ...factory,
    ...others.flatMap((event) => (isBefore(event, at) ? [event.release as Members] : [])),
  ].filter((image) => classOf(image) === deviceClass);
  const checkVersion = (version: Value | undefined, member: Path) => {
    if (typeof version !== 'string' || known.some((image) => image.version === version)) return;
    const message = `there is no firmware of version ${show(version)} before`;
    mistakes.push({ path: [...path, ...member], message });
  };
  checkVersion(release.rollbackTo, ['rollbackTo']);
  const from = Array.isArray(release.from) ? release.from : [];
  for (const [index, version] of from.entries()) checkVersion(version, ['from', index]);
  return mistakes;
}

function checkRollout(
  { at, rollout }: Members,
  path: Path,
  timeline: readonly Members[],
): Mistake[] {
  if (!isMembers(rollout)) return [];
  const mistakes: Mistake[] = [];
  const release = timeline
    .filter((event) => isBefore(event, at))
    .map((event) => event.release)
    .find((each) => isMembers(each) && each.version === rollout.release) as Members | undefined;
  if (typeof rollout.release === 'string' && release === undefined) {
    const message = `no release of version ${show(rollout.release)} is made before`;
    mistakes.push({ path: [...path, 'release'], message });
  }
  if (rollout.onFailure === 'roll-back' && release !== undefined && !release.rollbackTo) {
    const message = 'needs a release that can be taken back: give it rollbackTo';
    mistakes.push({ path: [...path, 'onFailure'], message });
  }
  return [...mistakes, ...checkWaves(rollout.waves, [...path, 'waves'])];
}

function checkWaves(waves: Value | undefined, path: Path): Mistake[] {
  const entries = Array.isArray(waves) ? waves : [];
  const percents = entries.map((wave) => (isMembers(wave) ? wave.percent : undefined));
  if (percents.length === 0 || !percents.every((each) => typeof each === 'number')) return [];
  const mistakes: Mistake[] = [];
  for (const [index, percent] of percents.entries()) {
    const before = percents[index - 1] ?? 0;
    if (percent <= before) {
      const message = `expected more than the ${before} of the wave before, got ${percent}`;
      mistakes.push({ path: [...path, index, 'percent'], message });
    }
  }
  const last = percents.length - 1;
  if (percents[last] !== 100) {
    const message = `expected 100 in the last wave, got ${percents[last]}`;
    mistakes.push({ path: [...path, last, 'percent'], message });
  }
  return mistakes;
}

function isBefore(event: Members, at: Value | undefined): boolean {
  const atMs = parseDuration(event.at);
  const limitMs = parseDuration(at);
  return atMs !== undefined && limitMs !== undefined && atMs <= limitMs;
}

function classOf(image: Members): Value {
  return image.class ?? DEVICE_CLASS_DEFAULT;
}

function isMembers(value: Value | undefined): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
