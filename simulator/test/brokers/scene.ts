// What one test of the conformance suite needs: a wire to the broker, an independent client
// (MQTT.js), and names that no other test uses, so that tests run side by side.

import { Device, type DeviceOptions, DeviceProfile } from '@flotilla/sdk';
import { NodePlatform } from '@flotilla/sdk/node';
import mqtt, { type MqttClient } from 'mqtt';
import type { Broker } from '../support/brokers.ts';
import { CONNECT_MS_MAX, TestClient, type TestClientOptions } from './test-client.ts';
import { Wire } from './wire.ts';

/** What takes this long hangs, also where all tests share two cores with others. */
const HANG_MS = 300_000;
const POLL_MS = 5;
/** Of a device: what it samples until it is connected, however late that is. */
const BUFFER_SIZE = 65_536;

let sceneCount = 0;

/** Resolves when `holds` does; rejects with `what` when it hangs. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + HANG_MS;
  while (!holds()) {
    if (performance.now() > deadlineMs) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

export interface PeerMessage {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly dup: boolean;
}

/** MQTT.js over 3.1.1, which all brokers speak. */
export class Peer {
  readonly received: PeerMessage[] = [];
  private readonly client: MqttClient;

  private constructor(client: MqttClient) {
    this.client = client;
    client.on('message', (topic, payload, { qos, retain, dup }) => {
      this.received.push({ topic, payload, qos, retain, dup });
    });
    // A broker that hangs up shows in what does not arrive.
    client.on('error', () => undefined);
  }

  static async connect(port: number, clientId: string): Promise<Peer> {
    const url = `mqtt://127.0.0.1:${port}`;
    const client = mqtt.connect(url, { protocolVersion: 4, reconnectPeriod: 0, clientId });
    const peer = new Peer(client);
    await until('MQTT.js connected', () => client.connected);
    return peer;
  }

  /** Payloads received so far, of one topic or all, as text. */
  texts(topic?: string): string[] {
    return this.received
      .filter((message) => topic === undefined || message.topic === topic)
      .map(({ payload }) => payload.toString());
  }

  async subscribe(filter: string, qos: 0 | 1 | 2 = 1): Promise<void> {
    await this.client.subscribeAsync(filter, { qos });
  }

  async publish(
    topic: string,
    payload: string | Buffer,
    qos: 0 | 1 | 2 = 1,
    retain = false,
  ): Promise<void> {
    await this.client.publishAsync(topic, payload, { qos, retain });
  }

  /** Ends at once, whatever is in flight. */
  drop(): void {
    this.client.end(true);
  }
}

export class Scene {
  /** Begins topics and client ids. */
  readonly id: string;
  readonly wire: Wire;
  readonly peer: Peer;
  private readonly broker: Broker;
  private readonly endings: (() => void)[] = [];

  private constructor(broker: Broker, id: string, wire: Wire, peer: Peer) {
    this.broker = broker;
    this.id = id;
    this.wire = wire;
    this.peer = peer;
  }

  static async open(broker: Broker): Promise<Scene> {
    sceneCount += 1;
    const id = `s${sceneCount}`;
    const wire = await Wire.open(broker.port);
    const peer = await Peer.connect(broker.port, `${id}-peer`);
    return new Scene(broker, id, wire, peer);
  }

  /** Where the broker listens, beside the wire. */
  get brokerPort(): number {
    return this.broker.port;
  }

  close(): void {
    for (const end of this.endings) end();
    this.peer.drop();
    this.wire.close();
  }

  /** One more wire to the broker. */
  async anotherWire(): Promise<Wire> {
    const wire = await Wire.open(this.broker.port);
    this.endings.push(() => wire.close());
    return wire;
  }

  /** Our client with the scene's id, over the wire unless `port` says otherwise. */
  client(options: Partial<TestClientOptions>): TestClient {
    const { id, wire } = this;
    const payload = Buffer.from('gone');
    const will = { topic: `${id}/gone`, payload, qos: 1, retain: false, delayS: 0 } as const;
    const client = new TestClient({ id, port: wire.port, will, ...options });
    this.endings.push(() => client.stop());
    return client;
  }

  /** A device that samples ten times a second, over the wire unless `port` says otherwise. */
  device(port: number, options: Partial<DeviceOptions> = {}): Device {
    const profile = new DeviceProfile({
      broker: { host: '127.0.0.1', port },
      sensors: [{ name: 'temperature', unit: 'Cel', read: () => 21.5 }],
      intervalMs: 100,
      connectMsMax: CONNECT_MS_MAX,
      bufferSize: BUFFER_SIZE,
      retryMsMin: 20,
      retryMsMax: 100,
      ...options,
    });
    const device = new Device({ platform: new NodePlatform(), id: this.id, profile });
    this.endings.push(() => device.stop());
    device.start();
    return device;
  }

  /** Cuts the wire and keeps the client away; resolves when the broker has noticed. */
  async lose(client: TestClient): Promise<void> {
    const topic = `${this.id}/gone`;
    await this.peer.subscribe(topic);
    client.staysAway = true;
    this.wire.cut();
    await until('the broker noticed', () => this.peer.texts(topic).length === 1);
    await until('the client noticed', () => !client.isConnected);
  }

  /** One more independent client. */
  async anotherPeer(): Promise<Peer> {
    sceneCount += 1;
    const peer = await Peer.connect(this.broker.port, `p${sceneCount}`);
    this.endings.push(() => peer.drop());
    return peer;
  }

  /** What a new subscriber is sent at once. */
  async retained(topic: string): Promise<PeerMessage[]> {
    const late = await this.anotherPeer();
    await late.subscribe(topic);
    await until(`the retained message of ${topic}`, () => late.received.length > 0);
    late.drop();
    return late.received;
  }
}
