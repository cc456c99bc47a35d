// Could the judge judge? What a run says of a broker holds only where the observer could see what
// the broker delivered, and a latency only where it was not the observer's own.

import type { Judged } from '../report/summary.ts';
import type { Blindness, ObserverHealth } from './messages.ts';

/** The observer at the end of a run, what was at stake, and whether the run came to its end. */
export interface Testimony {
  /** Why a worker hangs; absent = none does. */
  readonly hang?: string | undefined;
  /** Where it is blind. */
  readonly blindness: Blindness | undefined;
  /** Ms of the run at which the scenario began. */
  readonly beginMs: number;
  /** Messages that were acknowledged while it was blind, and did not come. */
  readonly unobservable: number;
  /** Devices that are connected. Where none is, the broker is gone, and not the observer. */
  readonly connected: number;
}

/**
 * A run in which the observer was blind to the end cannot tell what became of messages, nor one
 * whose worker hangs what its devices did.
 */
export function judge({ beginMs, blindness, connected, hang, unobservable }: Testimony): Judged {
  if (hang !== undefined) return { ok: false, reason: hang };
  if (blindness === undefined || unobservable === 0 || connected === 0) return { ok: true };
  const fromS = Math.max(0, (blindness.fromMs - beginMs) / 1000).toFixed(1);
  const why = blindness.why === '' ? 'its own messages did not come back' : blindness.why;
  return {
    ok: false,
    reason:
      `the observer was blind from ${fromS} s to the end (${why}), and ${count(unobservable)} ` +
      'messages that the broker acknowledged meanwhile did not reach it',
  };
}

/** What a reader of the summary must know of the observer; `unobservable` counts messages. */
export function observerWarnings(health: ObserverHealth, unobservable: number): string[] {
  const { blindMs, latenciesLeftOut, sentinels, sentinelsLost, stallMaxMs } = health;
  const warnings: string[] = [];
  if (sentinelsLost > 0) {
    warnings.push(
      `the broker discarded what it had for the observer: ${count(sentinelsLost)} of ` +
        `${count(sentinels)} messages of its own were lost, and others with them perhaps`,
    );
  }
  if (unobservable > 0) {
    warnings.push(
      `the observer was blind for ${seconds(blindMs)}: ${count(unobservable)} messages that were ` +
        'acknowledged meanwhile did not reach it, and count as unobservable',
    );
  }
  if (latenciesLeftOut > 0) {
    const pause = stallMaxMs > 0 ? `, which paused for up to ${seconds(stallMaxMs)}` : '';
    warnings.push(
      `${count(latenciesLeftOut)} delivery latencies were those of the observer${pause}, and are ` +
        'left out',
    );
  }
  return warnings;
}

function count(value: number): string {
  return value.toLocaleString('en');
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
