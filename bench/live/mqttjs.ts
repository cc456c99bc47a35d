// The other side: MQTT.js with cbor-x, doing with the least of our own code what our devices do:
// the same packets, the same pacing of connects, the same schedule of messages.

import { Encoder } from 'cbor-x';
import mqtt, { type IClientOptions, type IClientPublishOptions, type MqttClient } from 'mqtt';
import {
  CONNECTS_IN_FLIGHT,
  deviceId,
  KEEP_ALIVE_S,
  PACKET_SIZE_MAX,
  RECEIVE_MAXIMUM,
  SENSORS,
  SESSION_EXPIRY_S,
  sensorValue,
  WILL_DELAY_S,
} from './fleet.ts';
import { type Load, type LoadOptions, serveLoad, type Totals } from './load.ts';

/** Integer keys of SenML (RFC 8428 §6); short map heads: the same bytes as the SDK's. */
const SENML_KEYS = { n: 0, u: 1, v: 2, bn: -2, bt: -3 };
const senml = new Encoder({ useRecords: false, variableMapSize: true, keyMap: SENML_KEYS });
const plain = new Encoder({ useRecords: false, variableMapSize: true });
const OFFLINE = plain.encode({ state: 'offline' });
/** As the SDK's diagnostics after a connect. */
const DIAGNOSTICS = {
  dropped: 0,
  pending: 0,
  refused: 0,
  commands: 0,
  connects: 1,
  oversize: 0,
  produced: 0,
  anomalies: 0,
  unconfirmed: 0,
  sensorFaults: 0,
  anomaliesHeld: 0,
  missedSamples: 0,
  commandsRefused: 0,
  commandsRepeated: 0,
  subscribeRefused: 0,
};
const BIRTH_OPTIONS: IClientPublishOptions = { qos: 1, retain: true };
/** The stream id in the SDK's base names has six or seven characters. */
const STREAM = 'bench0';
/** setTimeout takes 31 bits of ms. */
const SLEEP_MS_MAX = 60_000;

class MqttjsLoad implements Load {
  private readonly options: LoadOptions;
  private readonly publishOptions: IClientPublishOptions;
  private batchCount = 0;
  /** Ids whose turn to connect has not come, last first. */
  private waiting: string[] = [];
  private readonly ids: string[] = [];
  private readonly clients: MqttClient[] = [];
  private readonly sequences: number[] = [];
  /** When each device publishes next, ms; the devices in `order` are in the order of these. */
  private dueMs: number[] = [];
  private order: number[] = [];
  private orderAt = 0;
  private connectedCount = 0;
  private timer: NodeJS.Timeout | undefined;
  private produced = 0;
  private settled = 0;

  constructor(options: LoadOptions) {
    this.options = options;
    this.publishOptions = { qos: options.qos };
  }

  prepare(count: number): void {
    const batch = this.batchCount;
    this.batchCount += 1;
    this.waiting = Array.from({ length: count }, (_, index) => deviceId(batch, index)).reverse();
  }

  connect(): void {
    for (let index = 0; index < CONNECTS_IN_FLIGHT; index += 1) this.connectNext();
  }

  stopPublishing(): void {
    clearTimeout(this.timer);
  }

  finish(): Totals {
    const { produced, settled } = this;
    return { produced, pending: produced - settled, dropped: 0, missed: 0 };
  }

  private connectNext(): void {
    const id = this.waiting.pop();
    if (id === undefined) return;
    const client = mqtt.connect(connectOptions(id, this.options));
    this.ids.push(id);
    this.clients.push(client);
    this.sequences.push(0);
    client.on('connect', () => this.connected(client, id));
    client.on('error', fail);
    client.on('close', lost);
  }

