// Time from a time server (SNTP, RFC 4330), by Moddable's module `sntp`: at the start, and then often
// enough that the drift of a crystal stays below what the answer itself is worth.

import SNTP from 'sntp';
import Timer from 'timer';
import type { Clock } from '../../src/platform.ts';

/** Moddable hands out whole seconds. */
const RESOLUTION_MS = 1000;
/** 20 ppm in six hours are 0.4 s. */
const AGAIN_MS = 6 * 3600 * 1000;
const RETRY_MS = 60_000;

/** What the module's callback is told. */
const FAILED = -1;
const TIME = 1;

/** Keeps `clock` in step with the time server `host`. */
export class NetworkTime {
  private readonly host: string;
  private readonly clock: Clock;
  /** The request under way; the collector must not take it. */
  request: object | undefined = undefined;

  constructor(host: string, clock: Clock) {
    this.host = host;
    this.clock = clock;
    this.ask();
  }

  private readonly ask = (): void => {
    this.request = new SNTP({ host: this.host }, (message, value) => {
      // Anything else says that the module itself tries again.
      if (message !== TIME && message !== FAILED) return;
      this.request = undefined;
      const isTold = message === TIME && value !== undefined;
      if (isTold) this.clock.adjust(value * 1000 + RESOLUTION_MS / 2, RESOLUTION_MS);
      Timer.set(this.ask, isTold ? AGAIN_MS : RETRY_MS);
    });
  };
}
