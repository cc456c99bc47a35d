// What the threads and processes of a live run tell each other.

import type { MessagePort } from 'node:worker_threads';
import type { ApplicationError } from '../fleet/application-errors.ts';
import type { DeviceAccount } from '../ledger/account.ts';
import type { RegistryWire } from '../metrics/registry.ts';
import type { Broker, Scenario } from '../scenario/schema.ts';
import type { Health } from './health.ts';
import type { RunStart } from './run-clock.ts';

/** Where the devices connect to: the scenario's broker with its host name resolved. */
export type Target = Pick<Broker, 'host' | 'port' | 'username' | 'password' | 'tls'>;

/** The observer's session was gone from one moment to another, both ms of the run. */
export interface Gap {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Base URLs, without a slash at their ends. */
export interface OtaUrls {
  readonly server: string;
  /** Between devices and server, where the scenario attacks updates. */
  readonly attacker: string | undefined;
}

export interface WorkerTask {
  readonly scenario: Scenario;
  readonly run: string;
  readonly start: RunStart;
  readonly target: Target;
  /** Where the scenario has firmware. */
  readonly ota: OtaUrls | undefined;
  /** This worker owns the devices with index % workerCount = worker. */
  readonly worker: number;
  readonly workerCount: number;
  readonly port: MessagePort;
  /** Memory of the worker's `Heartbeat`. */
  readonly heartbeat: Int32Array;
}

export type ToWorker =
  /** Every worker is ready: the scenario begins, and its timeline counts from here. */
  | { readonly kind: 'begin'; readonly beginMs: number }
  | { readonly kind: 'stop-sampling' }
  /** What is acknowledged while it is away must be remembered until it is back. */
  | { readonly kind: 'observer'; readonly isAway: boolean }
  | { readonly kind: 'gap'; readonly gap: Gap }
  /** Leave the broker, report the accounts, end. */
  | { readonly kind: 'finish' };

/** Why connections ended or failed, or messages were dropped, and how often. */
export type Reasons = Readonly<Record<string, number>>;

export interface WorkerReport {
  readonly kind: 'report';
  readonly registry: RegistryWire;
  /** Messages in outboxes. */
  readonly pending: number;
  /** Samples that came too late to be taken: the generator could not keep up. */
  readonly missedSamples: number;
  readonly health: Health;
  readonly reasons: Reasons;
  /** Why messages were dropped, by fleet. */
  readonly dropCauses: readonly Reasons[];
  /** The first exceptions of applications. */
  readonly applicationErrors: readonly ApplicationError[];
  /** Connections accepted, by MQTT version. */
  readonly versions: Readonly<Record<'4' | '5', number>>;
}

export type FromWorker = { readonly kind: 'ready' } | WorkerReport;

export interface WorkerResult {
  readonly report: WorkerReport;
  readonly accounts: readonly DeviceAccount[];
  /** Ids of devices that may have left a retained status or a session at the broker. */
  readonly leftovers: readonly string[];
}

export interface ObserverTask {
  readonly scenario: Scenario;
  readonly run: string;
  readonly start: RunStart;
  readonly target: Target;
}

export type ToObserver =
  | { readonly kind: 'start'; readonly task: ObserverTask }
  | { readonly kind: 'finish' };

export interface ObserverReport {
  readonly kind: 'report';
  readonly registry: RegistryWire;
  /** Set while the observer is away or its session is lost: from when on nothing is certain. */
  readonly openGapFromMs: number | undefined;
}

export type FromObserver =
  /** Subscribed: what is acknowledged from now on is seen. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'unreachable'; readonly reason: string }
  | { readonly kind: 'gap'; readonly gap: Gap }
  | ObserverReport
  /** Ranges of observed sequences by device index. */
  | { readonly kind: 'seen'; readonly seen: readonly (readonly number[])[] };

export type ShadowTask = ObserverTask;

export type ToShadow =
  | { readonly kind: 'start'; readonly task: ShadowTask }
  /** The scenario begins. */
  | { readonly kind: 'begin'; readonly beginMs: number }
  /** Leave the broker, report. */
  | { readonly kind: 'finish' };

export interface ShadowReport {
  readonly kind: 'report';
  readonly registry: RegistryWire;
}

export type FromShadow =
  /** Requests are answered. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'unreachable'; readonly reason: string }
  | ShadowReport
  /** Nothing is left at the broker; the last report came before. */
  | { readonly kind: 'finished' };

export type FromBroker = { readonly kind: 'listening'; readonly port: number };