  private connected(client: MqttClient, id: string): void {
    const status = `devices/${id}/status`;
    const commands = `devices/${id}/commands`;
    if (this.options.protocol === '5') client.subscribe(commands, { qos: 1 });
    else client.subscribe({ [commands]: { qos: 1 }, [status]: { qos: 0 } });
    const since = (performance.timeOrigin + performance.now()) / 1000;
    client.publish(status, plain.encode({ since, state: 'online' }), BIRTH_OPTIONS);
    client.publish(`devices/${id}/diagnostics`, plain.encode(DIAGNOSTICS));
    this.connectedCount += 1;
    this.connectNext();
    if (this.waiting.length === 0 && this.connectedCount === this.clients.length) this.schedule();
  }

  /** A random phase for each device, as the SDK's have. */
  private schedule(): void {
    const { intervalMs } = this.options;
    const nowMs = performance.now();
    this.dueMs = this.clients.map(() => nowMs + Math.random() * intervalMs);
    this.order = this.dueMs.map((_, index) => index);
    this.order.sort((a, b) => this.dueMs[a]! - this.dueMs[b]!);
    this.orderAt = 0;
    this.publishDue();
  }

  /** One timer for all, as the SDK's side has one wheel. */
  private publishDue(): void {
    const { dueMs, order } = this;
    const nowMs = performance.now();
    let device = order[this.orderAt]!;
    while (dueMs[device]! <= nowMs) {
      this.publish(device, dueMs[device]!);
      dueMs[device] = dueMs[device]! + this.options.intervalMs;
      this.orderAt = this.orderAt + 1 === order.length ? 0 : this.orderAt + 1;
      device = order[this.orderAt]!;
    }
    const sleepMs = Math.min(SLEEP_MS_MAX, Math.max(1, dueMs[device]! - nowMs));
    this.timer = setTimeout(() => this.publishDue(), sleepMs);
  }

  private publish(device: number, scheduledMs: number): void {
    const id = this.ids[device]!;
    const sequence = this.sequences[device]!;
    this.sequences[device] = sequence + 1;
    const elapsedMs = performance.now();
    const bt = (performance.timeOrigin + scheduledMs) / 1000;
    const first = { n: 'seq', v: sequence, bn: `${id}/${STREAM}:`, bt };
    const [temperature, humidity, voltage] = SENSORS;
    const pack = senml.encode([
      first,
      { n: temperature!.name, u: temperature!.unit, v: sensorValue(temperature!, elapsedMs) },
      { n: humidity!.name, u: humidity!.unit, v: sensorValue(humidity!, elapsedMs) },
      { n: voltage!.name, u: voltage!.unit, v: sensorValue(voltage!, elapsedMs) },
    ]);
    this.produced += 1;
    const topic = `devices/${id}/telemetry`;
    this.clients[device]!.publish(topic, pack, this.publishOptions, this.onSettled);
  }

  private readonly onSettled = (error?: Error | null): void => {
    if (error) fail(error);
    this.settled += 1;
  };
}

function connectOptions(id: string, { port, protocol }: LoadOptions): IClientOptions {
  const topic = `devices/${id}/status`;
  const base: IClientOptions = {
    protocol: 'mqtt',
    host: '127.0.0.1',
    port,
    clientId: id,
    keepalive: KEEP_ALIVE_S,
  };
  const will = { topic, payload: OFFLINE, qos: 1, retain: true } as const;
  if (protocol === '3.1.1') return { ...base, protocolVersion: 4, clean: false, will };
  return {
    ...base,
    protocolVersion: 5,
    clean: true,
    properties: {
      sessionExpiryInterval: SESSION_EXPIRY_S,
      receiveMaximum: RECEIVE_MAXIMUM,
      maximumPacketSize: PACKET_SIZE_MAX,
    },
    will: { ...will, properties: { willDelayInterval: WILL_DELAY_S } },
  };
}

function fail(error: Error): never {
  throw error;
}

function lost(): never {
  throw new Error('a connection was lost');
}

serveLoad((options) => new MqttjsLoad(options));
