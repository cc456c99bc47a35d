// Which devices a release and a rollout are for.

import { isSameBytes, toHex } from '@flotilla/sdk/codec/bytes';
import type { CheckRequest } from '../device-api/index.ts';
import { imageName, type Release } from '../releases/index.ts';
import { compareVersions } from '../releases/version.ts';
import type { RosterEntry } from '../rollout/index.ts';
import type { Device } from './devices.ts';
import type { Target } from './input.ts';
import type { StoredRelease } from './releases.ts';

/** `versionPart` of the SDK: three numbers of at most nine digits, whatever comes after them. */
const VERSION = /^(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?!\d)/;

/** True for the devices that a rollout reaches for. */
export function isTarget(device: Device, target: Target, release: StoredRelease): boolean {
  const { attributes, groups } = device.properties;
  if (!fits(device, release)) return false;
  if (target.groups !== undefined && !target.groups.some((name) => groups.includes(name))) {
    return false;
  }
  return Object.entries(target.attributes ?? {}).every(
    ([name, value]) => attributes[name] === value,
  );
}

/** False where the device is known to be of another vendor or class than the release. */
function fits({ properties }: Device, { signed }: StoredRelease): boolean {
  const { class: classId, vendor } = properties;
  if (classId !== undefined && classId !== toHex(signed.classId)) return false;
  return vendor === undefined || vendor === toHex(signed.vendorId);
}

/** False where the device would have to refuse the release: offering it would count as a failure. */
export function mayOffer(
  release: StoredRelease,
  device: Device,
  { class: classId, sequence, version }: CheckRequest,
): boolean {
  const { signed } = release;
  if (!release.ready || signed.sequence < sequence) return false;
  if (classId !== undefined && !isSameBytes(classId, signed.classId)) return false;
  return meets(version, signed.requires) && fits(device, release);
}

/** Whether the running version fulfils what the manifest asks of it. */
function meets(running: string, requires: Release['requires']): boolean {
  if (requires === undefined) return true;
  // As the device reads it: what follows the numbers is a build, and without numbers none holds.
  const numbers = VERSION.exec(running)?.slice(1).map(Number);
  if (numbers === undefined) return false;
  const order = compareVersions(numbers.join('.'), requires.version);
  switch (requires.comparison) {
    case 'greater':
      return order > 0;
    case 'greater-equal':
      return order >= 0;
    case 'equal':
      return order === 0;
    case 'lesser-equal':
      return order <= 0;
    case 'lesser':
      return order < 0;
  }
}

export function rosterEntry({ id, properties }: Device): RosterEntry {
  return { id, deviceClass: properties.hardware ?? properties.class ?? 'unknown' };
}

/** True when this is the digest of an image of the release. */
export function isImageOf({ images }: StoredRelease, digest: Uint8Array): boolean {
  const name = imageName(digest);
  return images.some((image) => image.name === name);
}
