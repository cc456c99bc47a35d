// The process of one side: connects and publishes as it is asked, and measures itself.

import { writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { answerParent } from '../child.ts';
import type { Protocol } from './fleet.ts';

export interface LoadOptions {
  /** Of the broker on 127.0.0.1. */
  readonly port: number;
  readonly protocol: Protocol;
  readonly qos: 0 | 1;
  readonly intervalMs: number;
  /** Of our devices; MQTT.js keeps what it cannot send without a bound. */
  readonly bufferSize: number;
  /** Ours only: with adaptive sensors and a shadow. */
  readonly isWhole?: boolean;
}

export type LoadRequest =
  | { readonly kind: 'open'; readonly options: LoadOptions }
  /** Gets ready to connect this many more devices. */
  | { readonly kind: 'prepare'; readonly count: number }
  /** Begins to connect them. */
  | { readonly kind: 'connect' }
  /** With `collect`, garbage goes first: for memory, not for CPU time. */
  | { readonly kind: 'read'; readonly collect: boolean }
  | { readonly kind: 'stop-publishing' }
  | { readonly kind: 'profile' }
  | { readonly kind: 'end-profile'; readonly file: string }
  | { readonly kind: 'finish' };

export interface Reading {
  /** Monotonic ms. */
  readonly atMs: number;
  /** CPU time of the thread that runs the clients, and of all threads of its process. */
  readonly threadUs: number;
  readonly processUs: number;
  readonly rssBytes: number;
  readonly heapBytes: number;
}

/** What became of the messages; taken when nothing is published any more. */
export interface Totals {
  readonly produced: number;
  /** Neither acknowledged nor, at QoS 0, written. */
  readonly pending: number;
  readonly dropped: number;
  /** Scheduled, but left out because the generator was too late. */
  readonly missed: number;
}

/** One side of the comparison. */
export interface Load {
  /** What is not part of a connect, such as reading a scenario. */
  prepare(count: number): void;
  connect(): void;
  stopPublishing(): void;
  finish(): Totals | Promise<Totals>;
}

/** Collections before memory is read, and what V8 gets between them to give pages back. */
const COLLECT_COUNT = 4;
const COLLECT_PAUSE_MS = 250;
/**
 * A plain collection leaves V8 with a young generation as large as it ever needed, which can be
 * more than all devices together; 'last-resort' gives that back.
 */
const COLLECTION = { type: 'major', execution: 'sync', flavor: 'last-resort' } as const;
const PROFILE_INTERVAL_US = 200;

async function read(collect: boolean): Promise<Reading> {
  for (let count = 0; collect && count < COLLECT_COUNT; count += 1) {
    globalThis.gc?.(COLLECTION);
    await delay(COLLECT_PAUSE_MS);
  }
  const all = process.cpuUsage();
  const own = process.threadCpuUsage();
  const { rss, heapUsed } = process.memoryUsage();
  return {
    atMs: performance.now(),
    threadUs: own.user + own.system,
    processUs: all.user + all.system,
    rssBytes: rss,
    heapBytes: heapUsed,
  };
}

/** Answers the bench with the side that `open` makes. */
export function serveLoad(open: (options: LoadOptions) => Load): void {
  const session = new Session();
  let load: Load | undefined;
  answerParent<LoadRequest>(async (request) => {
    switch (request.kind) {
      case 'open':
        load = open(request.options);
        return;
      case 'prepare':
        return load?.prepare(request.count);
      case 'connect':
        return load?.connect();
      case 'read':
        return await read(request.collect);
      case 'stop-publishing':
        return load?.stopPublishing();
      case 'profile':
        session.connect();
        await session.post('Profiler.enable');
        await session.post('Profiler.setSamplingInterval', { interval: PROFILE_INTERVAL_US });
        return await session.post('Profiler.start');
      case 'end-profile': {
        const { profile } = await session.post('Profiler.stop');
        session.disconnect();
        writeFileSync(request.file, JSON.stringify(profile));
        return;
      }
      case 'finish':
        return await load?.finish();
    }
  });
}
