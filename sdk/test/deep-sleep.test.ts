// Deep sleep in virtual time: each wake-up is a new program on the same flash and settings.

import { encode as encodeValue } from 'cbor-x';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { DeviceOptions } from '../src/device-profile.ts';
import { Nor } from './buffer/nor.ts';
import { DeviceScene } from './support/device-scene.ts';

const MINUTE_MS = 60_000;
const WAKE = { intervalMs: 10 * MINUTE_MS };
/** From the end of the sleep until the program runs. */
const BOOT_MS = 300;

interface Sleeper {
  readonly scene: DeviceScene;
  /** What `platform.sleep` was called with. */
  readonly sleeps: number[];
}

function sleeper(options: Partial<DeviceOptions> = {}, withFlash = true): Sleeper {
  const sleeps: number[] = [];
  const scene: DeviceScene = new DeviceScene(
    { intervalMs: MINUTE_MS, wake: WAKE, bufferSize: 1024, ...options },
    {
      ...(withFlash ? { buffer: new Nor(8, 4096, 4) } : {}),
      onSleep: (ms) => {
        sleeps.push(ms);
        scene.world.after(ms + BOOT_MS, () => scene.boot());
      },
    },
  );
  scene.start();
  return { scene, sleeps };
}

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

describe('a device in deep sleep', () => {
  test('sleeps from sample to sample, and connects on schedule only', () => {
    const { scene, sleeps } = sleeper();
    scene.world.advance(3 * 3_600_000);
    expect(sleeps.length).toBeGreaterThan(170);
    expect(Math.max(...sleeps)).toBeLessThanOrEqual(MINUTE_MS);
    const connects = scene.documents('status').filter(({ state }) => state === 'online');
    expect(connects.length).toBeGreaterThanOrEqual(17);
    expect(connects.length).toBeLessThanOrEqual(19);
    const awakeMs = 3 * 3_600_000 - sleeps.reduce((sum, ms) => sum + ms + BOOT_MS, 0);
    expect(awakeMs).toBeLessThan(60_000);
  });

  test('its sequence has no gap, and nothing is sent twice', () => {
    const { scene } = sleeper();
    scene.world.advance(3_600_000);
    const sequences = scene.sequences();
    expect(sequences.length).toBeGreaterThan(45);
    expect(sequences).toEqual(upTo(sequences.length));
    expect(new Set(scene.packs().map(([first]) => first?.['-2'])).size).toBe(1);
    expect(scene.broker.violations).toEqual([]);
  });

  test('its counters go on', () => {
    const { scene } = sleeper();
    scene.world.advance(3_600_000);
    const diagnostics = scene.documents('diagnostics');
    const produced = diagnostics.map((one) => one.produced as number);
    expect(produced).toEqual([...produced].sort((a, b) => a - b));
    expect(produced.at(-1)).toBeGreaterThan(40);
    expect(diagnostics.at(-1)?.connects).toBe(diagnostics.length);
    const wake = diagnostics.at(-1)?.wake as { count: number; awakeMs: number };
    expect(wake.count).toBe(diagnostics.length);
    expect(wake.awakeMs).toBeGreaterThan(500 * (wake.count - 1));
  });

  test('what a broker ends its connections over stays left out', () => {
    const leftOut: string[] = [];
    const events = {
      onLeftOut: (_: unknown, topic: string, reason: string) => leftOut.push(`${topic}: ${reason}`),
    };
    const { scene, sleeps } = sleeper({ events });
    scene.broker.filter = (connection, packet: { cmd: string; topic?: string }) => {
      const isDenied = packet.topic?.endsWith('diagnostics') === true;
      if (isDenied) connection.disconnect(0x87);
      return !isDenied;
    };
    scene.world.advance(2 * 3_600_000);
    expect(leftOut).toEqual(['diagnostics: server: Not authorized']);
    expect(scene.device.counters.leftOut).toBe(1);
    expect(scene.sequences().length).toBeGreaterThan(100);
    // Since then it wakes up as one that has nothing to leave out.
    const connects = scene.broker.connectCount[5];
    const count = sleeps.length;
    scene.world.advance(2 * 3_600_000);
    expect(scene.broker.connectCount[5] - connects).toBeLessThanOrEqual(13);
    const asleepMs = sleeps.slice(count).reduce((sum, ms) => sum + ms + BOOT_MS, 0);
    expect(2 * 3_600_000 - asleepMs).toBeLessThan(90_000);
  });

  test('the server keeps its session: a command waits for it', () => {
    const { scene } = sleeper();
    scene.world.advance(15 * MINUTE_MS);
    scene.command(Uint8Array.from(encodeValue({ cid: 'c', command: 'ping' })));
    expect(scene.documents('commands/c/result')).toEqual([]);
    scene.world.advance(WAKE.intervalMs);
    expect(scene.documents('commands/c/result')).toEqual([{ ok: true, value: 'pong' }]);
  });

  test('a power cut in its sleep loses nothing that was sampled', () => {
    const { scene } = sleeper();
    scene.world.advance(25 * MINUTE_MS);
    // The boot that would have ended the sleep comes as well: a second reset, soon after.
    scene.turn(() => scene.boot());
    scene.world.advance(2 * 3_600_000);
    const sequences = [...new Set(scene.sequences())];
    expect(sequences.length).toBeGreaterThan(130);
    expect(sequences).toEqual([...sequences].sort((a, b) => a - b));
    expect(scene.broker.violations).toEqual([]);
  });

  test.each([
    ['without flash behind its buffer, while something waits', {}, false],
    ['with a sensor that keeps a state between samples', { every: 2 }, true],
  ])('stays awake %s', (_, sensor, withFlash) => {
    const sensors = [{ name: 't', unit: 'Cel', read: () => 1, ...sensor }];
    const { scene, sleeps } = sleeper({ sensors }, withFlash);
    scene.world.advance(3_600_000);
    expect(sleeps).toEqual([]);
    expect(scene.sequences().length).toBeGreaterThan(20);
  });

  test('stays awake when it would not be worth it', () => {
    const { scene, sleeps } = sleeper({ intervalMs: 9000 });
    scene.world.advance(3_600_000);
    expect(sleeps).toEqual([]);
  });

  test('wakes up early when the flash fills', () => {
    const days = { sessionExpiryS: 90 * 24 * 3600, wake: { intervalMs: 30 * 24 * 3_600_000 } };
    const { scene } = sleeper({ intervalMs: 11_000, ...days });
    scene.world.advance(9 * 3_600_000);
    expect(scene.device.counters.dropped).toBe(0);
    expect(scene.device.wake?.count).toBeGreaterThan(2);
  });
});

