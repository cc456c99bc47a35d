// A comparison is worth nothing when the sides do not do the same: both connect to a server of
// this test, which takes down what each of them says.

import { createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { decode } from 'cbor-x';
import { generate, type Packet, parser } from 'mqtt-packet';
import { afterEach, expect, test } from 'vitest';
import { Child } from '../../child.ts';
import { type Protocol, SENSORS, type Side } from '../../live/fleet.ts';
import type { LoadOptions, LoadRequest, Totals } from '../../live/load.ts';

const DEVICES = 3;
const TELEMETRY_COUNT = 3;
const INTERVAL_MS = 50;
/** Turns in which nothing more is said, after which nothing will be. */
const STILL_TURNS = 20;
const TURN_MS = 10;
/** A counter more or less in one packet per connect makes no difference; twice the size would. */
const DIAGNOSTICS_SIZE_TOLERANCE = 0.4;

const LOADS: Record<Side, URL> = {
  ours: new URL('../../live/flotilla.ts', import.meta.url),
  mqttjs: new URL('../../live/mqttjs.ts', import.meta.url),
};

/** Accepts everything, and keeps what was said. */
class Listener {
  readonly packets = new Map<string, Packet[]>();
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();

  constructor() {
    this.server = createServer((socket) => this.take(socket));
  }

  listen(): Promise<number> {
    return new Promise((resolve) => {
      this.server.listen(0, '127.0.0.1', () => {
        const address = this.server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      });
    });
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
  }

  private take(socket: Socket): void {
    this.sockets.add(socket);
    socket.on('error', () => undefined);
    let options = {};
    let packets: Packet[] = [];
    const reader = parser();
    reader.on('packet', (packet) => {
      if (packet.cmd === 'connect') {
        options = { protocolVersion: packet.protocolVersion };
        packets = this.packets.get(packet.clientId) ?? [];
        this.packets.set(packet.clientId, packets);
      }
      packets.push(packet);
      const answer = answerTo(packet);
      if (answer !== undefined) socket.write(generate(answer, options));
    });
    socket.on('data', (chunk) => reader.parse(chunk));
  }
}

function answerTo(packet: Packet): Packet | undefined {
  const { messageId = 0 } = packet;
  if (packet.cmd === 'connect') {
    return { cmd: 'connack', sessionPresent: false, reasonCode: 0, returnCode: 0 };
  }
  if (packet.cmd === 'subscribe') {
    return { cmd: 'suback', messageId, granted: packet.subscriptions.map(({ qos }) => qos) };
  }
  return packet.cmd === 'publish' && packet.qos === 1 ? { cmd: 'puback', messageId } : undefined;
}

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

interface Normal {
  readonly cmd?: unknown;
  readonly topic?: unknown;
  readonly payload?: unknown;
}

interface Recording {
  /** What each device says, times and values taken out. */
  readonly said: ReadonlyMap<string, readonly Normal[]>;
  readonly diagnosticsSize: number;
}

async function record(side: Side, protocol: Protocol, qos: 0 | 1): Promise<Recording> {
  const listener = new Listener();
  closing.push(() => listener.close());
  const load = new Child(side, LOADS[side]);
  closing.push(() => load.stop());
  const options: LoadOptions = {
    port: await listener.listen(),
    protocol,
    qos,
    intervalMs: INTERVAL_MS,
    bufferSize: 4096,
  };
  const ask = <T>(request: LoadRequest) => load.ask<T>(request);
  await ask({ kind: 'open', options });
  await ask({ kind: 'prepare', count: DEVICES });
  await ask({ kind: 'connect' });
  const telemetryCount = (packets: Packet[]) => packets.filter(isTelemetry).length;
  await expect
    .poll(() => [...listener.packets.values()].map(telemetryCount))
    .toSatisfy((counts: number[]) => {
      return counts.length === DEVICES && counts.every((count) => count >= TELEMETRY_COUNT);
    });
  await ask({ kind: 'stop-publishing' });
  // What is on its way arrives, and is acknowledged, within a few turns of both processes.
  let seen = -1;
  for (let still = 0; still < STILL_TURNS; still += 1) {
    await delay(TURN_MS);
    await ask({ kind: 'read', collect: false });
    const count = [...listener.packets.values()].flat().length;
    if (count !== seen) still = 0;
    seen = count;
  }
  const said = [...listener.packets].map(([id, packets]) => [id, packets.map(normalise)] as const);
  const totals = await ask<Totals>({ kind: 'finish' });
  // A busy machine may leave some out, on either side: what is said is the same.
  expect(totals).toMatchObject({ pending: 0, dropped: 0 });
  const inOrder = said.sort().map(([id, packets]) => {
    const others = packets.filter((packet) => !isTelemetry(packet));
    // What was sampled before the connection may come after what was sampled then.
    const telemetry = packets.filter(isTelemetry).sort((a, b) => sequenceOf(a) - sequenceOf(b));
    return [id, [...others, ...telemetry.slice(0, TELEMETRY_COUNT)]] as const;
  });
  const diagnosticsSize = [...listener.packets.values()]
    .flat()
    .filter((packet) => isOn(packet, 'diagnostics'))
    .reduce((sum, packet) => sum + ((packet as { payload?: Buffer }).payload?.length ?? 0), 0);
  return { said: new Map(inOrder), diagnosticsSize };
}

function isTelemetry(packet: Normal): boolean {
  return isOn(packet, 'telemetry');
}

/** Of telemetry: the value (SenML label 2) of its first record. */
function sequenceOf({ payload }: Normal): number {
  return (payload as readonly [{ readonly 2: number }])[0][2];
}

function isOn(packet: Normal, name: string): boolean {
  return packet.cmd === 'publish' && String(packet.topic).endsWith(`/${name}`);
}

/** A packet without what differs from run to run: lengths, ids, times, measured values. */
function normalise(packet: Packet): Normal {
  const { length: _, messageId: __, ...rest } = packet;
  if (packet.cmd !== 'publish') return JSON.parse(JSON.stringify(rest));
  // These differ when the SDK counts something new; their size is looked at.
  if (isOn(packet, 'diagnostics')) return { ...rest, payload: undefined };
  const payload = decode(packet.payload as Buffer) as object;
  return JSON.parse(JSON.stringify({ ...rest, payload }, withoutVariables));
}

/** SenML labels: 0 name, 2 value, -3 base time, -2 base name, with the stream's random name in it. */
function withoutVariables(this: unknown, key: string, value: unknown): unknown {
  if (['since', '-3'].includes(key)) return typeof value;
  if (key === '-2') return String(value).replace(/\/.*/, '/stream:');
  return key === '2' && (this as { 0: unknown })[0] !== 'seq' ? typeof value : value;
}

test.each([
  ['5', 1],
  ['5', 0],
  ['3.1.1', 1],
] as const)('both sides say the same: MQTT %s, QoS %d', async (protocol, qos) => {
  const [ours, mqttjs] = await Promise.all([
    record('ours', protocol, qos),
    record('mqttjs', protocol, qos),
  ]);
  expect(ours.said).toEqual(mqttjs.said);
  const ratio = ours.diagnosticsSize / mqttjs.diagnosticsSize;
  expect(Math.abs(ratio - 1)).toBeLessThan(DIAGNOSTICS_SIZE_TOLERANCE);
  const [packets] = ours.said.values();
  const commands = packets?.map(({ cmd }) => cmd);
  expect(commands).toEqual(['connect', 'subscribe', ...Array(5).fill('publish')]);
  expect(packets?.at(-1)?.payload).toHaveLength(1 + SENSORS.length);
});
