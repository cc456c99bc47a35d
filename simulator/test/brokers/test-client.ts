// Our MQTT client on the Node platform, with an owner that keeps what it is told.

import { Client } from '@flotilla/sdk/mqtt/client';
import type { ClientOwner } from '@flotilla/sdk/mqtt/client-owner';
import { type ClientOptions, ClientProfile } from '@flotilla/sdk/mqtt/client-profile';
import { PUBLISH_TOO_LARGE, type PublishResult } from '@flotilla/sdk/mqtt/delivery';
import type { Packet, ProtocolVersion, Qos, Subscription, Will } from '@flotilla/sdk/mqtt/packet';
import { Session } from '@flotilla/sdk/mqtt/session';
import { NodePlatform } from '@flotilla/sdk/node';

const TICK_MS = 5;
/** A client that gave up sooner, where the broker is late only, would leave its will behind. */
export const CONNECT_MS_MAX = 120_000;

export interface Received {
  readonly topic: string;
  readonly text: string;
  readonly qos: Qos;
  readonly retain: boolean;
}

export interface TestClientOptions extends Omit<ClientOptions, 'broker'> {
  readonly id: string;
  readonly port: number;
  /** Topics are `{id}/{topic}`; these are of the client's own. */
  readonly subscriptions?: readonly Subscription[];
  readonly will?: Will;
}

interface Published {
  readonly reference: number;
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly retain: boolean;
}

export class TestClient implements ClientOwner {
  readonly id: string;
  readonly client: Client;
  readonly received: Received[] = [];
  /** References of messages that were settled, with their reason codes. */
  readonly settled: { readonly reference: number; readonly reasonCode: number }[] = [];
  /** For each connection, whether the session was resumed. */
  readonly resumed: boolean[] = [];
  readonly disconnectReasons: string[] = [];
  subscribedCount = 0;
  /** True makes it stop when its connection ends, until `comeBack`. */
  staysAway = false;
  private readonly options: TestClientOptions;
  private readonly published: Published[] = [];
  private readonly ticker: NodeJS.Timeout;

  constructor(options: TestClientOptions) {
    this.id = options.id;
    this.options = options;
    const profile = new ClientProfile({
      topics: '{id}/{topic}',
      connectMsMax: CONNECT_MS_MAX,
      retryMsMin: 20,
      retryMsMax: 100,
      ...options,
      broker: { host: '127.0.0.1', port: options.port },
    });
    const { inflightMax, receiveMax } = profile;
    const bytes = new Uint8Array(Session.size(inflightMax, receiveMax));
    const session = new Session(bytes, 0, inflightMax, receiveMax);
    const platform = new NodePlatform();
    this.client = new Client(platform, profile, session, this);
    this.ticker = setInterval(() => this.client.tick(platform.clock.monotonicMs()), TICK_MS);
    this.client.start();
  }

  get isConnected(): boolean {
    return this.client.state === 'connected';
  }

  /** Of the present or last connection. */
  get version(): ProtocolVersion {
    return this.client.version;
  }

  comeBack(): void {
    this.staysAway = false;
    this.client.start();
  }

  /** Says DISCONNECT and ends for good. */
  stop(): void {
    clearInterval(this.ticker);
    this.client.stop();
  }

  publish(reference: number, topic: string, text: string, qos: Qos, retain = false): PublishResult {
    const payload = Buffer.from(text);
    this.published.push({ reference, topic, payload, retain });
    return this.client.publish(reference, topic, payload, 0, payload.length, qos, retain);
  }

  will(): Will | undefined {
    return this.options.will;
  }

  subscriptions(): readonly Subscription[] {
    return this.options.subscriptions ?? [];
  }

  onConnected(resumed: boolean): void {
    this.resumed.push(resumed);
  }

  onSubscribed(): void {
    this.subscribedCount += 1;
  }

  onDisconnected(reason: string): void {
    this.disconnectReasons.push(reason);
    if (this.staysAway) this.client.stop();
  }

  onReady(): void {
    // Tests publish when they want.
  }

  onSettled(reference: number, reasonCode: number): void {
    this.settled.push({ reference, reasonCode });
  }

  resend(reference: number): PublishResult {
    const message = this.published.find((candidate) => candidate.reference === reference);
    if (message === undefined) return PUBLISH_TOO_LARGE;
    const { topic, payload, retain } = message;
    return this.client.publishAgain(topic, payload, 0, payload.length, retain);
  }

  onMessage(packet: Packet, source: Uint8Array): void {
    const text = (start: number, end: number): string =>
      Buffer.from(source.subarray(start, end)).toString();
    this.received.push({
      topic: text(packet.topicStart, packet.topicEnd),
      text: text(packet.payloadStart, packet.payloadEnd),
      qos: packet.qos,
      retain: packet.retain,
    });
  }
}
