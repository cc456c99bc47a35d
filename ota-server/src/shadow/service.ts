// The MQTT edge of the shadow service: requests in, answers out. It decides nothing but who is
// too much: core.ts answers, store.ts keeps.

import { TopicTemplate } from '@flotilla/sdk/mqtt/topic-template';
import { type BrokerAddress, type Connection, openConnection, subscribe } from './connection.ts';
import { type Message, type RequestKind, rejection, respond } from './core.ts';
import type { Shadow } from './document.ts';
import { decodeRequest, type Encoding, encodeDocument } from './payload.ts';
import { type Refusal, readToken } from './request.ts';
import { MemoryStore, type ShadowStore } from './store.ts';

/** Topics with `{id}` and `{topic}`, and how documents are written below them. */
export interface TopicFamily {
  readonly topics: string;
  readonly encoding: Encoding;
}

/** Our own topics. */
export const OWN_FAMILY: TopicFamily = { topics: 'devices/{id}/{topic}', encoding: 'cbor' };
/** AWS IoT's unnamed shadows. */
export const AWS_FAMILY: TopicFamily = { topics: '$aws/things/{id}/{topic}', encoding: 'json' };

export interface ShadowServiceOptions {
  readonly broker: BrokerAddress;
  readonly clientId: string;
  /** Each has shadows of its own: the same id under another is another shadow. */
  readonly families?: readonly TopicFamily[];
  /**
   * Name of a shared subscription, for several services with one store between them. Only where
   * the broker has them: others grant it and deliver nothing.
   */
  readonly group?: string;
  readonly store?: ShadowStore;
  /** Ms since 1970. */
  readonly nowMs?: () => number;
  /** After each accepted update and deletion. */
  onChange?(id: string, shadow: Shadow | undefined): void;
  /**
   * Hears `status` of the devices too, on the same connection, so that a birth comes before the
   * requests that follow it. Not those that are retained: when they were, nobody knows.
   */
  onStatus?(id: string, payload: Buffer): void;
}

/** What came, and what became of it. */
export interface ShadowCounters {
  accepted: number;
  rejected: number;
  /** Retained requests: left by somebody long ago, not asked now. */
  retained: number;
  /** Below a topic with an id longer than ID_SIZE_MAX. */
  badIds: number;
  /** Dropped without an answer, because PENDING_COUNT_MAX answers wait for the broker. */
  overloaded: number;
}

/** Bytes of a device id; AWS allows things as much. */
export const ID_SIZE_MAX = 128;
/** Answers that the broker has not acknowledged; beyond it requests are dropped and counted. */
export const PENDING_COUNT_MAX = 10_000;

const KINDS: readonly RequestKind[] = ['get', 'update', 'delete'];
const FULL: Refusal = { code: 429, message: 'No room for more shadows' };

interface Family {
  readonly topics: TopicTemplate;
  readonly encoding: Encoding;
  /** Sets its shadows apart from other families'. */
  readonly keyPrefix: string;
}

export class ShadowService {
  readonly counters: ShadowCounters = {
    accepted: 0,
    rejected: 0,
    retained: 0,
    badIds: 0,
    overloaded: 0,
  };
  /** Messages that the broker has not acknowledged yet. */
  pendingCount = 0;
  private readonly options: ShadowServiceOptions;
  private readonly families: readonly Family[];
  private readonly store: ShadowStore;
  private readonly nowMs: () => number;
  private connection: Connection | undefined;

  constructor(options: ShadowServiceOptions) {
    this.options = options;
    this.store = options.store ?? new MemoryStore();
    this.nowMs = options.nowMs ?? Date.now;
    this.families = (options.families ?? [OWN_FAMILY, AWS_FAMILY]).map(
      ({ encoding, topics }, index) => ({
        topics: new TopicTemplate(topics),
        encoding,
        keyPrefix: `${index}/`,
      }),
    );
  }

