// Fleets for the tests: options with ordinary values, random event streams, and devices that behave.

import fc from 'fast-check';
import {
  createRollout,
  type Effect,
  offerFor,
  type RolloutEvent,
  type RolloutOptions,
  type RolloutState,
  type Running,
  type Stage,
  step,
  type WaveOptions,
} from '../../src/rollout/index.ts';

export const STAGES: readonly Stage[] = [
  'downloading',
  'downloaded',
  'verified',
  'staged',
  'rebooting',
  'trial',
  'confirmed',
  'failed',
  'reverted',
];

export function wave(percent: number, changes: Partial<WaveOptions> = {}): WaveOptions {
  return {
    percent,
    soakMs: 600_000,
    failureRatioMax: 0.1,
    successRatioMin: 0.9,
    sampleMin: 20,
    ...changes,
  };
}

export function options(
  waves: readonly WaveOptions[] = [wave(5), wave(25), wave(100)],
  changes: Partial<RolloutOptions> = {},
): RolloutOptions {
  return {
    rollout: 'r1',
    salt: 'salt',
    release: '2.0.0',
    waves,
    offerTimeoutMs: 3_600_000,
    attemptsMax: 2,
    retryDelayMs: 60_000,
    retryDelayMsMax: 600_000,
    abnormalResetsMax: 2,
    silenceMsMax: 300_000,
    onFailure: 'stop',
    ...changes,
  };
}

/** Devices named like a product's serial numbers, their classes by turns. */
export function fleet(count: number, classes: readonly string[] = ['meter']) {
  return Array.from({ length: count }, (_, index) => ({
    id: `device-${String(index).padStart(6, '0')}`,
    deviceClass: classes[index % classes.length]!,
  }));
}

export function create(rollout: RolloutOptions, devices: ReturnType<typeof fleet>): RolloutState {
  return createRollout(rollout, { count: devices.length, entry: (index) => devices[index] });
}

/** A rollout that runs, at time 1. */
export function started(rollout: RolloutOptions, devices = fleet(40)): RolloutState {
  const state = create(rollout, devices);
  step(state, { type: 'start' }, 1);
  step(state, { type: 'tick' }, 1);
  return state;
}

/** A check as the server does it: decide, answer, tell the engine what the answer was. */
export function check(
  state: RolloutState,
  device: number,
  nowMs: number,
  running: Running = 'other',
  abnormalResets = 0,
) {
  const decision = offerFor(state, device, running, nowMs);
  const { offer } = decision;
  const event: RolloutEvent = {
    type: 'check',
    device,
    running,
    uptimeS: 100,
    abnormalResets,
    ...(offer === undefined ? {} : { offered: offer }),
  };
  step(state, event, nowMs);
  return decision;
}

export function report(
  state: RolloutState,
  device: number,
  stage: Stage,
  nowMs: number,
  attempt = state.columns.attempt[device]!,
): void {
  step(state, { type: 'report', device, attempt, stage }, nowMs);
}

export function tick(state: RolloutState, nowMs: number): readonly Effect[] {
  return step(state, { type: 'tick' }, nowMs);
}

/** Devices of a wave by the engine's own order. */
export function membersOf(state: RolloutState, from: number, to: number): number[] {
  const list: number[] = [];
  for (let device = 0; device < state.head.deviceCount; device += 1) {
    const share = (state.columns.position[device]! / 2 ** 32) * 100;
    if (share >= from && share < to) list.push(device);
  }
  return list;
}

/** What a random stream is made of; offers are taken from the engine when the command runs. */
export type Command =
  | {
      kind: 'check';
      device: number;
      running: Running;
      resets: number;
      answer: 'now' | 'stale' | 'lost';
    }
  | { kind: 'report'; device: number; stage: Stage; back: number }
  | { kind: 'tick'; afterMs: number }
  | { kind: 'operator'; event: RolloutEvent }
  | { kind: 'device'; event: RolloutEvent };

export function commands(deviceCount: number): fc.Arbitrary<Command[]> {
  const device = fc.nat(deviceCount + 1);
  const check = fc.record({
    kind: fc.constant('check' as const),
    device,
    running: fc.oneof(
      { weight: 8, arbitrary: fc.constant<Running>('other') },
      { weight: 3, arbitrary: fc.constantFrom<Running>('release', 'rollback', 'trial') },
    ),
    resets: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, fc.constant(9)),
    answer: fc.oneof(
      { weight: 8, arbitrary: fc.constant('now' as const) },
      fc.constantFrom('stale' as const, 'lost' as const),
    ),
  });
  const reported = fc.record({
    kind: fc.constant('report' as const),
    device,
    stage: fc.oneof(
      { weight: 3, arbitrary: fc.constant<Stage>('confirmed') },
      fc.constantFrom(...STAGES),
    ),
    back: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, fc.constantFrom(1, -1)),
  });
  const operator = fc.record({
    kind: fc.constant('operator' as const),
    event: fc.constantFrom<RolloutEvent>(
      { type: 'start' },
      { type: 'approve' },
      { type: 'pause' },
      { type: 'resume' },
      { type: 'resume' },
      { type: 'abort' },
      { type: 'rollback' },
      { type: 'rollback', rollbackRelease: '1.0.1' },
      { type: 'retry' },
      { type: 'retry', device: 1 },
    ),
  });
  const membership = fc.record({
    kind: fc.constant('device' as const),
    event: fc.oneof(
      fc.record({ type: fc.constant('remove' as const), device }),
      fc.record({
        type: fc.constant('enrol' as const),
        device: fc.constant(deviceCount),
        id: fc.constant('late'),
        deviceClass: fc.constantFrom('meter', 'gate', 'new'),
      }),
    ),
  });
  const time = fc.record({
    kind: fc.constant('tick' as const),
    afterMs: fc.oneof(
      fc.constantFrom(0, 1_000, 60_000),
      fc.constantFrom(300_000, 600_000, 3_600_000),
    ),
  });
  return fc.array(
    fc.oneof(
      { weight: 12, arbitrary: check },
      { weight: 16, arbitrary: reported },
      { weight: 6, arbitrary: time },
      { weight: 2, arbitrary: operator },
      { weight: 1, arbitrary: membership },
    ),
    { maxLength: 120, size: 'max' },
  );
}

/** Runs a command against `state`; what it came to is handed to `apply` as events. */
export class Driver {
  nowMs = 1;
  /** Answers as they were some commands ago. */
  private readonly snapshots = new Map<number, ReturnType<typeof offerFor>>();

  events(command: Command, state: RolloutState): RolloutEvent[] {
    switch (command.kind) {
      case 'tick':
        this.nowMs += command.afterMs;
        return [{ type: 'tick' }];
      case 'operator':
      case 'device':
        return [command.event];
      case 'report': {
        const attempt = (state.columns.attempt[command.device] ?? 0) + command.back;
        return [{ type: 'report', device: command.device, attempt, stage: command.stage }];
      }
      case 'check': {
        const { device, running } = command;
        const now = offerFor(state, device, running, this.nowMs);
        const answer = command.answer === 'stale' ? (this.snapshots.get(device) ?? now) : now;
        this.snapshots.set(device, now);
        const offered = command.answer === 'lost' ? undefined : answer.offer;
        const event = { type: 'check' as const, device, running, uptimeS: 1 };
        const abnormalResets = command.resets;
        return [{ ...event, abnormalResets, ...(offered === undefined ? {} : { offered }) }];
      }
    }
  }
}
