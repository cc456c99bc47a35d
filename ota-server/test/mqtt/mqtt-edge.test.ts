import { spawn, spawnSync } from 'node:child_process';
import { createServer } from 'node:net';
import mqtt, { type IPublishPacket, type MqttClient } from 'mqtt';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { decodeCheckResponse, encodeReport } from '../../src/device-api/index.ts';
import { imageOf, release, type TestDevice, World } from '../server/harness.ts';
import { type BrokerOptions, TestBroker } from './broker.ts';

interface Running {
  readonly port: number;
  readonly granted: readonly string[];
  stop(): Promise<void>;
}

async function ownBroker(options: BrokerOptions): Promise<Running> {
  const broker = new TestBroker(options);
  await broker.start();
  return broker;
}

async function mosquitto(): Promise<Running> {
  const probe = createServer();
  const port = await new Promise<number>((resolve) =>
    probe.listen(0, '127.0.0.1', () => resolve((probe.address() as { port: number }).port)),
  );
  await new Promise((resolve) => probe.close(resolve));
  const child = spawn(MOSQUITTO, ['-p', String(port)], { stdio: 'ignore' });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  return {
    port,
    granted: [],
    stop: () => {
      child.kill();
      return ended;
    },
  };
}

const MOSQUITTO = '/usr/sbin/mosquitto';
const hasMosquitto = spawnSync(MOSQUITTO, ['-h']).error === undefined;

const brokers: Record<string, () => Promise<Running>> = {
  'MQTT 5': () => ownBroker({}),
  '3.1.1 only': () => ownBroker({ refusesV5: true }),
  'without shared subscriptions': () => ownBroker({ refusesShared: true }),
  ...(hasMosquitto ? { mosquitto } : {}),
};

describe.each(Object.keys(brokers))('the MQTT edge: %s', (name) => {
  const world = new World();
  let broker: Running;
  let devices: TestDevice[];
  let client: MqttClient;
  let heard: { topic: string; payload: Buffer; packet: IPublishPacket }[];

  beforeEach(async () => {
    broker = await brokers[name]!();
    heard = [];
    const options = {
      protocolVersion: name === '3.1.1 only' ? 4 : 5,
      reconnectPeriod: 50,
    } as const;
    client = mqtt.connect(`mqtt://127.0.0.1:${broker.port}`, options);
    client.on('error', () => undefined);
    client.on('message', (topic, payload, packet) => heard.push({ topic, payload, packet }));
    await new Promise<void>((resolve) => client.once('connect', () => resolve()));
    await client.subscribeAsync(['t/+/x/ota/notify', 't/+/x/ota/answer'], { qos: 1 });
    const address = { host: '127.0.0.1', port: broker.port };
    await world.start({ broker: address, topics: 't/{id}/x/{topic}' });
    devices = await world.devices(5);
    const image = imageOf(3000, 3);
    await world.server.control.addRelease(release('2.0.0', 2, image));
    const waves = [{ percent: 100, sampleMin: 1, soakMs: 0 }];
    await world.server.control.createRollout({ id: 'r', release: '2.0.0', waves });
    world.advance(1000);
  });

  afterEach(async () => {
    await client.endAsync(true);
    await world.close();
    await broker.stop();
  });

  async function until(condition: () => boolean): Promise<void> {
    await expect.poll(condition).toBe(true);
  }

  test('a wave notifies, a check is answered, a report counts, and strangers do not', async () => {
    const { control } = world.server;
    await until(() => heard.length === devices.length);
    expect(new Set(heard.map(({ topic }) => topic)).size).toBe(devices.length);
    expect(heard.every(({ payload }) => payload.length === 0)).toBe(true);
    const [device] = devices as [TestDevice];
    const isV5 = name !== '3.1.1 only';
    const properties = { responseTopic: 't/d0/x/ota/answer', correlationData: Buffer.from('77') };
    const body = Buffer.from(device.checkBody());
    heard.length = 0;
    await client.publishAsync('t/d0/x/ota/check', body, {
      qos: 1,
      ...(isV5 ? { properties } : {}),
    });
    await until(() => heard.length === 1);
    expect(heard[0]!.topic).toBe(isV5 ? 't/d0/x/ota/answer' : 't/d0/x/ota/notify');
    if (isV5) expect(heard[0]!.packet.properties?.correlationData).toEqual(Buffer.from('77'));
    const { update } = decodeCheckResponse(heard[0]!.payload);
    expect(update).toMatchObject({ rollout: 'r', attempt: 1 });
    expect((await device.download(update!.sources[0]!.url)).status).toBe(200);

    const report = Buffer.from(encodeReport({ rollout: 'r', attempt: 1, stage: 'confirmed' }));
    await client.publishAsync('t/stranger/x/ota/report', report, { qos: 1 });
    await client.publishAsync('t/d1/x/ota/report', report, { qos: 1 });
    await client.publishAsync('t/d2/x/ota/check', Buffer.from('hostile'), { qos: 1 });
    await client.publishAsync('t/d0/x/ota/report', report, { qos: 1 });
    await until(() => control.rolloutStatus('r').waves[0]!.confirmed === 1);
    expect(control.rolloutStatus('r').waves[0]!.byStatus.pending).toBe(4);

    // An answer goes to nobody else's topic.
    heard.length = 0;
    const foreign = { responseTopic: 't/d3/x/ota/answer' };
    const sent = { qos: 1 as const, ...(isV5 ? { properties: foreign } : {}) };
    await client.publishAsync('t/d0/x/ota/check', body, sent);
    await until(() => heard.length === 1);
    expect(heard[0]!.topic).toBe('t/d0/x/ota/notify');
    expect(world.errors).toEqual([]);
    const shared = broker.granted.some((filter) => filter.startsWith('$share/flotilla-ota/'));
    expect(shared).toBe(name === 'MQTT 5');
  });
});

test('a broker that is not there is an error at the start', async () => {
  const world = new World();
  const broker = { host: '127.0.0.1', port: 1 };
  await expect(world.start({ broker })).rejects.toThrow('ECONNREFUSED');
});
