// The summary of a run: the object that `--summary-export` writes and every report renders.

import type { ApplicationError } from '../fleet/application-errors.ts';
import type { CounterName } from '../metrics/names.ts';
import type { Snapshot } from '../metrics/snapshot.ts';
import { evaluate, type ThresholdResult } from '../metrics/thresholds.ts';
import type { LoadedScenario } from '../scenario/load.ts';
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
  /** Given up by the device; `drops` says why. */
  readonly dropped: number;
  /** Held in RAM only and lost at a restart. */
  readonly volatile: number;
  /** Still in a buffer at the end. */
  readonly pending: number;
  /** Further copies of observed messages; no part of the identity. */
  readonly duplicated: number;
  /** produced = observed + lost + unseen + unobservable + dropped + volatile + pending. */
  readonly balanced: boolean;
}

/** Whether what a run measured is worth a verdict, and why not. */
export interface Judgement {
  readonly ok: boolean;
  readonly reason: string;
}

/** Why messages of a fleet were dropped, and how often. */
export interface FleetDrops {
  readonly fleet: string;
  readonly causes: Readonly<Record<string, number>>;
}

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
  /** Why connections ended or failed, and how often. */
  readonly disconnectReasons?: Readonly<Record<string, number>>;
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
    /** As given on the command line. */
    readonly file: string;
    /** SHA-256 of the file's bytes, hex. */
    readonly scenarioDigest: string;
    /** Flags beside the seed that this run was given, one argument each. */
    readonly overrides: readonly string[];
    /** How long devices sampled: less than the scenario says when the run ended early. */
    readonly durationMs: number;
  };
  readonly passed: boolean;
  readonly thresholds: readonly ThresholdResult[];
  readonly ledger: Ledger;
  readonly metrics: Snapshot;
  /** By fleet, where messages were dropped. */
  readonly drops?: readonly FleetDrops[];
  /** The first exceptions of the user's applications; `application_errors` counts them all. */
  readonly applicationErrors?: readonly ApplicationError[];
  /** Where the timeline rolls firmware out. */
  readonly rollouts?: readonly RolloutSummary[];
  /** Where the scenario attacks updates. */
  readonly attacks?: readonly AttackSummary[];
  readonly performance: Performance;
  /** Absent: the run could be judged. */
  readonly judged?: Judgement;
  /** The user ended the run early. */
  readonly interrupted?: boolean;
  /** The threshold that ended the run early: `metric: expression`. */
  readonly abortedBy?: string;
}

/** What a run hands over at its end. */
export interface Outcome {
  readonly loaded: LoadedScenario;
  readonly mode: Summary['mode'];
  /** `embedded`, or the broker's URL without credentials. */
  readonly broker: string;
  readonly protocol: string;
  /** Taken with `thresholdPercentiles(scenario.thresholds)`, after settling. */
  readonly snapshot: Snapshot;
  /** How long devices sampled: what rates of counters are over. */
  readonly durationMs: number;
  readonly drops?: readonly FleetDrops[];
  readonly applicationErrors?: readonly ApplicationError[];
  readonly rollouts?: readonly RolloutSummary[];
  readonly attacks?: readonly AttackSummary[];
  readonly performance: Performance;
  readonly judged?: Judgement;
  readonly interrupted?: boolean;
  readonly abortedBy?: ThresholdResult;
}

/** Judges a run: it passes when all thresholds hold, the ledger balances and it ran to its end. */
export function buildSummary(outcome: Outcome): Summary {
  const { loaded, snapshot, abortedBy, interrupted, judged } = outcome;
  const { scenario } = loaded;
  const thresholds = evaluate(scenario.thresholds, snapshot, outcome.durationMs / 1000);
  const ledger = ledgerOf(snapshot);
  const complete = interrupted !== true && abortedBy === undefined && judged?.ok !== false;
  return {
    schemaVersion: 1,
    scenario: scenario.name,
    seed: scenario.seed,
    mode: outcome.mode,
    devices: scenario.fleets.reduce((sum, { count }) => sum + count, 0),
    broker: outcome.broker,
    protocol: outcome.protocol,
    run: {
      file: loaded.file,
      scenarioDigest: loaded.digest,
      overrides: loaded.overrides,
      durationMs: outcome.durationMs,
    },
    passed: complete && ledger.balanced && thresholds.every(({ ok }) => ok),
    thresholds,
    ledger,
    metrics: snapshot,
    ...(outcome.drops === undefined || outcome.drops.length === 0 ? {} : { drops: outcome.drops }),
    ...(outcome.applicationErrors === undefined || outcome.applicationErrors.length === 0
      ? {}
      : { applicationErrors: outcome.applicationErrors }),
    ...(outcome.rollouts === undefined ? {} : { rollouts: outcome.rollouts }),
    ...(outcome.attacks === undefined ? {} : { attacks: outcome.attacks }),
    performance: outcome.performance,
    ...(judged === undefined ? {} : { judged }),
    ...(interrupted === true ? { interrupted } : {}),
    ...(abortedBy === undefined
      ? {}
      : { abortedBy: `${abortedBy.metric}: ${abortedBy.expression}` }),
  };
}

/** The ledger that a snapshot holds. */
export function ledgerOf(snapshot: Snapshot): Ledger {
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
  const sum = Object.values(terms).reduce((left, right) => left + right, 0);
  const duplicated = count('messages_duplicated');
  return { produced, ...terms, duplicated, balanced: sum === produced };
}

/**
 * The process's exit code: 0 passed, 1 not judged or the ledger does not balance, 99 a threshold was crossed
 * (k6's code), 130 interrupted.
 */
export function exitCode(summary: Summary): 0 | 1 | 99 | 130 {
  if (summary.interrupted === true) return 130;
  if (!summary.ledger.balanced || summary.judged?.ok === false) return 1;
  return summary.passed ? 0 : 99;
}

/** The whole command that repeats a run, for a POSIX shell. */
export function reproduceCommand(summary: Summary): string {
  const { file, overrides } = summary.run;
  const flags = [`--seed=${summary.seed}`, ...overrides].flatMap((flag) => {
    // `--name value` reads better, but a value that begins with a dash would be a flag.
    const [, name, value] = /^(--[a-z-]+)=([^-].*)$/s.exec(flag) ?? [];
    return name === undefined ? [flag] : [name, value!];
  });
  return `npx flotilla run ${[file, ...flags].map(quote).join(' ')}`;
}

/** One word for a POSIX shell. */
function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
