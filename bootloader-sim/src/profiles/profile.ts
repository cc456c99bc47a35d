// A profile is a bootloader: it owns the image format, the record and the decision.

import type { BootReason } from '@flotilla/sdk/platform';
import type { BootDecision, ImageVerdict, Machine, Region } from '../machine.ts';

export interface Profile {
  readonly name: string;
  /** Checks the image in a region: format, digest, signature. Not its security version. */
  verify(machine: Machine, region: Region): ImageVerdict;
  /** Stage 2: decides what runs, and writes what it must before it jumps. */
  decide(machine: Machine, reset: BootReason): BootDecision;
  /** What the running program calls. `slot`: the one that runs. */
  stage(machine: Machine, slot: number): void;
  confirm(machine: Machine, slot: number): void;
  reject(machine: Machine, slot: number): void;
}