  /** Resolves when requests are answered; rejects with the reason why they cannot be. */
  async start(): Promise<void> {
    const { broker, clientId } = this.options;
    this.connection = await openConnection(broker, {
      clientId,
      clean: false,
      onMessage: (connection, topic, payload, { retain }) => {
        this.connection ??= connection;
        this.onMessage(topic, payload, retain);
      },
    });
    await subscribe(this.connection, this.filters());
  }

  /** Leaves the broker, and no session behind. */
  async stop(): Promise<void> {
    const { connection } = this;
    if (connection === undefined) return;
    this.connection = undefined;
    if (connection.connected)
      await connection.unsubscribeAsync([...this.filters()]).catch(() => undefined);
    await connection.endAsync(true);
    // Only a clean connect ends a session of 3.1.1 (MQTT-3.1.2-6).
    const { broker, clientId } = this.options;
    const once = { clientId, clean: true, onMessage: () => undefined };
    const last = await openConnection(broker, once).catch(() => undefined);
    await last?.endAsync();
  }

  /** The shadow of a device in the first family. */
  shadowOf(id: string): Shadow | undefined {
    return this.store.read(this.families[0]!.keyPrefix + id);
  }

  /**
   * Answers a request as if it had come to the first family's topics. Returns what was answered,
   * which is published too.
   */
  request(id: string, kind: RequestKind, body: unknown): readonly Message[] {
    return this.handle(this.families[0]!, id, kind, { body });
  }

  private filters(): readonly string[] {
    const { group } = this.options;
    const prefix = group === undefined ? '' : `$share/${group}/`;
    const requests = this.families.flatMap(({ topics }) =>
      KINDS.map((kind) => prefix + topics.format('+', `shadow/${kind}`)),
    );
    if (this.options.onStatus === undefined) return requests;
    return [...requests, this.families[0]!.topics.format('+', 'status')];
  }

  private onMessage(topic: string, payload: Buffer, retained: boolean): void {
    const statusOf = this.families[0]!.topics.idOf(topic, 'status');
    if (statusOf !== '') {
      if (!retained) this.options.onStatus?.(statusOf, payload);
      return;
    }
    for (const family of this.families) {
      for (const kind of KINDS) {
        const id = family.topics.idOf(topic, `shadow/${kind}`);
        if (id === '') continue;
        if (retained) this.counters.retained += 1;
        else if (Buffer.byteLength(id) > ID_SIZE_MAX) this.counters.badIds += 1;
        else if (this.pendingCount >= PENDING_COUNT_MAX) this.counters.overloaded += 1;
        else this.handle(family, id, kind, decodeRequest(payload, family.encoding));
        return;
      }
    }
  }

  private handle(
    family: Family,
    id: string,
    kind: RequestKind,
    { body, refusal }: ReturnType<typeof decodeRequest>,
  ): readonly Message[] {
    const nowS = Math.floor(this.nowMs() / 1000);
    const messages =
      refusal === undefined
        ? this.answer(family.keyPrefix + id, kind, body, nowS, id)
        : [rejection(kind, refusal, nowS, undefined)];
    const accepted = messages[0]!.name === `${kind}/accepted`;
    this.counters[accepted ? 'accepted' : 'rejected'] += 1;
    for (const message of messages) this.publish(family, id, message);
    return messages;
  }

  private answer(
    key: string,
    kind: RequestKind,
    body: unknown,
    nowS: number,
    id: string,
  ): readonly Message[] {
    const before = this.store.read(key);
    const { messages, shadow } = respond(before, { kind, body }, nowS);
    if (shadow === before) return messages;
    if (shadow === undefined) this.store.remove(key);
    else if (!this.store.write(key, shadow)) {
      return [rejection(kind, FULL, nowS, readToken(body).token)];
    }
    this.options.onChange?.(id, shadow);
    return messages;
  }

  private publish({ encoding, topics }: Family, id: string, { document, name }: Message): void {
    if (this.connection === undefined) return;
    this.pendingCount += 1;
    const topic = topics.format(id, `shadow/${name}`);
    this.connection.publish(topic, encodeDocument(document, encoding), { qos: 1 }, () => {
      this.pendingCount -= 1;
    });
  }
}
