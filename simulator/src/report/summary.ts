// The summary of a run: the object that `--summary-export` writes and every report renders.

import type { ApplicationError } from '../fleet/application-errors.ts';
import type { CounterName } from '../metrics/names.ts';
import type { Snapshot } from '../metrics/snapshot.ts';
import { evaluate, type ThresholdResult } from '../metrics/thresholds.ts';
import type { LoadedScenario } from '../scenario/load.ts';
import type { Scenario } from '../scenario/schema.ts';
import { shellCommand } from '../shell-command.ts';
import type { FanOutSummary } from './fan-out.ts';
import type { AttackSummary, RolloutSummary } from './updates.ts';

/** Where every produced message went. */
export interface Ledger {
  readonly produced: number;
  readonly observed: number;
  /** Never acknowledged, never observed. */
  readonly lost: number;
  /** Acknowledged by the broker, never delivered: a finding about the broker. */
  readonly unseen: number;
  /** Acknowledged while the observer's own session was gone. */
  readonly unobservable: number;
  /** Given up by the device. */
  readonly dropped: number;
  /** The same by cause: of the server by the standard's name of its reason code. */
  readonly droppedBy: Readonly<Record<string, number>>;
  /** Held in RAM only and lost at a restart. */
  readonly volatile: number;
  /** Still in a buffer at the end. */
  readonly pending: number;
  /** Further copies of observed messages; no part of the identity. */
  readonly duplicated: number;
  /**
   * produced = observed + lost + unseen + unobservable + dropped + volatile + pending, and the causes
   * of what was dropped add up to it.
   */
  readonly balanced: boolean;
}

/** Whether a run could be judged. */
export type Judged = { readonly ok: true } | { readonly ok: false; readonly reason: string };

/** Why messages of a fleet were dropped, and how often. */
export interface FleetDrops {
  readonly fleet: string;
  readonly causes: Readonly<Record<string, number>>;
}

/** What a run comes to. */
export type Verdict = 'passed' | 'failed' | 'not judged' | 'interrupted';

export interface Performance {
  readonly workers: number;
  /** Of the program and its runtime: `{ flotilla, node }` and what else matters. */
  readonly versions: Readonly<Record<string, string>>;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly wallMs: number;
  /** User and system time of the whole process with its workers. */
  readonly cpuMs: number;
  /** Largest resident size seen. */
  readonly rssBytes: number;
  /** Why connections ended, and how often. */
  readonly disconnectReasons?: Readonly<Record<string, number>>;
  /** Why connects failed, and how often; the sum is `connect_failures`. */
  readonly failedConnects?: Readonly<Record<string, number>>;
  /** What a reader must know before they trust the figures, in words. */
  readonly warnings?: readonly string[];
  /** Further measurements, in units that their names end in. */
  readonly [measurement: string]: unknown;
}

export interface Summary {
  readonly schemaVersion: 1;
  readonly scenario: string;
  readonly seed: number;
  readonly mode: 'live' | 'virtual';
  readonly devices: number;
  /** `embedded`, or the broker's URL without credentials. */
  readonly broker: string;
  /** What was spoken, for people: `MQTT 5`, `MQTT 3.1.1`, `MQTT 5 and 3.1.1`. */
  readonly protocol: string;
  readonly run: {
    /** First part of all client ids. */
    readonly id: string;
    /** As given on the command line. */
    readonly file: string;
    /** SHA-256 of the file's bytes, hex. */
    readonly scenarioDigest: string;
    /** Flags beside the seed that this run was given, one argument each. */
    readonly overrides: readonly string[];
    /** How long devices sampled: less than the scenario says when the run ended early. */
    readonly durationMs: number;
  };
  readonly verdict: Verdict;
  /** The verdict is `passed`. */
  readonly passed: boolean;
  /** A run that could not be judged has not passed; nor has it failed. */
  readonly judged: Judged;
  readonly thresholds: readonly ThresholdResult[];
  readonly ledger: Ledger;
  readonly metrics: Snapshot;
  /** By fleet, where messages were dropped. */
  readonly drops?: readonly FleetDrops[];
  /** The first exceptions of the user's applications; `application_errors` counts them all. */
  readonly applicationErrors?: readonly ApplicationError[];
  /** Where fleets subscribe to the telemetry of others. */
  readonly fanOut?: readonly FanOutSummary[];
  /** Where the timeline rolls firmware out. */
  readonly rollouts?: readonly RolloutSummary[];
  /** Where the scenario attacks updates. */
  readonly attacks?: readonly AttackSummary[];
  readonly performance: Performance;
  /** The user ended the run early. */
  readonly interrupted?: boolean;
  /** The threshold that ended the run early: `metric: expression`. */
  readonly abortedBy?: string;
}

