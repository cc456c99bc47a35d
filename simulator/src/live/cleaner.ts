// Removes what devices leave at a broker: the retained status and the session. A device that is
// connected does so itself; this is for those that are not, and for sessions of 3.1.1, which
// only a clean connect ends.

import type { ConnectOptions, Platform, ProtocolVersion } from '@flotilla/sdk';
import { Client } from '@flotilla/sdk/mqtt/client';
import type { ClientOwner } from '@flotilla/sdk/mqtt/client-owner';
import { ClientProfile } from '@flotilla/sdk/mqtt/client-profile';
import { PUBLISH_TOO_LARGE, type PublishResult } from '@flotilla/sdk/mqtt/delivery';
import type { Packet, Subscription, Will } from '@flotilla/sdk/mqtt/packet';
import { Session } from '@flotilla/sdk/mqtt/session';
import { NodePlatform } from '@flotilla/sdk/node';
import type { Target } from './messages.ts';

/** Connections under way at once. */
const IN_FLIGHT = 50;
const CONNECT_MS_MAX = 5000;
/** After the last retained message came, no more are expected. */
const QUIET_MS = 500;
const TICK_MS = 20;
const NOTHING = new Uint8Array(0);

/** One short-lived client: connects clean, does its errand, disconnects. */
class Errand implements ClientOwner {
  readonly id: string;
  readonly client: Client;
  private readonly filters: readonly Subscription[];
  private readonly begin: (errand: Errand) => void;
  private readonly message: (packet: Packet, source: Uint8Array) => void;
  private readonly done: (reason: string | undefined) => void;

  constructor(
    platform: Platform,
    profile: ClientProfile,
    id: string,
    filters: readonly Subscription[],
    begin: (errand: Errand) => void,
    message: (packet: Packet, source: Uint8Array) => void,
    done: (reason: string | undefined) => void,
  ) {
    this.id = id;
    this.filters = filters;
    this.begin = begin;
    this.message = message;
    this.done = done;
    const bytes = new Uint8Array(Session.size(1, 16));
    this.client = new Client(platform, profile, new Session(bytes, 0, 1, 16), this);
    this.client.start();
  }

  end(): void {
    this.client.stop(0);
    this.done(undefined);
  }

  will(): Will | undefined {
    return undefined;
  }

  subscriptions(): readonly Subscription[] {
    return this.filters;
  }

  onConnected(): void {
    if (this.filters.length === 0) this.begin(this);
  }

  onSubscribed(): void {
    this.begin(this);
  }

  onDisconnected(reason: string): void {
    this.client.stop();
    this.done(reason);
  }

  onReady(): void {
    // All is done in `begin`.
  }

  onSettled(): void {
    // Nothing is published at QoS 1.
  }

  resend(): PublishResult {
    return PUBLISH_TOO_LARGE;
  }

  onMessage(packet: Packet, source: Uint8Array): void {
    this.message(packet, source);
  }
}

export class Cleaner {
  private readonly platform = new NodePlatform();
  private readonly profile: ClientProfile;
  private readonly cleanMsMax: number;

  /** `protocol` 0 finds out; what the devices spoke is quicker. */
  constructor(
    target: Target,
    topics: string,
    protocol: ProtocolVersion | 0,
    cleanMsMax = Number.POSITIVE_INFINITY,
  ) {
    this.cleanMsMax = cleanMsMax;
    const { host, password, port, tls, username } = target;
    const broker: ConnectOptions = tls === undefined ? { host, port } : { host, port, tls };
    this.profile = new ClientProfile({
      broker,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password: Buffer.from(password) }),
      topics,
      protocol,
      sessionExpiryS: 0,
      connectMsMax: CONNECT_MS_MAX,
      packetSizeMax: 65536,
    });
  }

  /**
   * Clears what is retained below `topics` of each id, and its session; returns how many could not
   * be reached. Gives up when its time is over, and at a broker where nobody gets through.
   */
  async clean(ids: readonly string[], topics: readonly string[] = ['status']): Promise<number> {
    const waiting = [...ids];
    const { clock } = this.platform;
    const endMs = clock.monotonicMs() + this.cleanMsMax;
    let done = 0;
    let failed = 0;
    const goesOn = () => clock.monotonicMs() < endMs && (done > 0 || failed < IN_FLIGHT);
    const worker = async () => {
      while (goesOn()) {
        const id = waiting.pop();
        if (id === undefined) return;
        const reason = await this.errand(id, [], (errand) => {
          for (const topic of topics) errand.client.publish(0, topic, NOTHING, 0, 0, 0, true);
          errand.end();
        });
        if (reason === undefined) done += 1;
        else failed += 1;
      }
    };
    await Promise.all(Array.from({ length: Math.min(IN_FLIGHT, ids.length) }, worker));
    return failed + waiting.length;
  }

  /** The ids with a retained status whose id begins with `prefix`; rejects with the reason. */
  async findRetained(prefix: string, clientId: string): Promise<string[]> {
    const { topics } = this.profile;
    const found = new Set<string>();
    let latestMs = 0;
    const filters: Subscription[] = [{ filter: topics.format('+', 'status'), qos: 0 }];
    const take = (packet: Packet, source: Uint8Array) => {
      const { payloadEnd, payloadStart, topicEnd, topicStart } = packet;
      const topic = Buffer.from(source.subarray(topicStart, topicEnd)).toString();
      const id = topics.idOf(topic, 'status');
      if (!packet.retain || payloadEnd === payloadStart || !id.startsWith(prefix)) return;
      found.add(id);
      latestMs = this.platform.clock.monotonicMs();
    };
    const begin = (errand: Errand) => {
      latestMs = this.platform.clock.monotonicMs();
      const poll = setInterval(() => {
        if (this.platform.clock.monotonicMs() - latestMs < QUIET_MS) return;
        clearInterval(poll);
        errand.end();
      }, TICK_MS);
    };
    const reason = await this.errand(clientId, filters, begin, take);
    if (reason !== undefined) throw new Error(reason);
    return [...found];
  }

  /** Resolves with the reason of a failure, or undefined. */
  private errand(
    id: string,
    filters: readonly Subscription[],
    begin: (errand: Errand) => void,
    message: (packet: Packet, source: Uint8Array) => void = () => undefined,
  ): Promise<string | undefined> {
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    const { platform, profile } = this;
    const errand = new Errand(platform, profile, id, filters, begin, message, resolve);
    const ticker = setInterval(() => {
      errand.client.tick(platform.clock.monotonicMs());
    }, TICK_MS);
    return promise.finally(() => clearInterval(ticker));
  }
}
