// What the devices of a worker tell about themselves, as metrics and for the ledger.

import type { Device, DeviceEvents } from '@flotilla/sdk';
import type { FirmwareFleets } from '../fleet/firmware-fleets.ts';
import type { FirmwarePlatform } from '../fleet/firmware-platform.ts';
import type { SimulatedPlatform } from '../fleet/simulated-platform.ts';
import type { DeviceLedger } from '../ledger/device-ledger.ts';
import type { Registry } from '../metrics/registry.ts';
import type { Scenario } from '../scenario/schema.ts';
import type { ConnectGate } from './connect-gate.ts';
import type { FanOutMeter } from './fan-out-meter.ts';
import { type Health, HealthMonitor, latenessMax, Punctuality } from './health.ts';
import { RunReasons } from './reasons.ts';
import type { RunClock } from './run-clock.ts';
import { ThrownOut } from './take-over.ts';

/** What the meter of a worker reads and writes. */
export interface Metered {
  readonly scenario: Scenario;
  readonly clock: RunClock;
  readonly registry: Registry;
  readonly ledger: DeviceLedger;
  /** Hears of every connect that is over. */
  readonly gate: ConnectGate;
  /** Absent where no fleet has firmware. */
  readonly firmware: FirmwareFleets | undefined;
  readonly fanOut: FanOutMeter;
  /** By device, as in `WorkerTask`. */
  readonly connectedMs: Int32Array;
  /** A device's subscriptions were answered. */
  onSubscribed(localIndex: number): void;
}

export class DeviceMeter {
  readonly reasons = new RunReasons();
  readonly thrownOut = new ThrownOut();
  /** Connections accepted, by MQTT version. */
  readonly versions = { 4: 0, 5: 0 };
  private readonly monitor = new HealthMonitor();
  /** Device and time of each connection since the last report, in turn. */
  private connections: number[] = [];
  private readonly metered: Metered;
  /** What is due before the scenario begins is none of its messages. */
  private punctuality = new Punctuality(Number.POSITIVE_INFINITY);

  constructor(metered: Metered) {
    this.metered = metered;
  }

  /** The scenario begins; after `beginMs` and the ramp, what leaves late is counted. */
  begin(beginMs: number): void {
    this.punctuality = new Punctuality(beginMs + this.metered.scenario.rampMs);
  }

  health(): Health {
    return this.monitor.health(this.punctuality.lateShare);
  }

  /** Device and time of each connection accepted since the last call, in turn. */
  takeConnections(): Float64Array {
    const taken = Float64Array.from(this.connections);
    this.connections = [];
    return taken;
  }

  /** For the profile of a fleet. */
  events(fleet: number): DeviceEvents {
    const { clock, fanOut, firmware, ledger, registry, scenario } = this.metered;
    const produced = registry.counter('messages_produced', fleet);
    const acknowledged = registry.counter('messages_acknowledged', fleet);
    const received = registry.counter('messages_received', fleet);
    const publishLatency = registry.trend('publish_latency_ms', fleet);
    const lateMsMax = latenessMax(scenario.fleets[fleet]!.intervalMs);
    return {
      onConnected: (device) => this.connected(device, fleet),
      onDisconnected: (device, reason, wasConnected) => {
        this.disconnected(device, fleet, reason, wasConnected);
      },
      onProduced: (_device, _sequence, scheduledMs) => {
        produced.add();
        this.punctuality.add(scheduledMs, clock.monotonicMs(), lateMsMax);
      },
      onAcknowledged: (device, sequence, scheduledMs, buffered) => {
        const nowMs = clock.monotonicMs();
        acknowledged.add();
        if (!buffered) publishLatency.record(nowMs - scheduledMs);
        const { localIndex } = device.platform as SimulatedPlatform;
        ledger.acknowledged(localIndex, sequence, nowMs);
      },
      onDropped: (device, sequence, cause) => {
        ledger.dropped((device.platform as SimulatedPlatform).localIndex, sequence, cause);
      },
      ...this.reasons.events,
      onMessage: (device, packet, source) => {
        if (fanOut.receive(device, fleet, packet, source)) received.add();
      },
      onSubscribed: (device) => {
        this.metered.onSubscribed((device.platform as SimulatedPlatform).localIndex);
      },
      onUpdateStage: ({ platform }, stage) => {
        firmware?.onStage(platform as FirmwarePlatform, stage);
      },
    };
  }

  private connected(device: Device, fleet: number): void {
    const { clock, connectedMs, gate, registry } = this.metered;
    const platform = device.platform as SimulatedPlatform;
    const nowMs = clock.monotonicMs();
    gate.release(platform, nowMs);
    registry.gauge('devices_connected', fleet).add(1);
    registry.trend('connect_latency_ms', fleet).record(nowMs - platform.connectStartMs);
    if (platform.wasConnected) registry.counter('reconnects', fleet).add();
    platform.wasConnected = true;
    this.versions[device.client.version] += 1;
    // Before anything goes out on it.
    Atomics.store(connectedMs, platform.deviceIndex, Math.floor(device.client.connectedMs));
    this.connections.push(platform.deviceIndex, device.client.connectedMs);
  }

  private disconnected(device: Device, fleet: number, reason: string, wasConnected: boolean): void {
    const { clock, gate, registry } = this.metered;
    const platform = device.platform as SimulatedPlatform;
    gate.release(platform, clock.monotonicMs());
    if (wasConnected) {
      registry.gauge('devices_connected', fleet).add(-1);
      this.thrownOut.add(platform.localIndex, reason);
    } else {
      registry.counter('connect_failures', fleet).add();
    }
    (wasConnected ? this.reasons.ended : this.reasons.failed).add(reason);
  }
}
