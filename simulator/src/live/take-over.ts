// Does somebody else use this run's client ids? A broker lets only the latest of two clients with
// one id stay: each run then counts what the other did.

import type { Reasons } from './messages.ts';

/** What the SDK says of DISCONNECT with reason code 0x8E. */
const TAKEN_OVER = 'server: Session taken over';
/** What it says of a connection that ends without a word: 3.1.1 has none, mosquitto 2.0.11 too. */
const CLOSED = 'closed by the server';
/** A device to which that happens so often is one of two that throw each other out. */
export const CLOSED_COUNT_MIN = 3;

/** Which devices the server has thrown out again and again, in one worker. */
export class ThrownOut {
  /** How many there are. */
  count = 0;
  /** By local index; few devices are ever closed by a server. */
  private readonly closed = new Map<number, number>();

  /** An accepted connection of a device ended. */
  add(localIndex: number, reason: string): void {
    if (reason !== CLOSED) return;
    const count = (this.closed.get(localIndex) ?? 0) + 1;
    this.closed.set(localIndex, count);
    if (count === CLOSED_COUNT_MIN) this.count += 1;
  }
}

/** What a reader of the summary must know; `thrownOut` counts devices, as `ThrownOut` does. */
export function takeOverWarnings(
  reasons: Reasons,
  thrownOut: number,
  isContested: boolean,
): string[] {
  const count = reasons[TAKEN_OVER] ?? 0;
  const warnings: string[] = [];
  if (count > 0) {
    warnings.push(
      `somebody else connected with this run's client ids: ${count.toLocaleString('en')} ` +
        `session${count === 1 ? ' was' : 's were'} taken over, and the figures are those of both`,
    );
  }
  if (isContested) {
    warnings.push('another run has the same id: it, too, says that it holds the id');
  }
  if (thrownOut > 0) {
    warnings.push(
      `the broker closed the connections of ${thrownOut.toLocaleString('en')} ` +
        `device${thrownOut === 1 ? '' : 's'} again and again without a word: somebody else uses their client ` +
        'ids (not every broker says so), or it does not let them do what they do',
    );
  }
  return warnings;
}