/** What a summary tells of its scenario. */
export type ToldScenario = Pick<LoadedScenario, 'digest' | 'file' | 'overrides'> & {
  readonly scenario: Pick<Scenario, 'broker' | 'fleets' | 'name' | 'seed' | 'thresholds'>;
};

/** Of a scenario that could not be read nothing but its file is known. */
export function unreadScenario(file: string): ToldScenario {
  const scenario = { name: file, seed: 0, fleets: [], thresholds: [] };
  return { scenario, digest: '', file, overrides: [] };
}

/** What a run hands over at its end. */
export interface Outcome {
  readonly loaded: LoadedScenario;
  /** First part of all client ids. */
  readonly runId: string;
  readonly mode: Summary['mode'];
  /** `embedded`, or the broker's URL without credentials. */
  readonly broker: string;
  readonly protocol: string;
  /** Taken with `thresholdPercentiles(scenario.thresholds)`, after settling. */
  readonly snapshot: Snapshot;
  /** Causes of what was dropped, of fleets that dropped something; absent = none did. */
  readonly drops?: readonly FleetDrops[];
  /** How long devices sampled: what rates of counters are over. */
  readonly durationMs: number;
  readonly applicationErrors?: readonly ApplicationError[];
  readonly fanOut?: readonly FanOutSummary[];
  readonly rollouts?: readonly RolloutSummary[];
  readonly attacks?: readonly AttackSummary[];
  readonly performance: Performance;
  /** Absent: it could. */
  readonly judged?: Judged;
  readonly interrupted?: boolean;
  readonly abortedBy?: ThresholdResult;
}

/** Judges a run. */
export function buildSummary(
  outcome: Omit<Outcome, 'loaded'> & { readonly loaded: ToldScenario },
): Summary {
  const { loaded, snapshot, abortedBy, interrupted, judged = { ok: true } } = outcome;
  const { applicationErrors = [], drops = [] } = outcome;
  const { scenario } = loaded;
  const thresholds = evaluate(scenario.thresholds, snapshot, outcome.durationMs / 1000);
  const ledger = ledgerOf(snapshot, causesOf(drops));
  const facts = {
    judged,
    thresholds,
    ledger,
    ...(interrupted === true ? { interrupted } : {}),
    ...(abortedBy === undefined
      ? {}
      : { abortedBy: `${abortedBy.metric}: ${abortedBy.expression}` }),
  };
  const verdict = verdictOf(facts);
  return {
    schemaVersion: 1,
    scenario: scenario.name,
    seed: scenario.seed,
    mode: outcome.mode,
    devices: scenario.fleets.reduce((sum, { count }) => sum + count, 0),
    broker: outcome.broker,
    protocol: outcome.protocol,
    run: {
      id: outcome.runId,
      file: loaded.file,
      scenarioDigest: loaded.digest,
      overrides: loaded.overrides,
      durationMs: outcome.durationMs,
    },
    verdict,
    passed: verdict === 'passed',
    ...facts,
    metrics: snapshot,
    ...(drops.length === 0 ? {} : { drops }),
    ...(applicationErrors.length === 0 ? {} : { applicationErrors }),
    ...(outcome.fanOut === undefined ? {} : { fanOut: outcome.fanOut }),
    ...(outcome.rollouts === undefined ? {} : { rollouts: outcome.rollouts }),
    ...(outcome.attacks === undefined ? {} : { attacks: outcome.attacks }),
    performance: outcome.performance,
  };
}

