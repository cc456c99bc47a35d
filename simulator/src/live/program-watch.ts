// The user's applications in a worker: whose code runs, and what becomes of what it throws. Also of
// what it throws later, out of a timer of Node's or a promise, in which no device calls it.

import { AsyncLocalStorage } from 'node:async_hooks';
import type { Device } from '@flotilla/sdk';
import { type Application, observed } from '../fleet/application.ts';
import { ApplicationErrors, isOfUser } from '../fleet/application-errors.ts';
import type { ProgramPlatform } from '../fleet/program-platform.ts';
import type { SimulatedPlatform } from '../fleet/simulated-platform.ts';
import type { Registry } from '../metrics/registry.ts';
import type { Heartbeat } from './heartbeat.ts';

export class ProgramWatch {
  readonly errors: ApplicationErrors;
  /** By fleet; they tell this watch what the SDK catches. */
  readonly applications: readonly (Application | undefined)[];
  private readonly heartbeat: Heartbeat;
  private readonly idOf: (platform: SimulatedPlatform) => string;
  private readonly context = new AsyncLocalStorage<ProgramPlatform>();

  constructor(
    applications: readonly (Application | undefined)[],
    heartbeat: Heartbeat,
    registry: Registry,
    idOf: (platform: SimulatedPlatform) => string,
  ) {
    this.errors = new ApplicationErrors(registry);
    this.heartbeat = heartbeat;
    this.idOf = idOf;
    const note = ({ platform }: Device, error: unknown) =>
      this.note(platform as ProgramPlatform, error);
    this.applications = applications.map(
      (application) => application && observed(application, note),
    );
  }

  /** Runs code of the program on `platform`. */
  enter(platform: ProgramPlatform, act: () => void): void {
    if (this.applications[platform.fleet] === undefined) {
      act();
      return;
    }
    const before = this.heartbeat.enter(platform.deviceIndex);
    try {
      this.context.run(platform, act);
    } finally {
      this.heartbeat.leave(before);
    }
  }

  /** True for an exception of the user's; in a fleet without an application there is none. */
  failed(platform: ProgramPlatform, error: unknown): boolean {
    if (this.applications[platform.fleet] === undefined) return false;
    this.note(platform, error);
    return true;
  }

  /** Takes what is thrown outside of every call; `crash` resets the device. */
  listen(crash: (platform: ProgramPlatform) => void): void {
    if (this.applications.every((application) => application === undefined)) return;
    const take = (error: unknown) => {
      const platform = this.context.getStore();
      // A bug of ours ends the worker, as it does without applications.
      if (platform === undefined || !isOfUser(error)) throw error;
      this.note(platform, error);
      crash(platform);
    };
    process.on('uncaughtException', take);
    process.on('unhandledRejection', take);
  }

  private note(platform: ProgramPlatform, error: unknown): void {
    this.errors.add(platform.fleet, this.idOf(platform), error);
  }
}
