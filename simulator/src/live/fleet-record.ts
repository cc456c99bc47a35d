// What the devices of a worker tell of themselves, as metrics, ledger and counts of reasons.

import type { Device, DeviceEvents } from '@flotilla/sdk';
import type { FirmwareFleets } from '../fleet/firmware-fleets.ts';
import type { FirmwarePlatform } from '../fleet/firmware-platform.ts';
import type { SimulatedPlatform } from '../fleet/simulated-platform.ts';
import type { DeviceLedger } from '../ledger/device-ledger.ts';
import type { Registry } from '../metrics/registry.ts';
import type { ConnectGate } from './connect-gate.ts';
import type { Reasons } from './messages.ts';
import { ReasonCounts } from './reason-counts.ts';
import type { RunClock } from './run-clock.ts';

/** What the record needs of its worker. */
export interface RecordWorld {
  readonly clock: RunClock;
  readonly gate: ConnectGate;
  readonly registry: Registry;
  readonly ledger: DeviceLedger;
  readonly firmware: FirmwareFleets | undefined;
}

export class FleetRecord {
  /** Why connections ended or failed. */
  readonly reasons = new ReasonCounts();
  /** Connections accepted, by MQTT version. */
  readonly versions = { 4: 0, 5: 0 };
  /** By fleet: why messages were dropped. */
  private readonly drops: readonly ReasonCounts[];
  private readonly world: RecordWorld;

  constructor(world: RecordWorld) {
    this.world = world;
    this.drops = world.registry.fleets.map(() => new ReasonCounts());
  }

  dropCauses(): readonly Reasons[] {
    return this.drops.map((causes) => causes.toObject());
  }

  /** What the devices of a fleet tell their events to. */
  events(fleet: number): DeviceEvents {
    const { clock, firmware, ledger, registry } = this.world;
    const produced = registry.counter('messages_produced', fleet);
    const acknowledged = registry.counter('messages_acknowledged', fleet);
    const received = registry.counter('messages_received', fleet);
    const publishLatency = registry.trend('publish_latency_ms', fleet);
    const drops = this.drops[fleet]!;
    return {
      onConnected: (device) => this.connected(device, fleet),
      onDisconnected: (device, reason, wasConnected) => {
        this.disconnected(device, fleet, reason, wasConnected);
      },
      onProduced: () => produced.add(),
      onAcknowledged: (device, sequence, scheduledMs, buffered) => {
        const nowMs = clock.monotonicMs();
        acknowledged.add();
        if (!buffered) publishLatency.record(nowMs - scheduledMs);
        const { localIndex } = device.platform as SimulatedPlatform;
        ledger.acknowledged(localIndex, sequence, nowMs);
      },
      onDropped: (device, sequence, cause) => {
        drops.add(cause);
        ledger.dropped((device.platform as SimulatedPlatform).localIndex, sequence);
      },
      onMessage: () => received.add(),
      onUpdateStage: ({ platform }, stage) => {
        firmware?.onStage(platform as FirmwarePlatform, stage);
      },
    };
  }

  private connected(device: Device, fleet: number): void {
    const { clock, gate, registry } = this.world;
    const platform = device.platform as SimulatedPlatform;
    const nowMs = clock.monotonicMs();
    gate.release(platform, nowMs);
    registry.gauge('devices_connected', fleet).add(1);
    registry.trend('connect_latency_ms', fleet).record(nowMs - platform.connectStartMs);
    if (platform.wasConnected) registry.counter('reconnects', fleet).add();
    platform.wasConnected = true;
    this.versions[device.client.version] += 1;
  }

  private disconnected(device: Device, fleet: number, reason: string, wasConnected: boolean): void {
    const { clock, gate, registry } = this.world;
    gate.release(device.platform as SimulatedPlatform, clock.monotonicMs());
    if (wasConnected) registry.gauge('devices_connected', fleet).add(-1);
    else registry.counter('connect_failures', fleet).add();
    this.reasons.add(reason);
  }
}
