// Every message that is given up is told under its cause: by the name of the standard where the
// server says it, in words of ours where the device does. The causes add up to `dropped`.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { DeviceOptions } from '../src/device-profile.ts';
import type { Qos } from '../src/mqtt/packet.ts';
import { reasonName } from '../src/mqtt/reason-codes.ts';
import { Nor } from './buffer/nor.ts';
import { DeviceScene } from './support/device-scene.ts';
import type { VirtualPlatformOptions } from './support/virtual-platform.ts';

/** A device whose drops are counted by cause. */
class Drops {
  readonly counts: Record<string, number> = {};
  readonly scene: DeviceScene;

  constructor(options: Partial<DeviceOptions> = {}, platform: VirtualPlatformOptions = {}) {
    this.scene = new DeviceScene(
      {
        ...options,
        events: {
          onDropped: (_, _sequence, cause) => {
            this.counts[cause] = (this.counts[cause] ?? 0) + 1;
          },
        },
      },
      platform,
    );
  }

  get sum(): number {
    return Object.values(this.counts).reduce((left, right) => left + right, 0);
  }

  /** The device's own counters agree with what it told. */
  check(): void {
    const { counters } = this.scene.device;
    expect(counters.dropped).toBe(this.sum);
    const count = (names: readonly string[]) =>
      names.reduce((sum, name) => sum + (this.counts[name] ?? 0), 0);
    expect(counters.tooLarge).toBe(
      count(['Packet too large', 'larger than the buffer', 'larger than the transmit buffer']),
    );
    expect(counters.refused).toBe(
      count(['Not authorized', 'Topic Name invalid', 'Payload format invalid']),
    );
  }
}

const FINAL = [0x87, 0x90, 0x99] as const;
const FOR_NOW = [0x80, 0x83, 0x91, 0x97] as const;

describe('what the server refuses', () => {
  test.each(FINAL.flatMap((code) => [1, 2].map((qos) => [code, qos as Qos] as const)))(
    'for good, with 0x%s at QoS %i, is dropped under the name of its code',
    (code, qos) => {
      const drops = new Drops({ qos });
      drops.scene.broker.reasonOf = (topic) => (topic.endsWith('telemetry') ? code : 0);
      drops.scene.connect();
      drops.scene.world.advance(10_000);
      const name = reasonName(code, 5);
      expect(Object.keys(drops.counts)).toEqual([name]);
      expect(drops.counts[name]).toBeGreaterThan(8);
      drops.check();
    },
  );

  test.each(FOR_NOW)('for now, with 0x%s, fills the buffer, and is dropped under it', (code) => {
    const drops = new Drops({ bufferSize: 1024 });
    const { scene } = drops;
    scene.broker.reasonOf = (topic) => (topic.endsWith('telemetry') ? code : 0);
    scene.connect();
    scene.world.advance(120_000);
    expect(Object.keys(drops.counts)).toEqual([reasonName(code, 5)]);
    drops.check();
    // And once it takes them again, a full buffer is a full buffer.
    scene.broker.reasonOf = () => 0;
    scene.world.advance(70_000);
    expect(scene.device.pendingCount).toBeLessThan(3);
    const before = drops.sum;
    scene.turn((device) => {
      for (let count = 0; count < 100; count += 1) device.report('x', undefined, count, 1);
    });
    expect(drops.counts['buffer full']).toBe(drops.sum - before);
    expect(drops.counts['buffer full']).toBeGreaterThan(50);
  });

  test('0x95: too large for it, which no retry mends', () => {
    const drops = new Drops();
    drops.scene.broker.reasonOf = (topic) => (topic.endsWith('telemetry') ? 0x95 : 0);
    drops.scene.connect();
    drops.scene.world.advance(5000);
    expect(Object.keys(drops.counts)).toEqual(['Packet too large']);
    drops.check();
  });
});