/**
 * The one place where a run is judged: it passes when all thresholds hold and it came to its end.
 * A run that was blind, or whose ledger does not balance, is not judged: its figures are no
 * evidence, neither for the broker nor against it.
 */
export function verdictOf({
  abortedBy,
  interrupted,
  judged,
  ledger,
  thresholds,
}: Pick<Summary, 'abortedBy' | 'interrupted' | 'judged' | 'ledger' | 'thresholds'>): Verdict {
  if (interrupted === true) return 'interrupted';
  if (!judged.ok || !ledger.balanced) return 'not judged';
  return abortedBy === undefined && thresholds.every(({ ok }) => ok) ? 'passed' : 'failed';
}

/** Of a run that could not start, or of which a part died: nothing was summed up. */
export function unjudgedSummary(
  loaded: ToldScenario,
  end: {
    readonly runId: string;
    readonly reason: string;
    readonly interrupted: boolean;
    readonly startedAt: string;
    readonly wallMs: number;
  },
): Summary {
  const { reason, interrupted, runId, startedAt, wallMs } = end;
  const { scenario } = loaded;
  return buildSummary({
    loaded: { ...loaded, scenario: { ...scenario, thresholds: [] } },
    runId,
    mode: 'live',
    broker: scenario.broker?.url ?? 'embedded',
    protocol: 'MQTT',
    snapshot: {},
    durationMs: 0,
    performance: {
      workers: 0,
      versions: { node: process.version },
      startedAt,
      wallMs,
      cpuMs: 0,
      rssBytes: process.resourceUsage().maxRSS * 1024,
    },
    judged: { ok: false, reason },
    ...(interrupted ? { interrupted } : {}),
  });
}

/** Of all fleets together. */
function causesOf(drops: readonly FleetDrops[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { causes } of drops) {
    for (const [cause, count] of Object.entries(causes)) sums[cause] = (sums[cause] ?? 0) + count;
  }
  return sums;
}

/** The ledger that a snapshot holds; it balances only where the causes add up too. */
export function ledgerOf(snapshot: Snapshot, droppedBy: Ledger['droppedBy'] = {}): Ledger {
  const count = (name: CounterName) => {
    const metric = snapshot[name];
    return metric?.kind === 'counter' ? metric.value : 0;
  };
  const produced = count('messages_produced');
  const terms = {
    observed: count('messages_observed'),
    lost: count('messages_lost'),
    unseen: count('messages_unseen'),
    unobservable: count('messages_unobservable'),
    dropped: count('messages_dropped'),
    volatile: count('messages_volatile'),
    pending: count('messages_pending'),
  };
  const sum = (values: Record<string, number>) =>
    Object.values(values).reduce((left, right) => left + right, 0);
  const balanced = sum(terms) === produced && sum(droppedBy) === terms.dropped;
  return { produced, ...terms, droppedBy, duplicated: count('messages_duplicated'), balanced };
}

const EXIT_CODES = { passed: 0, 'not judged': 1, failed: 99, interrupted: 130 } as const;

/** The process's exit code; 99 is k6's of a crossed threshold. */
export function exitCode(summary: Summary): 0 | 1 | 99 | 130 {
  return EXIT_CODES[verdictOf(summary)];
}

/** The whole command that repeats a run, for a POSIX shell. */
export function reproduceCommand({ rollouts, run, seed }: Summary): string {
  // Which devices a wave has follows from their ids; nothing else does.
  const ids = rollouts === undefined ? [] : [`--run=${run.id}`];
  const flags = [`--seed=${seed}`, ...ids, ...run.overrides];
  return shellCommand(['npx', 'flotilla', 'run', run.file, ...flags]);
}
