// What became of the rollouts of a run: in the summary, and as people read it.

import { formatInteger, formatShare } from './format.ts';

/** One wave; its devices by where they stand. */
export interface WaveSummary {
  /** Of the fleet, with the waves before. */
  readonly percent: number;
  readonly open: boolean;
  readonly size: number;
  readonly confirmed: number;
  readonly failed: number;
  /** Devices by the engine's status; those without any are left out. */
  readonly byStatus: Readonly<Record<string, number>>;
}

export interface AlertSummary {
  /** Since the scenario began. */
  readonly atMs: number;
  readonly reason: string;
  /** Counts from 0. */
  readonly wave: number;
  readonly deviceClasses: readonly string[];
  readonly failed: number;
  readonly resolved: number;
}

export interface RolloutSummary {
  readonly rollout: string;
  readonly version: string;
  readonly status: string;
  readonly waves: readonly WaveSummary[];
  readonly alerts: readonly AlertSummary[];
  /** When the rollout came to its states, ms since the scenario began. */
  readonly history: readonly {
    readonly atMs: number;
    readonly to: string;
    readonly cause: string;
  }[];
}

/** What became of one kind of attack. */
export interface AttackSummary {
  readonly attack: string;
  /** Devices that it was to be tried on. */
  readonly devices: number;
  readonly stopped: number;
  readonly succeeded: number;
  /** What stopped it, and on how many devices. */
  readonly by: Readonly<Record<string, number>>;
}

/** The rows of the tables are for `columns`, the alerts are sentences. */
export interface RolloutText {
  readonly head: string;
  readonly rows: readonly (readonly string[])[];
  readonly alerts: readonly string[];
}

/** A rollout in words. */
export function describeRollout(rollout: RolloutSummary): RolloutText {
  const { alerts, history, status, version, waves } = rollout;
  const end = history.at(-1);
  const when = end === undefined ? '' : `, ${seconds(end.atMs)} after the start`;
  return {
    head: `${version}  ${status}${when}`,
    rows: [
      ['wave', 'devices', 'confirmed', 'failed', ''],
      ...waves.map((wave) => [
        formatShare(wave.percent / 100),
        formatInteger(wave.size),
        formatInteger(wave.confirmed),
        formatInteger(wave.failed),
        wave.open ? stages(wave) : 'not opened',
      ]),
    ],
    alerts: alerts.map(describeAlert),
  };
}

/** The rows of a table of attacks. */
export function describeAttacks(attacks: readonly AttackSummary[]): string[][] {
  return attacks.map(({ attack, by, devices, stopped, succeeded }) => [
    attack.replaceAll('-', ' '),
    formatInteger(devices),
    formatInteger(stopped),
    formatInteger(succeeded),
    Object.keys(by).join(', '),
  ]);
}

/** Where devices stand, beside what has a column of its own. */
function stages({ byStatus }: WaveSummary): string {
  return Object.entries(byStatus)
    .filter(([name, count]) => count > 0 && name !== 'confirmed')
    .map(([name, count]) => `${formatInteger(count)} ${words(name)}`)
    .join(', ');
}

function describeAlert({ atMs, deviceClasses, failed, reason, resolved, wave }: AlertSummary) {
  const classes = deviceClasses.length === 0 ? '' : ` (hardware: ${deviceClasses.join(', ')})`;
  const counts = `${formatInteger(failed)} of ${formatInteger(resolved)} failed`;
  return `alert after ${seconds(atMs)} in wave ${wave + 1}: ${reason}, ${counts}${classes}`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** `timedOut` as `timed out`. */
function words(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