test('nothing is lost whatever goes away when', () => {
  const anyEvent = fc.record({
    afterS: fc.integer({ min: 1, max: 900 }),
    kind: fc.constantFrom('refuse', 'allow', 'silent', 'reset'),
  });
  fc.assert(
    fc.property(fc.array(anyEvent, { maxLength: 10 }), (events) => {
      const { scene } = sleeper();
      for (const { afterS, kind } of events) {
        scene.world.advance(afterS * 1000);
        if (kind === 'silent') scene.broker.silent = true;
        else if (kind === 'reset') scene.turn(() => scene.boot());
        else {
          scene.broker.silent = false;
          scene.link.refusal = kind === 'refuse' ? 'no network' : undefined;
        }
      }
      scene.link.refusal = undefined;
      scene.broker.silent = false;
      scene.world.advance(3 * WAKE.intervalMs);
      const taken = new Set(scene.sequences());
      const resets = events.filter(({ kind }) => kind === 'reset').length;
      // A reset may take what was sampled and not yet spilled, and leaves a gap of one block.
      const last = Math.max(...taken);
      const gapMax = resets * 64 * 2;
      expect(last + 1 - taken.size).toBeLessThanOrEqual(gapMax);
      expect(scene.broker.violations).toEqual([]);
    }),
    { numRuns: 30 },
  );
});
