// What a device tells its program of its connections: `onDisconnected` once for each `onConnected`,
// whatever ends a connection and whenever, and `wasConnected` says false only of failed attempts.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { DeviceEvents } from '../src/device-profile.ts';
import { DeviceScene } from './support/device-scene.ts';

/** Counts connections as a gauge does, and says when it leaves 0 and 1. */
class Gauge {
  value = 0;
  failures = 0;
  readonly wrong: string[] = [];
  readonly refused: string[] = [];

  get events(): DeviceEvents {
    return {
      onConnected: () => this.add(1, 'connected'),
      onDisconnected: (_, reason, wasConnected) => {
        if (wasConnected) this.add(-1, reason);
        else this.failures += 1;
      },
      onSubscriptionRefused: (_, filter, reason) => this.refused.push(`${filter}: ${reason}`),
    };
  }

  private add(change: number, why: string): void {
    this.value += change;
    if (this.value < 0 || this.value > 1) this.wrong.push(`${this.value} after ${why}`);
  }
}

test('a server that takes no packet of the size of a SUBSCRIBE is no lost connection', () => {
  const gauge = new Gauge();
  const scene = new DeviceScene({ events: gauge.events, shadow: { handlers: {} } });
  scene.broker.limits.maximumPacketSize = 100;
  scene.connect();
  scene.world.advance(60_000);
  expect(gauge).toMatchObject({ value: 1, wrong: [], refused: [] });
  expect(scene.broker.connection.packets.filter(({ cmd }) => cmd === 'subscribe')).toHaveLength(3);
});

test('a filter that fits no packet is named, and the device goes on', () => {
  const gauge = new Gauge();
  const filter = 'a'.repeat(100);
  const subscriptions = [{ filter, qos: 1 as const }];
  const scene = new DeviceScene({ events: gauge.events, subscriptions });
  scene.broker.limits.maximumPacketSize = 100;
  scene.connect();
  scene.world.advance(10_000);
  expect(gauge).toMatchObject({ value: 1, refused: [`${filter}: Packet too large`] });
  expect(scene.sequences().length).toBeGreaterThan(8);
  expect(scene.device.client.subscribeRefusedCount).toBe(1);
});

test('an attempt that the device gives up is told too', () => {
  const gauge = new Gauge();
  const scene = new DeviceScene({ events: gauge.events });
  scene.broker.silent = true;
  scene.start();
  scene.world.advance(100);
  scene.stop();
  expect(gauge).toMatchObject({ value: 0, failures: 1 });
  // Between two attempts there is none.
  scene.link.refusal = 'down';
  scene.start();
  scene.world.advance(5);
  expect(gauge.failures).toBe(2);
  scene.stop();
  expect(gauge.failures).toBe(2);
});

type Act = 'cut' | 'crash' | 'stop' | 'start' | 'reconnect' | 'retire' | 'silent' | 'limit' | 'in';

describe('onDisconnected comes once for each onConnected', () => {
  const acts = fc.array(
    fc.tuple(
      fc.constantFrom<Act>(
        'cut',
        'crash',
        'stop',
        'start',
        'reconnect',
        'retire',
        'silent',
        'limit',
        'in',
      ),
      fc.constantFrom(0, 1, 2, 3, 4, 5, 700, 12_000),
    ),
    { maxLength: 20 },
  );

  test.each([undefined, { intervalMs: 40_000, awakeMsMax: 4000 }])('wake: %o', (wake) => {
    fc.assert(
      fc.property(acts, fc.constantFrom(0, 4, 5), (steps, protocol) => {
        const gauge = new Gauge();
        const { events } = gauge;
        let within: Act | undefined;
        const scene = new DeviceScene({
          protocol: protocol as 0 | 4 | 5,
          events: {
            ...events,
            onConnected: (device) => {
              events.onConnected?.(device);
              if (within === 'reconnect') device.reconnect();
              if (within === 'stop') device.stop();
              within = undefined;
            },
          },
          shadow: { handlers: {} },
          ...(wake === undefined ? {} : { wake }),
        });
        scene.start();
        for (const [act, ms] of steps) {
          if (act === 'cut') scene.link.cut();
          else if (act === 'crash') scene.broker.restart(false);
          else if (act === 'silent') scene.broker.silent = !scene.broker.silent;
          else if (act === 'in') within = ms % 2 === 0 ? 'reconnect' : 'stop';
          else if (act === 'limit') scene.broker.limits.maximumPacketSize = 20 + ms;
          else scene.turn((device) => device[act]());
          scene.world.advance(ms);
        }
        scene.turn((device) => device.stop());
        scene.world.advance(60_000);
        expect(gauge.wrong).toEqual([]);
        expect(gauge.value).toBe(0);
      }),
      { numRuns: 300 },
    );
  });
});
