// The shadow service's MQTT edge, with clients that share no code with it, on the brokers that a
// run is used with.

import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import {
  ID_SIZE_MAX,
  MemoryStore,
  PENDING_COUNT_MAX,
  ShadowService,
  type ShadowServiceOptions,
} from '@flotilla/ota-server/shadow';
import mqtt from 'mqtt';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { BROKERS, type Broker, hasBroker } from '../support/brokers.ts';
import { hasMosquitto, type Mosquitto, startMosquitto } from '../support/mosquitto.ts';
import { ShadowClient } from '../support/shadow-client.ts';

const NOW_S = 1_700_000_000;
const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function startService(
  port: number,
  options: Partial<ShadowServiceOptions> = {},
): Promise<ShadowService> {
  const service = new ShadowService({
    broker: { host: '127.0.0.1', port },
    clientId: 'shadow-service',
    nowMs: () => NOW_S * 1000 + 999,
    ...options,
  });
  await service.start();
  closers.push(() => service.stop());
  return service;
}

async function openClient(url: string, id: string, form: 'own' | 'aws' = 'own') {
  const client = await ShadowClient.open(url, id, form);
  closers.push(() => client.close());
  return client;
}

/** Passes bytes on to `port`, until it cuts what passes. */
async function openProxy(port: number): Promise<{ port: number; cut(): void }> {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect({ host: '127.0.0.1', port });
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
    }
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = () => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  };
  closers.push(async () => {
    cut();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, cut };
}

const kinds = BROKERS.filter(({ name }) => name === 'aedes' || name === 'mosquitto');

describe.each(kinds)('on $name', (kind) => {
  describe.skipIf(!hasBroker(kind, 'shadow service'))('the service', () => {
    let broker: Broker;
    beforeAll(async () => {
      broker = await kind.start();
    });
    afterAll(() => broker.stop());

    test.each(['own', 'aws'] as const)('answers below %s topics', async (form) => {
      const service = await startService(broker.port);
      const client = await openClient(broker.url, 'd1', form);
      expect(await client.ask('get', { clientToken: 'a' })).toEqual({
        name: 'get/rejected',
        document: { code: 404, message: 'No shadow exists', timestamp: NOW_S, clientToken: 'a' },
      });
      const state = { desired: { color: 'röd', power: { level: 3 } } };
      expect(await client.ask('update', { state, version: 0 })).toMatchObject({
        name: 'update/accepted',
        document: { state, version: 1, timestamp: NOW_S },
      });
      expect(await client.heard(({ name }) => name === 'update/delta')).toMatchObject({
        document: { state: state.desired, version: 1 },
      });
      expect(await client.heard(({ name }) => name === 'update/documents')).toMatchObject({
        document: { previous: { version: 0 }, current: { version: 1, state } },
      });
      expect(await client.ask('update', { state, version: 7 })).toMatchObject({
        name: 'update/rejected',
        document: { code: 409 },
      });
      expect(await client.ask('get')).toMatchObject({
        name: 'get/accepted',
        document: { state: { ...state, delta: state.desired } },
      });
      expect(await client.ask('delete')).toMatchObject({ document: { version: 1 } });
      expect(service.counters).toMatchObject({ accepted: 3, rejected: 2 });
    });

    test('refuses hostile payloads with a code and goes on', async () => {
      await startService(broker.port);
      for (const [form, payload, code] of [
        ['own', Buffer.from('ff', 'hex'), 400],
        ['own', Buffer.alloc(60_000), 413],
        ['aws', Buffer.from('{"state":{"desired":{"__proto__":{"a":1}}}}'), 400],
        ['aws', Buffer.from('{"state":{},"state":{}}'), 400],
        ['aws', Buffer.from([0xff]), 415],
      ] as const) {
        const client = await openClient(broker.url, 'hostile', form);
        await client.sendBytes('update', payload);
        const answer = await client.heard(() => true);
        expect(answer).toMatchObject({ name: 'update/rejected', document: { code } });
        await client.close();
      }
      const client = await openClient(broker.url, 'good');
      expect((await client.ask('update', { state: {} })).name).toBe('update/accepted');
    });

    test('takes no retained request: nobody asks it now', async () => {
      const client = await openClient(broker.url, 'd2');
      const bytes = Buffer.from('a1657374617465a0', 'hex'); // {state: {}}
      await client.sendBytes('update', bytes, true);
      const service = await startService(broker.port);
      expect((await client.ask('get')).document.code).toBe(404);
      expect(service.counters).toMatchObject({ retained: 1, accepted: 0 });
      await client.sendBytes('update', Buffer.alloc(0), true);
    });

    test('refuses new shadows when it is full, and keeps the others', async () => {
      await startService(broker.port, { store: new MemoryStore({ countMax: 1 }) });
      const [one, two] = await Promise.all(['one', 'two'].map((id) => openClient(broker.url, id)));
      const update = { state: { reported: { a: 1 } }, clientToken: 't' };
      expect((await one!.ask('update', update)).name).toBe('update/accepted');
      expect(await two!.ask('update', update)).toMatchObject({
        name: 'update/rejected',
        document: { code: 429, clientToken: 't' },
      });
      expect((await one!.ask('get')).document.version).toBe(1);
    });

    test('answers what was asked while its connection was away', async () => {
      const proxy = await openProxy(broker.port);
      await startService(proxy.port, { clientId: 'cut-off' });
      const client = await openClient(broker.url, 'd5');
      await client.ask('update', { state: { desired: { a: 1 } } });
      proxy.cut();
      await client.send('get', { clientToken: 'late' });
      // At QoS 1 older answers may come again.
      const { name } = await client.heard(({ document }) => document.clientToken === 'late');
      expect(name).toBe('get/accepted');
    });

    test('answers no id that is too long, and nothing while too much waits', async () => {
      const service = await startService(broker.port);
      const long = await openClient(broker.url, 'x'.repeat(ID_SIZE_MAX + 1));
      await long.send('get');
      const client = await openClient(broker.url, 'x'.repeat(ID_SIZE_MAX));
      expect((await client.ask('get')).document.code).toBe(404);
      await expect.poll(() => service.pendingCount).toBe(0);
      service.pendingCount = PENDING_COUNT_MAX;
      await client.send('get');
      await expect.poll(() => service.counters.overloaded).toBe(1);
      service.pendingCount = 0;
      expect((await client.ask('get')).document.code).toBe(404);
      expect(service.counters).toMatchObject({ badIds: 1, rejected: 2 });
      expect(long.answers).toEqual([]);
    });

    test('hears a birth before the request that follows it, and none of long ago', async () => {
      const heard: string[] = [];
      const client = await openClient(broker.url, 'd6');
      await client.client.publishAsync('devices/old/status', 'x', { qos: 1, retain: true });
      await startService(broker.port, {
        onStatus: (id, payload) => heard.push(`${id} ${payload}`),
        onChange: (id) => heard.push(`${id} changed`),
      });
      for (let index = 0; index < 50; index += 1) {
        client.client.publish('devices/d6/status', `${index}`, { qos: 1, retain: true });
        client.client.publish('devices/d6/shadow/update', Buffer.from('a1657374617465a0', 'hex'), {
          qos: 1,
        });
      }
      await expect.poll(() => heard.length).toBe(100);
      const births = Array.from({ length: 50 }, (_, index) => [`d6 ${index}`, 'd6 changed']);
      expect(heard).toEqual(births.flat());
      for (const id of ['old', 'd6']) {
        await client.client.publishAsync(`devices/${id}/status`, '', { qos: 1, retain: true });
      }
    });

    test('leaves no session behind', async () => {
      const service = await startService(broker.port, { clientId: 'leaver' });
      await service.stop();
      const packet = Promise.withResolvers<{ sessionPresent: boolean }>();
      const client = mqtt.connect(broker.url, {
        clientId: 'leaver',
        clean: false,
        protocolVersion: 4,
      });
      client.on('connect', packet.resolve);
      expect((await packet.promise).sessionPresent).toBe(false);
      await client.endAsync();
    });
  });
});

