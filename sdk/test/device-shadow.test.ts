// The shadow inside a whole device: over MQTT, with commands and telemetry beside it, asleep and
// awake, with our topics and with AWS's.

import { Encoder } from 'cbor-x';
import { describe, expect, test } from 'vitest';
import type { DeviceOptions } from '../src/device-profile.ts';
import { jsonCodec } from '../src/shadow/json-codec.ts';
import { DeviceScene } from './support/device-scene.ts';
import { type JsonMap, type ShadowMessage, ShadowModel } from './support/shadow-model.ts';

const cbor = new Encoder({ useRecords: false, mapsAsObjects: true });

const FAMILIES = {
  ours: {
    prefix: 'devices/d1/shadow/',
    encode: (document: unknown) => Uint8Array.from(cbor.encode(document)),
    decode: (bytes: Uint8Array) => cbor.decode(bytes) as JsonMap,
    options: {},
  },
  aws: {
    prefix: '$aws/things/d1/shadow/',
    encode: (document: unknown) => Uint8Array.from(Buffer.from(JSON.stringify(document))),
    decode: (bytes: Uint8Array) => JSON.parse(Buffer.from(bytes).toString()) as JsonMap,
    options: { shadowTopics: '$aws/things/{id}/{topic}' },
  },
} as const;
type Family = keyof typeof FAMILIES;

class ShadowDeviceScene extends DeviceScene {
  readonly service = new ShadowModel();
  private readonly family: Family;
  private answered = 0;

  constructor(family: Family, options: Partial<DeviceOptions> = {}) {
    const { options: topics } = FAMILIES[family];
    const codec = family === 'aws' ? { codec: jsonCodec } : {};
    super({
      ...topics,
      ...options,
      shadow: { handlers: { interval, mode: () => undefined }, ...codec },
    });
    this.family = family;
    this.service.nowS = () => Math.floor(1_767_225_600 + this.world.nowMs / 1000);
  }

  desire(desired: JsonMap): void {
    this.publish(this.service.desire(desired));
  }

  /** Lets time pass, and the service answer. */
  pass(ms: number): void {
    const { decode, prefix } = FAMILIES[this.family];
    for (let passedMs = 0; passedMs < ms; passedMs += 10) {
      this.world.advance(10);
      const taken = this.broker.taken.slice(this.answered);
      this.answered = this.broker.taken.length;
      for (const { payload, topic } of taken) {
        const name = topic.startsWith(prefix) ? topic.slice(prefix.length) : '';
        if (name === 'get' || name === 'update') {
          this.publish(this.service.handle(name, decode(payload)));
        }
      }
    }
  }

  private publish(messages: readonly ShadowMessage[]): void {
    const { encode, prefix } = FAMILIES[this.family];
    for (const { name, document } of messages) {
      const topic = prefix + name;
      this.broker.publish({ topic, payload: encode(document), qos: 1, retain: false });
    }
  }
}

/** In seconds. */
function interval(value: unknown, device: { setInterval(ms: number): void }): undefined {
  if (typeof value !== 'number') throw new RangeError('interval: expected seconds');
  device.setInterval(value * 1000);
}

describe.each(['ours', 'aws'] as const)('the shadow of a device, topics: %s', (family) => {
  test.each([4, 5] as const)('takes what is desired and reports it, version %i', (protocol) => {
    const scene = new ShadowDeviceScene(family, { protocol });
    scene.desire({ interval: 5 });
    scene.start();
    scene.pass(1000);
    expect(scene.service.document?.reported).toEqual({ interval: 5 });
    scene.desire({ mode: { night: true } });
    scene.pass(200);
    expect(scene.service.document?.reported).toEqual({ interval: 5, mode: { night: true } });
    expect(scene.service.delta).toEqual({});
    const { packCount } = scene.device.sampler;
    scene.pass(20_000);
    expect(scene.device.sampler.packCount - packCount).toBe(4);
    expect(scene.broker.violations).toEqual([]);
  });

  test('takes what was desired while it was away', () => {
    const scene = new ShadowDeviceScene(family);
    scene.start();
    scene.pass(500);
    scene.link.refusal = 'no network';
    scene.cut();
    for (let value = 1; value <= 10; value += 1) scene.desire({ interval: value });
    scene.pass(5000);
    scene.link.refusal = undefined;
    scene.untilConnected();
    scene.pass(2000);
    expect(scene.service.document?.reported).toEqual({ interval: 10 });
  });

  test('reports what the device changed, also after it was away', () => {
    const scene = new ShadowDeviceScene(family);
    scene.start();
    scene.pass(500);
    scene.turn((device) => expect(device.reportState('mode', 'manual')).toBe(true));
    scene.pass(500);
    expect(scene.service.document?.reported).toEqual({ mode: 'manual' });
    scene.link.refusal = 'no network';
    scene.cut();
    scene.turn((device) => device.reportState('mode', 'automatic'));
    scene.link.refusal = undefined;
    scene.pass(5000);
    expect(scene.service.document?.reported).toEqual({ mode: 'automatic' });
  });

  test('tells the device the time', () => {
    const scene = new ShadowDeviceScene(family);
    scene.desire({ mode: 1 });
    expect(scene.platform.clock.epochMs()).toBeNaN();
    scene.start();
    scene.pass(1000);
    const { clock } = scene.platform;
    const trueMs = 1_767_225_600_000 + scene.world.nowMs;
    expect(clock.epochUncertaintyMs()).toBeLessThan(600);
    expect(Math.abs(clock.epochMs() - trueMs)).toBeLessThanOrEqual(clock.epochUncertaintyMs());
  });

  test('is brought up to date at a wake-up before the device sleeps again', () => {
    const scene = new ShadowDeviceScene(family, { wake: { intervalMs: 600_000 } });
    scene.start();
    scene.pass(3000);
    expect(scene.device.isConnected).toBe(false);
    scene.desire({ interval: 30 });
    scene.pass(3000);
    expect(scene.service.document?.reported).toEqual({});
    scene.turn((device) => device.wakeUp());
    scene.pass(3000);
    expect(scene.service.document?.reported).toEqual({ interval: 30 });
    expect(scene.device.isConnected).toBe(false);
  });
});

test('a service that does not answer keeps no device from its work, nor awake', () => {
  const scene = new DeviceScene({
    shadow: { handlers: { interval } },
    wake: { intervalMs: 60_000, awakeMsMax: 20_000 },
  });
  scene.start();
  scene.world.advance(600_000);
  const sequences = scene.sequences();
  expect(sequences.length).toBeGreaterThan(500);
  expect(scene.device.wake?.awakeMs).toBeLessThan(12 * 20_100);
  expect(scene.broker.violations).toEqual([]);
});

test('hostile documents are counted, and end nothing', () => {
  const scene = new ShadowDeviceScene('ours');
  scene.start();
  scene.pass(500);
  const documents = [new Uint8Array(0), Uint8Array.of(0xff), Uint8Array.of(0x80), cbor.encode({})];
  for (const name of ['get/accepted', 'update/delta', 'update/accepted', 'update/rejected']) {
    for (const payload of documents) {
      const topic = `devices/d1/shadow/${name}`;
      scene.broker.publish({ topic, payload: Uint8Array.from(payload), qos: 1, retain: false });
      scene.pass(20);
    }
  }
  expect(scene.device.isConnected).toBe(true);
  expect(scene.device.shadow?.counters.refused).toBeGreaterThanOrEqual(12);
});
