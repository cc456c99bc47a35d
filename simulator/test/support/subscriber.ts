// A second opinion: subscribes with MQTT.js and reads packs with cbor-x, so that it shares no code
// with the observer.

import { Decoder } from 'cbor-x';
import mqtt, { type MqttClient } from 'mqtt';

/** Labels of SenML in CBOR (RFC 8428 §6). */
const BASE_NAME = -2;
const NAME = 0;
const VALUE = 2;

type Label = number;
type SenmlRecord = ReadonlyMap<Label, unknown>;

export interface Delivery {
  /** Of the topic. */
  readonly device: string;
  /** Device and stream, as in the pack. */
  readonly baseName: string;
  readonly sequence: number;
  /** Values by sensor. */
  readonly values: Readonly<Record<string, unknown>>;
}

const decoder = new Decoder({ mapsAsObjects: false, useRecords: false });

export class Subscriber {
  readonly deliveries: Delivery[] = [];
  /** Topic and payload of the first message. */
  first: [topic: string, payload: Buffer] | undefined;
  private readonly client: MqttClient;

  private constructor(client: MqttClient) {
    this.client = client;
    client.on('message', (topic, payload) => {
      const [, device, kind] = topic.split('/');
      // What a run's observer says to itself.
      if (device?.endsWith('-observer')) return;
      this.first ??= [topic, payload];
      const delivery = kind === 'telemetry' ? read(device!, payload) : undefined;
      if (delivery !== undefined) this.deliveries.push(delivery);
    });
  }

  /** Resolves when the telemetry of all devices is subscribed to. */
  static async open(url: string): Promise<Subscriber> {
    const client = await mqtt.connectAsync(url, {
      protocolVersion: 5,
      properties: { receiveMaximum: 65_535 },
      reconnectPeriod: 0,
    });
    const subscriber = new Subscriber(client);
    await client.subscribeAsync('devices/+/telemetry', { qos: 1 });
    return subscriber;
  }

  /** Different messages by device and sequence. */
  get distinctCount(): number {
    return new Set(this.deliveries.map(({ device, sequence }) => `${device} ${sequence}`)).size;
  }

  /** By device and sequence: `r1-meters-7 3`. */
  byMessage(): Map<string, Delivery> {
    return new Map(this.deliveries.map((each) => [`${each.device} ${each.sequence}`, each]));
  }

  publish(topic: string, payload: Buffer): Promise<unknown> {
    return this.client.publishAsync(topic, payload, { qos: 1 });
  }

  close(): Promise<void> {
    return this.client.endAsync(true);
  }
}

/** Undefined for what is no pack. */
function read(device: string, payload: Buffer): Delivery | undefined {
  let records: SenmlRecord[];
  try {
    records = decoder.decode(payload) as SenmlRecord[];
  } catch {
    return undefined;
  }
  if (!Array.isArray(records)) return undefined;
  const [head, ...samples] = records;
  return {
    device,
    baseName: String(head!.get(BASE_NAME)),
    sequence: Number(head!.get(VALUE)),
    values: Object.fromEntries(samples.map((each) => [String(each.get(NAME)), each.get(VALUE)])),
  };
}

/** Topics and payloads that the broker keeps below `filter`. */
export async function retainedAt(url: string, filter: string): Promise<string[]> {
  const client = await mqtt.connectAsync(url, { protocolVersion: 5 });
  const found: string[] = [];
  client.on('message', (topic, payload, packet) => {
    if (packet.retain) found.push(`${topic} ${payload.toString('hex')}`);
  });
  await client.subscribeAsync(filter, { qos: 0 });
  // They are sent before the answer to what follows.
  await client.subscribeAsync('flotilla/none', { qos: 0 });
  await client.endAsync(true);
  return found;
}
