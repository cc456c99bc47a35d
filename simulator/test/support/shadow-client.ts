// A client of the shadow by MQTT.js, cbor-x and JSON.parse: shares no code with service or SDK.

import { Encoder } from 'cbor-x';
import mqtt, { type MqttClient } from 'mqtt';

export interface Answer {
  /** Below `shadow/`: `update/delta`. */
  readonly name: string;
  // biome-ignore lint/suspicious/noExplicitAny: documents of all forms, looked at by tests.
  readonly document: any;
}

const cbor = new Encoder({ useRecords: false });
const FORMS = {
  own: { prefix: 'devices/', encode: (value: unknown) => cbor.encode(value), decode: fromCbor },
  aws: {
    prefix: '$aws/things/',
    encode: (value: unknown) => Buffer.from(JSON.stringify(value)),
    decode: (bytes: Buffer) => JSON.parse(bytes.toString()),
  },
};

function fromCbor(bytes: Buffer): unknown {
  return cbor.decode(bytes);
}

export class ShadowClient {
  readonly answers: Answer[] = [];
  readonly client: MqttClient;
  private readonly form: (typeof FORMS)['own'];
  private readonly prefix: string;
  private listener: (answer: Answer) => void = () => undefined;

  private constructor(client: MqttClient, id: string, form: 'own' | 'aws') {
    this.client = client;
    this.form = FORMS[form];
    this.prefix = `${this.form.prefix}${id}/shadow/`;
    client.on('message', (topic, payload) => {
      if (!topic.startsWith(this.prefix)) return;
      const name = topic.slice(this.prefix.length);
      const answer = { name, document: this.form.decode(payload) };
      this.answers.push(answer);
      this.listener(answer);
    });
  }

  /** Resolves when it hears everything about the shadow of `id`. */
  static async open(url: string, id: string, form: 'own' | 'aws' = 'own'): Promise<ShadowClient> {
    const client = await mqtt.connectAsync(url, { protocolVersion: 4 });
    const device = new ShadowClient(client, id, form);
    const names = ['+/accepted', '+/rejected', 'update/delta', 'update/documents'];
    await client.subscribeAsync(
      names.map((name) => device.prefix + name),
      { qos: 1 },
    );
    return device;
  }

  async send(kind: string, body?: unknown): Promise<void> {
    const payload = body === undefined ? Buffer.alloc(0) : this.form.encode(body);
    await this.client.publishAsync(this.prefix + kind, payload, { qos: 1 });
  }

  async sendBytes(kind: string, payload: Buffer, retain = false): Promise<void> {
    await this.client.publishAsync(this.prefix + kind, payload, { qos: 1, retain });
  }

  /** Asks and resolves with the document that answers. */
  async ask(kind: string, body?: unknown): Promise<Answer> {
    const from = this.answers.length;
    await this.send(kind, body);
    return await this.heard(({ name }) => /(accepted|rejected)$/.test(name), from);
  }

  /** The first answer from the `from`th on for which `condition` holds. */
  heard(condition: (answer: Answer) => boolean, from = 0): Promise<Answer> {
    const { promise, resolve } = Promise.withResolvers<Answer>();
    const found = this.answers.slice(from).find(condition);
    if (found !== undefined) resolve(found);
    this.listener = (answer) => {
      if (condition(answer)) resolve(answer);
    };
    return promise;
  }

  close(): Promise<void> {
    return this.client.endAsync(true);
  }
}
