// The device that the manifest of the benchmark is for; on Node and on XS the same.

import type { UpdateTarget } from '../../sdk/src/ota/manifest.ts';

export const BENCH_TARGET: UpdateTarget = {
  vendorId: new Uint8Array(16).fill(1),
  classId: new Uint8Array(16).fill(2),
  slot: 1,
  slotSize: 1 << 20,
  sequence: 1,
  version: '1.0.0',
  timeS: 1_800_000_000,
};
