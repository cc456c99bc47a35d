// Takes the place of mqtt/version-choice.ts in a bundle for Espruino: 3.1.1 and nothing else.

import { FIXED_4, type VersionChooser } from '../../src/mqtt/fixed-version.ts';

/** Nothing refuses a version: return code 1 is a refusal like any other. */
export function refusesVersion(): boolean {
  return false;
}

export function versionChooser(): VersionChooser {
  return FIXED_4;
}
