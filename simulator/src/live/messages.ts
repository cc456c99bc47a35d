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

/** The observer may not have seen what was acknowledged in this time, ms of the run. */
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
  /** By device: when its latest connection was accepted, whole ms of the run; all workers share it. */
  readonly connectedMs: Int32Array;
  /** This worker owns the devices with index % workerCount = worker. */
  readonly worker: number;
  readonly workerCount: number;
  readonly port: MessagePort;
  /** Memory of the worker's `Heartbeat`. */
  readonly heartbeat: Int32Array;
}

export type ToWorker =
  /** Who subscribes connects, from this moment on. */
  | { readonly kind: 'subscribe'; readonly fromMs: number }
  /** Every worker is ready: the scenario begins, and its timeline counts from here. */
  | { readonly kind: 'begin'; readonly beginMs: number }
  | { readonly kind: 'stop-sampling' }
  /** What is acknowledged while it is blind must be remembered until it sees again. */
  | { readonly kind: 'observer'; readonly isBlind: boolean }
  | { readonly kind: 'gap'; readonly gap: Gap }
  /** Leave the broker, report the accounts, end. */
  | { readonly kind: 'finish' };

/** Why something happened, and how often. */
export type Reasons = Readonly<Record<string, number>>;

export interface WorkerReport {
  readonly kind: 'report';
  readonly registry: RegistryWire;
  /** Messages in outboxes. */
  readonly pending: number;
  /** Samples that came too late to be taken: the generator could not keep up. */
  readonly missedSamples: number;
  readonly health: Health;
  /** Why connections ended, and why connects failed. */
  readonly reasons: Reasons;
  readonly failures: Reasons;
  /** What the broker did not take of what devices say and ask beside telemetry. */
  readonly findings: Reasons;
  /** The first exceptions of applications. */
  readonly applicationErrors: readonly ApplicationError[];
  /** Devices whose connections the server closed again and again without a word. */
  readonly thrownOut: number;
  /** Device and time of each connection accepted since the last report, in turn. */
  readonly connections: Float64Array;
  /** Up to this moment; ms of the run. */
  readonly upToMs: number;
  /** Connections accepted, by MQTT version. */
  readonly versions: Readonly<Record<'4' | '5', number>>;
}

export type FromWorker =
  | { readonly kind: 'ready' }
  /** All of its subscribers are subscribed. */
  | { readonly kind: 'subscribed' }
  | WorkerReport;

/** What a subscriber received as a member of an audience of the plan. */
export interface SubscriberResult {
  readonly device: number;
  readonly audience: number;
  /** Different messages by the audience's columns; absent in a group. */
  readonly counts?: Uint32Array;
  readonly received: number;
  readonly latencyCount: number;
  readonly latencySumMs: number;
  readonly latencyMaxMs: number;
}

export interface FanOutResult {
  /** Of those that received anything. */
  readonly subscribers: readonly SubscriberResult[];
  /** By audience of a group and its columns: the sequences that its members here received. */
  readonly groups: readonly {
    readonly audience: number;
    readonly bits: readonly (Uint8Array | undefined)[];
  }[];
}

export interface WorkerResult {
  readonly report: WorkerReport;
  readonly accounts: readonly DeviceAccount[];
  readonly fanOut: FanOutResult;
  /** Ids of devices that may have left a retained status or a session at the broker. */
  readonly leftovers: readonly string[];
}

export interface ServiceTask {
  readonly scenario: Scenario;
  readonly run: string;
  readonly start: RunStart;
  readonly target: Target;
}

export interface ObserverTask extends ServiceTask {
  readonly workerCount: number;
}

export type ToObserver =
  | { readonly kind: 'start'; readonly task: ObserverTask }
  /** Device and time of each connection that a worker's devices had accepted, in turn. */
  | {
      readonly kind: 'connections';
      readonly worker: number;
      readonly connections: Float64Array;
      /** None of its connections up to this moment is missing; ms of the run. */
      readonly upToMs: number;
    }
  /** Is all seen that was acknowledged so far? */
  | { readonly kind: 'check' }
  | { readonly kind: 'finish' };

export interface ObserverReport {
  readonly kind: 'report';
  readonly registry: RegistryWire;
  /** Nothing proves that it sees what the broker delivers. */
  readonly isBlind: boolean;
  readonly health: ObserverHealth;
}

/** How well the observer sees. */
export interface ObserverHealth {
  /** How long messages of its own took by way of the broker, and pauses of its program. */
  readonly delayMedMs: number;
  readonly delayP99Ms: number;
  readonly delayMaxMs: number;
  /** Messages of its own, and those of them that the broker discarded. */
  readonly sentinels: number;
  readonly sentinelsLost: number;
  /** Pauses of its program, and the longest. */
  readonly stalls: number;
  readonly stallMaxMs: number;
  /** For how long nothing proves that it saw what was acknowledged. */
  readonly blindMs: number;
  /** Deliveries whose latency was its own, and is counted nowhere. */
  readonly latenciesLeftOut: number;
}

/** Since when the observer saw nothing, ms of the run, and why; '' = nobody knows. */
export interface Blindness {
  readonly fromMs: number;
  readonly why: string;
}

export type FromObserver =
  /** Subscribed: what is acknowledged from now on is seen. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'unreachable'; readonly reason: string }
  | { readonly kind: 'gap'; readonly gap: Gap }
  | ObserverReport
  /** The answer to a check; the gap comes before it. */
  | { readonly kind: 'checked'; readonly blind?: Blindness }
  /** Ranges of observed sequences by device index. */
  | { readonly kind: 'seen'; readonly seen: readonly (readonly number[])[] };

export type ShadowTask = ServiceTask;

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
