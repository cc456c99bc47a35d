// A plain client: the SDK's device without status, commands and diagnostics, whose messages are
// bytes of the size that the scenario asks for, where a device's are SenML packs.

import { Device, type DeviceIdentity, type Priority } from '@flotilla/sdk';
import { writePlain } from './plain-payload.ts';

export class PlainClient extends Device {
  private readonly payloadSize: number;

  constructor(identity: DeviceIdentity, payloadSize: number) {
    super(identity);
    this.payloadSize = payloadSize;
  }

  /** In place of the pack of its one sensor goes the payload. */
  override onPack(sequence: number, scheduledMs: number, _: number, priority: Priority): void {
    const { clock, memory } = this.platform;
    const epochMs = clock.epochMs() - clock.monotonicMs() + scheduledMs;
    writePlain(memory.scratch, this.payloadSize, sequence, epochMs);
    super.onPack(sequence, scheduledMs, this.payloadSize, priority);
  }
}
