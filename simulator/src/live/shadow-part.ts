// The run's side of its shadow service: starts the process, tells it when, keeps its reports.

import { type Registry, withTrends } from '../metrics/registry.ts';
import type { Scenario } from '../scenario/schema.ts';
import { Child } from './child.ts';
import type { FromShadow, ShadowReport, ShadowTask, ToShadow } from './messages.ts';

/** Of the service's session at the broker. */
export function shadowClientId(run: string): string {
  return `${run}-shadow`;
}

/** True when the timeline changes shadows; without that a run brings no service. */
export function needsShadow({ timeline }: Scenario): boolean {
  return timeline.some(({ kind }) => kind === 'shadow');
}

export class ShadowPart {
  private readonly child: Child<ToShadow, FromShadow>;
  private readonly fail: (message: string) => void;
  private readonly ready = Promise.withResolvers<void>();
  private readonly finished = Promise.withResolvers<void>();
  private latest: ShadowReport | undefined;

  /** `fail` ends the run, with the reason. */
  constructor(task: ShadowTask, fail: (message: string) => void) {
    this.fail = fail;
    this.child = new Child<ToShadow, FromShadow>(
      'shadow-process',
      (message) => this.take(message),
      (reason) => fail(`the shadow service ended: ${reason}`),
    );
    this.child.send({ kind: 'start', task });
  }

  /** Resolves when it answers requests; never when it cannot, for then the run fails. */
  untilReady(): Promise<void> {
    return this.ready.promise;
  }

  begin(beginMs: number): void {
    this.child.send({ kind: 'begin', beginMs });
  }

  /** Resolves when nothing of it is left at the broker, and its last report is here. */
  finish(): Promise<void> {
    this.child.send({ kind: 'finish' });
    return this.finished.promise;
  }

  /** Resolves when it is gone. */
  stop(): Promise<void> {
    return this.child.stop();
  }

  addTo(registry: Registry): void {
    if (this.latest !== undefined) registry.merge(this.latest.registry);
  }

  private take(message: FromShadow): void {
    switch (message.kind) {
      case 'ready':
        this.ready.resolve();
        break;
      case 'unreachable':
        this.fail(`the shadow service could not start: ${message.reason}`);
        break;
      case 'report':
        this.latest = {
          ...message,
          registry: withTrends(message.registry, this.latest?.registry),
        };
        break;
      case 'finished':
        this.finished.resolve();
        break;
    }
  }
}