describe('a message that is too large', () => {
  const report = (drops: Drops, size: number) =>
    drops.scene.turn((device) => device.report('text', undefined, 'x'.repeat(size), 1));

  test('for the server, for a packet, for the buffer', () => {
    const drops = new Drops(
      { intervalMs: Number.POSITIVE_INFINITY, bufferSize: 2000 },
      { transmitSize: 800, scratchSize: 4000 },
    );
    drops.scene.broker.limits.maximumPacketSize = 300;
    drops.scene.connect();
    report(drops, 100);
    report(drops, 400);
    report(drops, 2100);
    drops.scene.world.advance(1000);
    expect(drops.counts).toEqual({ 'Packet too large': 1, 'larger than the buffer': 1 });
    drops.scene.broker.limits.maximumPacketSize = 0;
    drops.scene.reconnect();
    report(drops, 400);
    report(drops, 1000);
    drops.scene.world.advance(1000);
    expect(drops.counts).toEqual({
      'Packet too large': 1,
      'larger than the buffer': 1,
      'larger than the transmit buffer': 1,
    });
    expect(drops.scene.packs().length).toBe(2);
    drops.check();
  });

  test('since the server takes less than it did: also what was in flight', () => {
    const drops = new Drops({ intervalMs: Number.POSITIVE_INFINITY });
    const { scene } = drops;
    scene.connect();
    scene.broker.filter = (_, packet) => packet.cmd !== 'publish';
    report(drops, 300);
    scene.world.advance(100);
    scene.broker.filter = () => true;
    scene.broker.limits.maximumPacketSize = 200;
    scene.reconnect();
    expect(drops.counts).toEqual({ 'Packet too large': 1 });
    drops.check();
  });
});

describe('a full buffer', () => {
  test('says whether there was a connection', () => {
    const drops = new Drops({ bufferSize: 1024 });
    drops.scene.connect();
    drops.scene.link.refusal = 'down';
    drops.scene.link.cut();
    drops.scene.world.advance(60_000);
    expect(Object.keys(drops.counts)).toEqual(['buffer full while offline']);
    drops.check();
  });

  test.each(['drop-oldest', 'drop-newest', 'drop-lowest-priority'] as const)('%s', (fullPolicy) => {
    const drops = new Drops({ bufferSize: 1024, fullPolicy });
    drops.scene.connect();
    drops.scene.turn((device) => {
      for (let count = 0; count < 60; count += 1) device.report('x', undefined, count, 1);
    });
    expect(Object.keys(drops.counts)).toEqual(['buffer full']);
    drops.check();
  });
});

test('a lower QoS of the server drops nothing: it is sent at that', () => {
  const drops = new Drops({ qos: 2 });
  drops.scene.broker.limits.maximumQos = 0;
  drops.scene.broker.limits.retainAvailable = false;
  drops.scene.connect();
  drops.scene.world.advance(10_000);
  expect(drops.counts).toEqual({});
  expect(drops.scene.device.counters.unconfirmed).toBeGreaterThan(8);
});

test('whatever happens, the causes add up to what was dropped', () => {
  const codes = fc.constantFrom(0, 0, ...FINAL, ...FOR_NOW, 0x95);
  const step = fc.record({
    code: codes,
    size: fc.integer({ min: 1, max: 1500 }),
    count: fc.integer({ min: 0, max: 8 }),
    limit: fc.constantFrom(0, 150, 400),
    cuts: fc.boolean(),
    ms: fc.constantFrom(0, 50, 5000),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), fc.boolean(), (steps, hasFlash) => {
      const buffer = new Nor(4, 4096, 4);
      const drops = new Drops(
        { bufferSize: 1200 },
        { scratchSize: 2000, ...(hasFlash ? { buffer } : {}) },
      );
      const { scene } = drops;
      scene.start();
      for (const { code, count, cuts, limit, ms, size } of steps) {
        scene.broker.reasonOf = () => code;
        scene.broker.limits.maximumPacketSize = limit;
        if (cuts) scene.link.cut();
        scene.turn((device) => {
          for (let index = 0; index < count; index += 1) {
            device.report('text', undefined, 'x'.repeat(size), 1);
          }
        });
        scene.world.advance(ms);
      }
      drops.check();
    }),
    { numRuns: 200 },
  );
});
