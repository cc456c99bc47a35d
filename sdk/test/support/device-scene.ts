// One device and one broker model in virtual time.

import { decode } from 'cbor-x';
import { Device } from '../../src/device.ts';
import { type DeviceOptions, DeviceProfile } from '../../src/device-profile.ts';
import { BrokerModel, type Taken } from './broker-model.ts';
import { VirtualPlatform, type VirtualPlatformOptions } from './virtual-platform.ts';
import type { VirtualWorld } from './virtual-world.ts';

export const DEVICE_ID = 'd1';

/** A SenML record with the labels of RFC 8428 §6 as cbor-x reads them. */
export type SenmlRecord = Record<string, unknown>;

export class DeviceScene {
  platform: VirtualPlatform;
  readonly broker: BrokerModel;
  device: Device;
  readonly options: DeviceOptions;
  /** What the device told its program, in order. */
  readonly events: string[] = [];
  private readonly profile: DeviceProfile;
  readonly world: VirtualWorld;

  constructor(options: Partial<DeviceOptions> = {}, platformOptions: VirtualPlatformOptions = {}) {
    this.platform = new VirtualPlatform(platformOptions);
    this.world = this.platform.world;
    this.broker = new BrokerModel(this.platform.world);
    this.platform.link.listener = (socket) => this.broker.accept(socket);
    this.options = {
      broker: { host: 'broker', port: 1883 },
      protocol: 5,
      retryMsMax: 2000,
      sensors: [{ name: 'temperature', unit: 'Cel', read: () => 21.5 }],
      intervalMs: 1000,
      events: {
        onConnected: () => this.events.push('connected'),
        onDisconnected: (_, reason) => this.events.push(`disconnected: ${reason}`),
        onProduced: (_, sequence) => this.events.push(`produced ${sequence}`),
        onAcknowledged: (_, sequence) => this.events.push(`acknowledged ${sequence}`),
        onDropped: (_, sequence, cause) => this.events.push(`dropped ${sequence}: ${cause}`),
      },
      ...options,
    };
    this.profile = new DeviceProfile(this.options);
    this.device = this.newDevice();
  }

  get link() {
    return this.platform.link;
  }

  private newDevice(): Device {
    const { platform, profile } = this;
    return this.world.turn(() => new Device({ platform, id: DEVICE_ID, profile }));
  }

  start(): void {
    this.world.turn(() => this.device.start());
  }

  /** Starts and waits for the connection and what goes out with it. */
  connect(): void {
    this.start();
    this.untilConnected();
  }

  untilConnected(): void {
    const isThere = () => this.device.isConnected;
    if (!this.world.until(isThere, 600_000)) throw new Error('device does not connect');
    this.world.advance(20);
  }

  stop(): void {
    this.world.turn(() => this.device.stop());
  }

  /** Runs `run` as a turn of the device. */
  turn(run: (device: Device) => void): void {
    this.world.turn(() => run(this.device));
  }

  /** Power off and on: RAM is gone. */
  reset(): void {
    this.platform = this.platform.restart();
    this.device = this.newDevice();
  }

  /** As `reset`, from within a turn, and started. */
  boot(): void {
    this.platform = this.platform.restart();
    const { platform, profile } = this;
    this.device = new Device({ platform, id: DEVICE_ID, profile });
    this.device.start();
  }

  cut(): void {
    this.link.cut();
    this.world.advance(5);
  }

  reconnect(): void {
    this.cut();
    this.untilConnected();
  }

  /** Sends a command document to the device. */
  command(payload: Uint8Array, qos: 0 | 1 | 2 = 1): void {
    this.broker.publish({ topic: `devices/${DEVICE_ID}/commands`, payload, qos, retain: false });
    this.world.advance(20);
  }

  taken(topic: string): Taken[] {
    return this.broker.taken.filter((one) => one.topic === `devices/${DEVICE_ID}/${topic}`);
  }

  /** Documents taken on a topic. */
  documents(topic: string): Record<string, unknown>[] {
    return this.taken(topic).map((one) => decode(one.payload) as Record<string, unknown>);
  }

  /** The packs taken, each as its records. */
  packs(): SenmlRecord[][] {
    return this.taken('telemetry').map((one) => decode(one.payload) as SenmlRecord[]);
  }

  /** The sequences of the packs taken. */
  sequences(): number[] {
    return this.packs().map((records) => records[0]?.['2'] as number);
  }

  retained(topic: string): Record<string, unknown> | undefined {
    const message = this.broker.retained.get(`devices/${DEVICE_ID}/${topic}`);
    return message === undefined ? undefined : decode(message.payload);
  }

  count(event: string): number {
    return this.events.filter((one) => one.startsWith(event)).length;
  }
}
