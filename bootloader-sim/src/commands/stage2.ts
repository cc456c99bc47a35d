// The second stage of a simulated chip: which profile it runs, and the keys it carries. It is text
// in the flash, so the ROM's check of its bytes means what it does on a real chip.

import { toHex } from '@flotilla/sdk/codec/bytes';
import { createEspIdfProfile } from '../profiles/esp-idf.ts';
import { createHardenedProfile } from '../profiles/hardened.ts';
import type { Profile } from '../profiles/profile.ts';

export type ProfileName = 'hardened' | 'esp-idf';

export interface Stage2 {
  readonly profile: ProfileName;
  /** Raw public keys. */
  readonly keys: readonly Uint8Array[];
  /** Of esp-idf: CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE and …_ANTI_ROLLBACK. */
  readonly rollback: boolean;
  readonly antiRollback: boolean;
}

const ERASED = 0xff;
const NAME = 'flotilla-boot';
const KEY_PATTERN = /^[0-9a-f]{64}$/;
/** ESP-IDF's own: E9 at the start of the flash, or on an ESP32 behind its first sector. */
const ESP_MAGIC = 0xe9;
const ESP32_OFFSET = 0x1000;

/** Fills a region of `size` bytes. */
export function writeStage2(stage2: Stage2, size: number): Uint8Array {
  const keys = stage2.keys.map(toHex);
  const text = JSON.stringify({ stage2: NAME, version: 1, ...stage2, keys });
  const bytes = new Uint8Array(size).fill(ERASED);
  bytes.set(Buffer.from(`${text}\n`));
  return bytes;
}

/** What is in the region, or undefined where it is no stage 2 that can be simulated. */
export function readStage2(bytes: Uint8Array): Stage2 | undefined {
  if (bytes[0] === ESP_MAGIC || bytes[ESP32_OFFSET] === ESP_MAGIC) {
    // A dump of a real chip. Its options cannot be seen; these are ESP-IDF's defaults.
    return { profile: 'esp-idf', keys: [], rollback: false, antiRollback: false };
  }
  const end = bytes.indexOf(ERASED);
  let found: Record<string, unknown>;
  try {
    found = JSON.parse(Buffer.from(bytes.subarray(0, end)).toString('utf8'));
  } catch {
    return undefined;
  }
  const { antiRollback, keys, profile, rollback, stage2, version } = found ?? {};
  if (stage2 !== NAME || version !== 1) return undefined;
  if (profile !== 'hardened' && profile !== 'esp-idf') return undefined;
  if (typeof rollback !== 'boolean' || typeof antiRollback !== 'boolean') return undefined;
  if (!Array.isArray(keys) || !keys.every((key) => KEY_PATTERN.test(String(key)))) return undefined;
  const raw = keys.map((key) => new Uint8Array(Buffer.from(String(key), 'hex')));
  return { profile, keys: raw, rollback, antiRollback };
}

export function profileOf({ antiRollback, profile, rollback }: Stage2): Profile {
  return profile === 'hardened'
    ? createHardenedProfile()
    : createEspIdfProfile({ rollback, antiRollback });
}
