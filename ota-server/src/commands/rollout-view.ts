// A rollout as text: a line for the whole, a line per wave, what happened last.

import { columns } from '@flotilla/command-line';
import { formatRoughly } from '@flotilla/command-line/quantities';
import type { RolloutStatusView } from '../control/rollouts.ts';
import type { WaveView } from '../rollout/index.ts';

const COLUMNS = ['wave', 'percent', 'devices', 'pending', 'updating', 'confirmed', 'failed'];
const BAR_WIDTH = 24;

/** Without colours, so that it is the same in a file; no line break at the end. */
export function renderRollout(view: RolloutStatusView, nowMs: number): string {
  const { history, release, rollout, soakEndsMs, status, version, wave, waves } = view;
  const soak =
    soakEndsMs === undefined ? '' : `, soaks for ${formatRoughly(Math.max(0, soakEndsMs - nowMs))}`;
  const head = `${rollout}: ${version} (${release}), ${status}, wave ${wave + 1} of ${waves.length}${soak}`;
  const table = columns([COLUMNS, ...waves.map(row)], 0).map((line, index) => {
    return index === 0 ? line : `${line}  ${bar(waves[index - 1]!)}`.trimEnd();
  });
  const alerts = history.filter((entry) => entry.type === 'alert').slice(-3);
  const lines = alerts.map((alert) => {
    const { deviceClasses, failed, failureRatioMax, reason, resolved } = alert;
    const classes = deviceClasses.length === 0 ? '' : ` of ${deviceClasses.join(', ')}`;
    const limit = `more than ${failureRatioMax * 100} %`;
    return `ALERT wave ${alert.wave + 1}: ${reason}${classes}: ${failed} of ${resolved} failed, ${limit}`;
  });
  return [head, ...table, ...lines].join('\n');
}

function row(wave: WaveView, index: number): string[] {
  const { already, granted, pending } = wave.byStatus;
  const waiting = pending + granted;
  const updating = wave.size - waiting - wave.confirmed - wave.failed - already;
  const counts = [wave.size, waiting, Math.max(0, updating), wave.confirmed + already, wave.failed];
  return [
    `${index + 1}${wave.open ? '' : ' (closed)'}`,
    `${wave.percent} %`,
    ...counts.map((count) => count.toLocaleString('en')),
  ];
}

/** Confirmed `#`, failed `x`, the rest `.`. */
function bar({ byStatus, confirmed, failed, size }: WaveView): string {
  if (size === 0) return '';
  const good = Math.floor((BAR_WIDTH * (confirmed + byStatus.already)) / size);
  const bad = failed === 0 ? 0 : Math.max(1, Math.floor((BAR_WIDTH * failed) / size));
  const rest = Math.max(0, BAR_WIDTH - good - bad);
  return `[${'#'.repeat(good)}${'x'.repeat(bad)}${'.'.repeat(rest)}]`;
}
