// Which MQTT version to speak: 5 first, 3.1.1 where the server refuses 5.
//
// A server says so with return code 1 or reason 0x84, or it just closes. Closing is also what an
// outage looks like, and an outage must not downgrade a fleet: 3.1.1 is tried at once after a
// close and only then, so that the first attempt after an outage speaks 5; and it is remembered
// after a refusal at once, but after a close only when it happened twice in a row that 5 was
// closed and 3.1.1 accepted. 5 is probed again every day.

import type { Platform } from '../platform.ts';
import { FIXED_4, FIXED_5, type VersionChooser } from './fixed-version.ts';
import type { ProtocolVersion } from './packet.ts';
import {
  RETURN_UNACCEPTABLE_PROTOCOL_VERSION,
  UNSUPPORTED_PROTOCOL_VERSION,
} from './reason-codes.ts';

export type { VersionChooser };

const SETTING = 'mqtt.version';
const PROBE_MS = 24 * 3600 * 1000;
/** Times that 5 must be closed and 3.1.1 accepted before that counts as the server's choice. */
const CLOSED_COUNT_MIN = 2;

/**
 * True when a CONNACK in the form of `version`, with this code, refuses to speak `asked`. Some
 * servers say 0x84 in the form of 3.1.1, and some accept in it what they took for 3.1.1.
 */
export function refusesVersion(
  code: number,
  version: ProtocolVersion,
  asked: ProtocolVersion,
): boolean {
  if (code === UNSUPPORTED_PROTOCOL_VERSION) return true;
  if (version === 5) return false;
  return code === RETURN_UNACCEPTABLE_PROTOCOL_VERSION || (code === 0 && asked === 5);
}

/** For a profile's `protocol`: 4 or 5 never falls back, 0 chooses. */
export function versionChooser(
  protocol: ProtocolVersion | 0,
  platform: Pick<Platform, 'settings'>,
  nowMs: number,
): VersionChooser {
  if (protocol === 0) return new VersionChoice(platform, nowMs);
  return protocol === 4 ? FIXED_4 : FIXED_5;
}

class VersionChoice implements VersionChooser {
  private readonly platform: Pick<Platform, 'settings'>;
  /** Why this attempt, or the next one, speaks 3.1.1 although that is not remembered. */
  private fallback: 'none' | 'refused' | 'closed' = 'none';
  private closedCount = 0;
  private remembered: boolean;
  private probeAtMs: number;

  constructor(platform: Pick<Platform, 'settings'>, nowMs: number) {
    this.platform = platform;
    const stored = platform.settings.get(SETTING);
    this.remembered = stored !== undefined && stored[0] === 4;
    this.probeAtMs = nowMs + PROBE_MS;
  }

  next(nowMs: number, atOnce: boolean): ProtocolVersion {
    if (this.fallback === 'closed' && !atOnce) this.fallback = 'none';
    if (this.fallback !== 'none') return 4;
    if (!this.remembered) return 5;
    if (nowMs < this.probeAtMs) return 4;
    this.probeAtMs = nowMs + PROBE_MS;
    return 5;
  }

  accepted(version: ProtocolVersion): void {
    if (version === 5) {
      this.forget();
    } else if (!this.remembered) {
      if (this.fallback === 'closed') this.closedCount += 1;
      if (this.fallback === 'refused' || this.closedCount >= CLOSED_COUNT_MIN) this.remember();
    }
    this.fallback = 'none';
  }

  refused(version: ProtocolVersion): boolean {
    this.fallback = version === 5 ? 'refused' : 'none';
    if (version === 5) return true;
    // A server that has left 3.1.1 behind: the next attempt speaks 5.
    this.forget();
    return false;
  }

  closed(version: ProtocolVersion): boolean {
    this.fallback = version === 5 ? 'closed' : 'none';
    if (version === 4) this.closedCount = 0;
    return version === 5;
  }

  private forget(): void {
    this.closedCount = 0;
    if (this.remembered) this.platform.settings.delete(SETTING);
    this.remembered = false;
  }

  private remember(): void {
    this.remembered = true;
    const value = new Uint8Array(1);
    value[0] = 4;
    this.platform.settings.set(SETTING, value);
  }
}
