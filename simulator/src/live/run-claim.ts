// A run's claim to its id: a retained message at the broker, which its holder keeps, and defends.
//
// Whoever wants an id says so on the claim's topic and waits. Who holds the id hears that and says
// so in turn; of two who begin at once, the one with the lower nonce wins. What is retained there
// proves nothing, since it may be of a run that died with its broker: only what is said now counts.
// The will of a holder that dies clears it, and so does `flotilla clean`.

import { randomBytes } from 'node:crypto';
import type { ConnectOptions } from '@flotilla/sdk';
import { Client } from '@flotilla/sdk/mqtt/client';
import type { ClientOwner } from '@flotilla/sdk/mqtt/client-owner';
import { ClientProfile } from '@flotilla/sdk/mqtt/client-profile';
import { PUBLISH_TOO_LARGE, type PublishResult } from '@flotilla/sdk/mqtt/delivery';
import type { Packet, Subscription, Will } from '@flotilla/sdk/mqtt/packet';
import { Session } from '@flotilla/sdk/mqtt/session';
import { TopicTemplate } from '@flotilla/sdk/mqtt/topic-template';
import { NodePlatform } from '@flotilla/sdk/node';
import type { Target } from './messages.ts';

/** How long a holder may take to answer. */
const ANSWER_MS = 1000;
/** From the opening of the socket to a verdict, whatever the broker does. */
const VERDICT_MS_MAX = 6000;
/** How long the farewell may take. */
const FAREWELL_MS_MAX = 1000;
const KEEP_ALIVE_MS = 10_000;
const TICK_MS = 20;
const NONCE_SIZE = 8;
const INFLIGHT_MAX = 8;
const NOTHING = new Uint8Array(0);
/** The claim's topic, below the id of the run's observer. */
export const CLAIM = 'claim';

/** `unknown`: the broker was not there, or would not take a claim. */
export type Verdict = 'held' | 'in use' | 'unknown';

/** What is said on the topic of a claim. */
interface Statement {
  readonly nonce: string;
  /** False while it only asks. */
  readonly held: boolean;
}

/** Where the claim to the id `run` stands. */
export function claimTopic(topics: string, run: string): string {
  return new TopicTemplate(topics).format(`${run}-observer`, CLAIM);
}

export class RunClaim implements ClientOwner {
  readonly id: string;
  /** True once somebody else said that it holds the id too. */
  isContested = false;
  private readonly topic: string;
  private readonly nonce: string;
  private readonly client: Client;
  private readonly verdict = Promise.withResolvers<Verdict>();
  private readonly farewell = Promise.withResolvers<void>();
  private state: 'asking' | 'held' | 'leaving' | 'over' = 'asking';
  private readonly timers: NodeJS.Timeout[] = [];

  /** `isNew`: nobody else can have this id, so nobody is asked. */
  constructor(target: Target, topics: string, run: string, isNew: boolean) {
    this.nonce = randomBytes(NONCE_SIZE).toString('hex');
    this.id = `${run}-claim-${this.nonce}`;
    this.topic = claimTopic(topics, run);
    if (isNew) this.state = 'held';
    const { host, password, port, tls, username } = target;
    const broker: ConnectOptions = tls === undefined ? { host, port } : { host, port, tls };
    const profile = new ClientProfile({
      broker,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password: Buffer.from(password) }),
      topics,
      keepAliveMs: KEEP_ALIVE_MS,
      sessionExpiryS: 0,
      inflightMax: INFLIGHT_MAX,
    });
    const bytes = new Uint8Array(Session.size(INFLIGHT_MAX, INFLIGHT_MAX));
    const session = new Session(bytes, 0, INFLIGHT_MAX, INFLIGHT_MAX);
    const platform = new NodePlatform();
    this.client = new Client(platform, profile, session, this);
    const tick = () => this.client.tick(platform.clock.monotonicMs());
    this.timers.push(setInterval(tick, TICK_MS));
    this.timers.push(setTimeout(() => this.judge('unknown'), VERDICT_MS_MAX));
    this.client.start();
  }

  /** Resolves once it is known whether the id may be used. */
  acquired(): Promise<Verdict> {
    return this.verdict.promise;
  }

  /** Resolves when the id is free again, as far as the broker lets us say so. */
  async release(): Promise<void> {
    const wasHeld = this.state === 'held';
    if (wasHeld && this.client.state === 'connected') {
      this.state = 'leaving';
      this.timers.push(setTimeout(() => this.farewell.resolve(), FAREWELL_MS_MAX));
      this.publish(NOTHING);
      await this.farewell.promise;
    }
    this.end();
  }

  // The client's events.

  will(): Will | undefined {
    return { topic: this.topic, payload: NOTHING, qos: 1, retain: true, delayS: 0 };
  }

  subscriptions(): readonly Subscription[] {
    return [{ filter: this.topic, qos: 1 }];
  }

  onConnected(): void {
    // Nothing is said before the answers to it can be heard.
  }

  onSubscribed(): void {
    if (this.client.subscribeRefusedCount > 0) this.giveUp();
    else this.speak();
    if (this.state === 'held') this.judge('held');
    if (this.state !== 'asking') return;
    this.timers.push(setTimeout(() => this.hold(), ANSWER_MS));
  }

  onDisconnected(): void {
    // A claim that was made is made again; without one, others tell better what is wrong there.
    if (this.state === 'asking') this.giveUp();
  }

  onReady(): void {
    // Little is said, and there is room for it.
  }

  onSettled(_reference: number, reasonCode: number): void {
    if (this.state === 'leaving') this.farewell.resolve();
    else if (reasonCode >= 128) this.giveUp();
  }

  resend(): PublishResult {
    return PUBLISH_TOO_LARGE;
  }

  onMessage(packet: Packet, source: Uint8Array): void {
    if (packet.retain) return;
    const said = read(source, packet.payloadStart, packet.payloadEnd);
    if (said?.nonce === this.nonce) return;
    if (this.state === 'held') {
      // Also where it was cleared: by the will of a connection of ours that broke, perhaps.
      if (said?.held === true) this.isContested = true;
      this.speak();
    } else if (this.state === 'asking' && said !== undefined) {
      if (said.held || said.nonce < this.nonce) this.lose();
      else this.speak();
    }
  }

  // What it does.

  private hold(): void {
    if (this.state !== 'asking') return;
    this.state = 'held';
    this.speak();
    this.judge('held');
  }

  private lose(): void {
    this.judge('in use');
    this.end();
  }

  private giveUp(): void {
    this.judge('unknown');
    this.end();
  }

  private judge(verdict: Verdict): void {
    this.verdict.resolve(verdict);
  }

  private end(): void {
    this.state = 'over';
    for (const timer of this.timers) clearInterval(timer);
    this.client.stop(0);
  }

  /** Says what we want or have. */
  private speak(): void {
    const statement: Statement = { nonce: this.nonce, held: this.state === 'held' };
    this.publish(Buffer.from(JSON.stringify(statement)));
  }

  private publish(payload: Uint8Array): void {
    const whole = { topic: this.topic, correlation: undefined };
    this.client.publish(1, CLAIM, payload, 0, payload.length, 1, true, whole);
  }
}

/** Undefined for what is no statement. */
function read(source: Uint8Array, start: number, end: number): Statement | undefined {
  try {
    const { held, nonce } = JSON.parse(Buffer.from(source.subarray(start, end)).toString());
    return typeof nonce === 'string' ? { nonce, held: held === true } : undefined;
  } catch {
    return undefined;
  }
}
