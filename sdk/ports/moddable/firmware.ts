// The running image and the inactive slot of an ESP32, by ESP-IDF's app_update.

import {
  confirm,
  digest,
  isTrial,
  reject,
  resetReason,
  restart,
  stage,
  version,
} from 'flotilla/native';
import type {
  BootLogEntry,
  BootReason,
  Firmware,
  Partition,
  Settings,
} from '../../src/platform.ts';
import { openPartition } from './partition.ts';

/** Where the reason of a rejection outlives it. */
const REJECT_KEY = 'reject-reason';

/** esp_reset_reason_t, in its order (esp_system.h). */
const REASONS: readonly BootReason[] = [
  'power-on', // ESP_RST_UNKNOWN
  'power-on', // ESP_RST_POWERON
  'power-on', // ESP_RST_EXT
  'restart', // ESP_RST_SW
  'crash', // ESP_RST_PANIC
  'watchdog', // ESP_RST_INT_WDT
  'watchdog', // ESP_RST_TASK_WDT
  'watchdog', // ESP_RST_WDT
  'deep-sleep', // ESP_RST_DEEPSLEEP
  'brownout', // ESP_RST_BROWNOUT
];

export class ModdableFirmware implements Firmware {
  readonly version: string;
  readonly digest: Uint8Array;
  readonly trial: boolean;
  readonly slot: Partition;
  private readonly settings: Settings;

  constructor(slot: Partition, settings: Settings) {
    this.slot = slot;
    this.settings = settings;
    this.version = version();
    this.digest = new Uint8Array(digest());
    this.trial = isTrial();
  }

  stage(): void {
    stage();
  }

  confirm(): void {
    confirm();
  }

  /** The image before has the reason in its settings, and this call does not return on a chip. */
  reject(reason: string): void {
    const bytes = new Uint8Array(Math.min(reason.length, 64));
    for (let index = 0; index < bytes.length; index += 1) {
      bytes[index] = reason.charCodeAt(index) & 127;
    }
    this.settings.set(REJECT_KEY, bytes);
    reject();
  }

  restart(): void {
    restart();
  }

  bootReason(): BootReason {
    const reason = REASONS[resetReason()];
    return reason === undefined ? 'power-on' : reason;
  }

  /** ESP-IDF's bootloader keeps none. */
  bootLog(): readonly BootLogEntry[] {
    return [];
  }
}

/** Undefined where the flash has no second slot. */
export function openFirmware(settings: Settings): Firmware | undefined {
  const slot = openPartition('nextota');
  return slot === undefined ? undefined : new ModdableFirmware(slot, settings);
}
