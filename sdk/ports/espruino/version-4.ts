// Takes the place of mqtt/version-choice.ts in a bundle for Espruino: 3.1.1 and nothing else.

import type { ProtocolVersion } from '../../src/mqtt/packet.ts';

/** Nothing refuses a version: return code 1 is a refusal like any other. */
export function refusesVersion(): boolean {
  return false;
}

export class VersionChoice {
  next(): ProtocolVersion {
    return 4;
  }

  accepted(): void {
    // There is nothing to remember.
  }

  refused(): boolean {
    return false;
  }

  closed(): boolean {
    return false;
  }
}
