// A rollout for people and the API.

import {
  type ClassView,
  DEVICE_STATUS,
  type DeviceStatusName,
  type RolloutView,
  type WaveView,
} from './model.ts';
import { waveAt } from './order.ts';
import { type RolloutState, STATUS_COUNT } from './state.ts';

const NAMES = Object.keys(DEVICE_STATUS) as DeviceStatusName[];

/** Where one device is; `wave` is the wave it belongs to, open or not. */
export interface DeviceView {
  readonly status: DeviceStatusName;
  /** Number of its last offer; 0 = none. */
  readonly attempt: number;
  readonly wave: number;
}

/** The counts as they are now. */
export function viewOf(state: RolloutState): RolloutView {
  const { head } = state;
  return {
    rollout: head.options.rollout,
    release: head.options.release,
    ...(head.rollbackRelease === undefined ? {} : { rollbackRelease: head.rollbackRelease }),
    status: head.status,
    wave: head.wave,
    waves: head.options.waves.map((_, wave) => waveView(state, wave)),
    ...(head.soakEndsMs === 0 ? {} : { soakEndsMs: head.soakEndsMs }),
  };
}

/** A device that the rollout does not know is `excluded`. */
export function deviceStatusOf(state: RolloutState, device: number): DeviceView {
  const { columns, head } = state;
  if (!(device >= 0 && device < head.deviceCount)) {
    return { status: 'excluded', attempt: 0, wave: 0 };
  }
  return {
    status: NAMES[columns.status[device]!]!,
    attempt: columns.attempt[device]!,
    wave: waveAt(state.ends, columns.position[device]!),
  };
}

function waveView(state: RolloutState, wave: number): WaveView {
  const byStatus = Object.fromEntries(NAMES.map((name) => [name, 0])) as Record<
    DeviceStatusName,
    number
  >;
  const classes: ClassView[] = [];
  let confirmed = 0;
  let failed = 0;
  let size = 0;
  for (const tally of state.tallies) {
    for (let status = 0; status < STATUS_COUNT; status += 1) {
      const devices = tally.byStatus[wave * STATUS_COUNT + status]!;
      byStatus[NAMES[status]!] += devices;
      size += devices;
    }
    const outcome = { confirmed: tally.confirmed[wave]!, failed: tally.failed[wave]! };
    confirmed += outcome.confirmed;
    failed += outcome.failed;
    if (outcome.confirmed + outcome.failed > 0) {
      classes.push({ deviceClass: tally.name, ...outcome });
    }
  }
  return {
    percent: state.head.options.waves[wave]!.percent,
    open: wave < state.head.openCount,
    size,
    byStatus,
    confirmed,
    failed,
    classes,
  };
}