test('a broker that is not there is told', async () => {
  await expect(startService(1)).rejects.toThrow('ECONNREFUSED');
});

describe.skipIf(!hasMosquitto('shadow service'))('with mosquitto', () => {
  let broker: Mosquitto;
  beforeAll(async () => {
    broker = await startMosquitto({ config: 'max_inflight_messages 20' });
  });
  afterAll(() => broker.stop());

  test('the service comes back by itself when the broker was away', async () => {
    await startService(broker.port);
    const client = await openClient(broker.url, 'd3');
    await client.ask('update', { state: { desired: { a: 1 } } });
    await broker.restart();
    const again = await openClient(broker.url, 'd3');
    // At QoS 1 the answer of before may come again.
    const answers = () => again.answers.filter(({ name }) => name.startsWith('get/'));
    // The service may subscribe after the first of these.
    while (answers().length === 0) {
      await again.send('get');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(answers()[0]).toMatchObject({ name: 'get/accepted', document: { version: 1 } });
  });

  test('a group of services with one store answers each request once', async () => {
    const store = new MemoryStore();
    const services = await Promise.all(
      ['s1', 's2'].map((clientId) => {
        return startService(broker.port, { clientId, group: 'shadows', store });
      }),
    );
    const client = await openClient(broker.url, 'd4');
    for (let index = 1; index <= 20; index += 1) {
      const answer = await client.ask('update', { state: { desired: { index } } });
      expect(answer.document.version).toBe(index);
    }
    const accepted = services.map(({ counters }) => counters.accepted);
    expect(accepted[0]! + accepted[1]!).toBe(20);
    expect(Math.min(...accepted)).toBeGreaterThan(0);
  });

  test('a thousand devices at once all get their answer', async () => {
    const service = await startService(broker.port);
    const client = await mqtt.connectAsync(broker.url, {
      properties: { receiveMaximum: 65_535 },
      protocolVersion: 5,
    });
    closers.push(() => client.endAsync(true));
    let count = 0;
    const done = Promise.withResolvers<void>();
    client.on('message', () => {
      count += 1;
      if (count === 2000) done.resolve();
    });
    await client.subscribeAsync('devices/+/shadow/update/accepted', { qos: 1 });
    const bytes = Buffer.from('a1657374617465a0', 'hex'); // {state: {}}
    for (let index = 0; index < 2000; index += 1) {
      client.publish(`devices/many-${index}/shadow/update`, bytes, { qos: 1 });
    }
    await done.promise;
    expect(service.counters.overloaded).toBe(0);
    await expect.poll(() => service.pendingCount).toBe(0);
  });
});
