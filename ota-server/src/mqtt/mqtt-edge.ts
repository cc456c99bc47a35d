// The MQTT edge: tells devices to check, and takes checks and reports by the same bodies as HTTP.
// Who a device is, the broker says: its access rules have to keep a device to its own topics.

import { TopicTemplate } from '@flotilla/sdk/mqtt/topic-template';
import type { Control } from '../control/control.ts';
import { Problem } from '../problem.ts';
import {
  type BrokerAddress,
  type Connection,
  type MessageFlags,
  openConnection,
  subscribe,
} from '../shadow/connection.ts';

export interface MqttEdgeOptions {
  readonly control: Control;
  readonly broker: BrokerAddress;
  /** With `{id}` and `{topic}`. */
  readonly topics: string;
  readonly clientId: string;
  onError(error: unknown): void;
}

/** What came, and what became of it. */
export interface MqttCounters {
  checks: number;
  reports: number;
  /** Bodies that are neither, and ids that nobody registered. */
  refused: number;
  /** Left by somebody long ago, not said now. */
  retained: number;
  notified: number;
}

/** Messages that the broker has not acknowledged; notifying waits beyond it. */
const PENDING_COUNT_MAX = 1000;
const GROUP = 'flotilla-ota';

export class MqttEdge {
  readonly counters: MqttCounters = { checks: 0, reports: 0, refused: 0, retained: 0, notified: 0 };
  private readonly options: MqttEdgeOptions;
  private readonly topics: TopicTemplate;
  private connection: Connection | undefined;
  private stopListening: () => void = () => undefined;
  private notifying: Promise<void> = Promise.resolve();

  constructor(options: MqttEdgeOptions) {
    this.options = options;
    this.topics = new TopicTemplate(options.topics);
  }

  /** Resolves when checks are answered; rejects with the reason why they cannot be. */
  async start(): Promise<void> {
    const { broker, clientId, control } = this.options;
    this.connection = await openConnection(broker, {
      clientId,
      clean: true,
      onMessage: (_connection, topic, payload, flags) => this.onMessage(topic, payload, flags),
    });
    await this.listen(this.connection);
    this.stopListening = control.onNotify((_rollout, ids) => {
      // One after the other: what two rollouts say at once would be twice the flood.
      this.notifying = this.notifying.then(() => this.notify(ids)).catch(this.options.onError);
    });
  }

  async stop(): Promise<void> {
    this.stopListening();
    const { connection } = this;
    this.connection = undefined;
    await connection?.endAsync(true);
  }

  /** Shared, so that several servers divide the work; plain where the broker does not share. */
  private async listen(connection: Connection): Promise<void> {
    const filters = ['ota/check', 'ota/report'].map((name) => this.topics.format('+', name));
    const isShared =
      connection.options.protocolVersion === 5 &&
      (await subscribe(
        connection,
        filters.map((filter) => `$share/${GROUP}/${filter}`),
      ).then(
        () => true,
        () => false,
      ));
    // 3.1.1 has no shared subscriptions: some brokers grant them there and deliver nothing.
    if (!isShared) await subscribe(connection, filters);
  }

  private onMessage(topic: string, payload: Buffer, flags: MessageFlags): void {
    for (const kind of ['check', 'report'] as const) {
      const id = this.topics.idOf(topic, `ota/${kind}`);
      if (id === '') continue;
      if (flags.retain) this.counters.retained += 1;
      else this.handle(id, kind, payload, flags).catch(this.options.onError);
      return;
    }
  }

  private async handle(
    id: string,
    kind: 'check' | 'report',
    payload: Buffer,
    { properties }: MessageFlags,
  ): Promise<void> {
    const { control } = this.options;
    try {
      const device = control.device(id);
      if (kind === 'report') {
        this.counters.reports += 1;
        await control.report(device, payload);
        return;
      }
      this.counters.checks += 1;
      const answer = Buffer.from(await control.check(device, payload));
      const { correlationData, responseTopic } = properties ?? {};
      // Only below the device's own topics: a response topic must not make us speak to others.
      const isOwn = responseTopic !== undefined && this.isOwnTopic(responseTopic, id);
      await this.connection?.publishAsync(
        isOwn ? responseTopic : this.topics.format(id, 'ota/notify'),
        answer,
        {
          qos: 1,
          ...(isOwn && correlationData !== undefined ? { properties: { correlationData } } : {}),
        },
      );
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      // Nobody to tell: the device hears nothing, and asks by HTTP or later.
      this.counters.refused += 1;
    }
  }

  private isOwnTopic(topic: string, id: string): boolean {
    const bytes = Buffer.from(topic);
    return !/[+#\0]/.test(topic) && this.topics.nameOf(bytes, 0, bytes.length, id) !== '';
  }

  private async notify(ids: Iterable<string>): Promise<void> {
    let pending: Promise<unknown>[] = [];
    for (const id of ids) {
      const { connection } = this;
      if (connection === undefined || !connection.connected) return; // Devices poll as well.
      pending.push(connection.publishAsync(this.topics.format(id, 'ota/notify'), '', { qos: 1 }));
      this.counters.notified += 1;
      if (pending.length < PENDING_COUNT_MAX) continue;
      await Promise.all(pending);
      pending = [];
    }
    await Promise.all(pending);
  }
}
