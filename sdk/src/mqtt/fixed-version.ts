// One MQTT version and never another. It remembers nothing, so that all devices share one.

import type { ProtocolVersion } from './packet.ts';

/** Which version the next attempt speaks, told what became of those before. */
export interface VersionChooser {
  /** The version of the attempt that begins now; `atOnce` after one that was refused or closed. */
  next(nowMs: number, atOnce: boolean): ProtocolVersion;
  /** The server accepted `version`. */
  accepted(version: ProtocolVersion): void;
  /** The server refused `version`; true when 3.1.1 should be tried at once. */
  refused(version: ProtocolVersion): boolean;
  /**
   * The connection ended after CONNECT and before CONNACK; true when 3.1.1 should be tried at
   * once. If that is closed too it was an outage.
   */
  closed(version: ProtocolVersion): boolean;
}

const nothing = (): void => undefined;
const never = (): boolean => false;

export const FIXED_4: VersionChooser = {
  next: () => 4,
  accepted: nothing,
  refused: never,
  closed: never,
};

export const FIXED_5: VersionChooser = {
  next: () => 5,
  accepted: nothing,
  refused: never,
  closed: never,
};
