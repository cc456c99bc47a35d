// Tests on the XS engine, where it is installed. It needs a C compiler and make, so a machine may
// be without; then it is said that they did not run, and in CI, which skips nothing, they fail.

import { describe } from 'vitest';
import { engineProblem } from '../scripts/install.mjs';
import { isCi } from '../simulator/test/support/mosquitto.ts';

const problem = engineProblem();

/** `describe`, if there is an engine. */
export function describeOnXs(name: string, tests: () => void): void {
  if (problem === undefined || isCi()) {
    describe(name, tests);
    return;
  }
  console.log(`NOT RUN: ${name}: ${problem}`);
  describe.skip(`${name} (NOT RUN: ${problem})`, tests);
}
