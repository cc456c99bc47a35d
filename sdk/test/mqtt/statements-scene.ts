// One client and one broker model in virtual time, for the tests of numbered statements.

import { expect } from 'vitest';
import { type ClientOptions, ClientProfile } from '../../src/mqtt/client-profile.ts';
import type { ProtocolVersion, Qos } from '../../src/mqtt/packet.ts';
import type { AnyPacket, BrokerConnection } from '../support/broker-connection.ts';
import { BrokerModel } from '../support/broker-model.ts';
import { ModelOwner, stamp } from '../support/model-owner.ts';
import { VirtualPlatform } from '../support/virtual-platform.ts';
import { field, frame } from './samples.ts';
import { NONE } from './violations.ts';

export const BROKER = { host: 'broker', port: 1883 };
export const HOUR_MS = 3_600_000;

/** One client, one broker, and what goes between them. */
export class Scene {
  readonly version: ProtocolVersion;
  readonly platform = new VirtualPlatform();
  readonly world = this.platform.world;
  readonly broker = new BrokerModel(this.world);
  readonly owner: ModelOwner;
  /** Commands that the broker takes no notice of. */
  readonly ignored = new Set<string>();

  constructor(version: ProtocolVersion, options: Partial<ClientOptions> = {}) {
    this.version = version;
    const profile = new ClientProfile({
      broker: BROKER,
      protocol: version,
      retryMsMax: 1000,
      ...options,
    });
    this.owner = new ModelOwner(this.platform, profile);
    this.broker.filter = (_, packet) => !this.ignored.has(packet.cmd);
    this.platform.link.listener = (socket) => this.broker.accept(socket);
  }

  /** A scene whose client is connected and subscribed. */
  static connected(version: ProtocolVersion, options: Partial<ClientOptions> = {}): Scene {
    const scene = new Scene(version, options);
    scene.start();
    scene.untilConnected(1);
    return scene;
  }

  start(): void {
    this.world.turn(() => this.owner.start());
  }

  untilConnected(count: number): void {
    const { owner, world } = this;
    const isThere = () => owner.connectCount >= count && owner.client.state === 'connected';
    expect(world.until(isThere, HOUR_MS), 'connected').toBe(true);
    world.advance(20);
  }

  publish(qos: Qos, size = 8, topic = 'data', retain = false): void {
    this.world.turn(() => this.owner.send(topic, qos, size, retain));
    this.world.advance(20);
  }

  /** The broker's bytes, in one piece. */
  receive(...frames: Uint8Array[]): void {
    this.connection.write(Buffer.concat(frames));
    this.world.advance(50);
  }

  /** Cuts the connection and waits for the next one. */
  reconnect(): void {
    const count = this.owner.connectCount + 1;
    this.platform.link.cut();
    this.untilConnected(count);
  }

  /** The latest connection as the broker sees it. */
  get connection(): BrokerConnection {
    return this.broker.connection;
  }

  /** What the client sent on the latest connection. */
  sent(cmd: string): AnyPacket[] {
    return this.connection.packets.filter((packet) => packet.cmd === cmd);
  }

  ids(cmd: string): (number | undefined)[] {
    return this.sent(cmd).map((packet) => packet.messageId);
  }

  /** A PUBLISH of the broker's, with a payload that says its number. */
  message(number: number, qos: Qos, packetId: number, dup = false, size = 8): Uint8Array {
    const flags = 0x30 | (dup ? 8 : 0) | (qos << 1);
    const id = qos === 0 ? [] : [packetId >> 8, packetId & 255];
    const none = this.version === 5 ? NONE : [];
    return frame(flags, field('devices/d1/in/a'), id, none, [...stamp(number, qos, size)]);
  }

  /** Numbers of the messages that came to the owner. */
  get received(): number[] {
    return this.owner.received.map(({ number }) => number);
  }

  /** True when the client, not the broker, ended the latest connection. */
  get isOver(): boolean {
    return !this.connection.open && this.owner.client.state !== 'connected';
  }
}

/** An acknowledgement by its first byte; `rest` is what only 5 has. */
export function ack(type: number, packetId: number, ...rest: number[]): Uint8Array {
  return frame(type, [packetId >> 8, packetId & 255], rest);
}

export const PUBACK = 0x40;
export const PUBREC = 0x50;
export const PUBREL = 0x62;
export const PUBCOMP = 0x70;
