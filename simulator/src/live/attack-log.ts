// What became of each attack: which devices it was tried on, and what stopped it there.

import type { AttackSummary } from '../report/updates.ts';
import type { AttackKind } from '../scenario/update.ts';

interface Entry {
  readonly kind: AttackKind;
  /** Undefined while it goes on. */
  by: string | undefined;
  hasSucceeded: boolean;
}

export class AttackLog {
  /** By kind and device. */
  private readonly entries = new Map<string, Entry>();
  /** Attacks that the scenario asks for. */
  private readonly planned: readonly { readonly kind: AttackKind; readonly id: string }[];

  constructor(planned: readonly { readonly kind: AttackKind; readonly id: string }[]) {
    this.planned = planned;
  }

  begun(kind: AttackKind, id: string): void {
    const key = `${kind} ${id}`;
    if (!this.entries.has(key)) this.entries.set(key, { kind, by: undefined, hasSucceeded: false });
  }

  /** The first word counts. */
  stopped(kind: AttackKind, id: string, by: string): void {
    this.begun(kind, id);
    const entry = this.entries.get(`${kind} ${id}`)!;
    if (!entry.hasSucceeded) entry.by ??= by;
  }

  succeeded(kind: AttackKind, id: string): void {
    this.begun(kind, id);
    this.entries.get(`${kind} ${id}`)!.hasSucceeded = true;
  }

  /** One attack on one device has come to its end. */
  isEnded(kind: AttackKind, id: string): boolean {
    const entry = this.entries.get(`${kind} ${id}`);
    return entry !== undefined && (entry.by !== undefined || entry.hasSucceeded);
  }

  get stoppedCount(): number {
    const isStopped = ({ by, hasSucceeded }: Entry) => by !== undefined && !hasSucceeded;
    return [...this.entries.values()].filter(isStopped).length;
  }

  get succeededCount(): number {
    return [...this.entries.values()].filter(({ hasSucceeded }) => hasSucceeded).length;
  }

  /** Every attack of the scenario was tried and has come to its end. */
  get isOver(): boolean {
    return this.planned.every(({ id, kind }) => this.isEnded(kind, id));
  }

  summaries(): AttackSummary[] {
    const kinds = [...new Set(this.planned.map(({ kind }) => kind))];
    return kinds.map((attack) => {
      const entries = [...this.entries.values()].filter(({ kind }) => kind === attack);
      const by: Record<string, number> = {};
      for (const { by: word, hasSucceeded } of entries) {
        if (word !== undefined && !hasSucceeded) by[word] = (by[word] ?? 0) + 1;
      }
      const isStopped = ({ by: word, hasSucceeded }: Entry) => word !== undefined && !hasSucceeded;
      return {
        attack,
        devices: this.planned.filter(({ kind }) => kind === attack).length,
        stopped: entries.filter(isStopped).length,
        succeeded: entries.filter(({ hasSucceeded }) => hasSucceeded).length,
        by,
      };
    });
  }
}
