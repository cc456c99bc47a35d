// Devices with firmware: what their images do to them, and what is counted of it.

import type { BootReason, Timer } from '@flotilla/sdk';
import { PowerLoss } from '@flotilla/sdk';
import { describe, expect, test, vi } from 'vitest';
import { FirmwareFleets } from '../../src/fleet/firmware-fleets.ts';
import type { FirmwarePlatform } from '../../src/fleet/firmware-platform.ts';
import type { ProgramWorld } from '../../src/fleet/program-platform.ts';
import { Registry } from '../../src/metrics/registry.ts';
import { scenarioOf } from '../firmware/scenario.ts';

class World {
  readonly seed = 1;
  nowMs = 0;
  readonly resets: BootReason[] = [];
  readonly released: Uint8Array[] = [];
  readonly memory = {
    allocate: (size: number) => new Uint8Array(size),
    release: (view: Uint8Array) => this.released.push(view),
  };
  readonly clock = { monotonicMs: () => this.nowMs };

  reset(platform: FirmwarePlatform, reset: BootReason): void {
    this.resets.push(reset);
    platform.resetReason = reset;
    platform.drop();
  }

  enter(_: FirmwarePlatform, act: () => void): void {
    act();
  }

  /** What the program throws is taken for the user's from now on. */
  hasApplication = false;

  failed(): boolean {
    return this.hasApplication;
  }

  createTimer(): Timer {
    return { start: () => undefined, stop: () => undefined };
  }

  isLinkUp(): boolean {
    return true;
  }
}

type Scene = Parameters<typeof scenarioOf>[0];

function sceneOf(options: Scene) {
  const scenario = scenarioOf(options);
  const registry = new Registry(['meters']);
  const world = new World();
  const task = { scenario };
  const fleets = new FirmwareFleets(task, registry, world as unknown as ProgramWorld);
  const platforms = Array.from({ length: options.count ?? 1 }, (_, index) => {
    return fleets.createPlatform({ deviceIndex: index, localIndex: index, fleet: 0 })!;
  });
  return { fleets, platforms, registry, world };
}

type SceneParts = ReturnType<typeof sceneOf>;

/** Installs the first release as an update client does, up to the restart. */
function stage({ fleets }: SceneParts, platform: FirmwarePlatform): void {
  const { bytes } = fleets.catalogue.releases[0]!.image;
  const { slot } = platform.firmware!;
  for (let at = 0; at < bytes.length; at += slot.sectorSize) {
    slot.eraseBlock(at);
    slot.write(at, bytes, at, Math.min(bytes.length, at + slot.sectorSize));
  }
  platform.firmware!.stage();
  platform.firmware!.restart();
}

describe('images', () => {
  test('that crash on boot do so on their share of the devices, and are reverted', () => {
    const behaviour = { crashOnBoot: 0.3, crashShare: 1, failHealth: 0 };
    const scene = sceneOf({ count: 200, firmware: {}, releases: [{ behaviour }] });
    const { fleets, platforms, registry, world } = scene;
    let good = 0;
    for (const platform of platforms) {
      expect(fleets.boot(platform)).toBe(true);
      stage(scene, platform);
      world.nowMs += 10;
      if (fleets.boot(platform)) {
        good += 1;
        expect(platform.firmware!.version).toBe('1.1.0');
        platform.firmware!.confirm();
        continue;
      }
      // Two more tries, and back.
      const outcomes = [1, 2, 3].map(() => {
        world.nowMs += 100;
        return fleets.boot(platform);
      });
      expect(outcomes).toEqual([false, false, true]);
      expect(platform.firmware!.version).toBe('1.0.0');
    }
    expect(good).toBeGreaterThan(110);
    expect(good).toBeLessThan(170);
    expect(registry.counter('devices_bricked', 0).value).toBe(0);
    expect(registry.counter('unsigned_boots', 0).value).toBe(0);
    expect(registry.counter('ota_reverted', 0).value).toBe(200 - good);
    expect(registry.counter('ota_confirmed', 0).value).toBe(good);
    expect(registry.gauge('devices_on_trial', 0).value).toBe(0);
    expect(registry.trend('ota_revert_ms', 0).value([])).toMatchObject({ min: 300, max: 300 });
  });

  test('that are confirmed end their trial, and may crash later', () => {
    vi.useFakeTimers();
    try {
      const behaviour = { crashOnBoot: 0, crashAfterMs: 5000, crashShare: 1, failHealth: 0 };
      const scene = sceneOf({ firmware: {}, releases: [{ behaviour }] });
      const { fleets, platforms, registry, world } = scene;
      const [platform] = platforms as [FirmwarePlatform];
      fleets.boot(platform);
      stage(scene, platform);
      fleets.boot(platform);
      expect(registry.gauge('devices_on_trial', 0).value).toBe(1);
      platform.firmware!.confirm();
      expect(registry.gauge('devices_on_trial', 0).value).toBe(0);
      expect(registry.gauge('devices_updated', 0).value).toBe(1);
      expect(registry.counter('ota_confirmed', 0).value).toBe(1);
      vi.advanceTimersByTime(5000);
      expect(world.resets).toEqual(['restart', 'crash']);
      expect(fleets.boot(platform)).toBe(true);
      expect(platform.firmware!.version).toBe('1.1.0');
      expect(registry.counter('ota_reverted', 0).value).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  test('that fail their health check do so on the hardware that they name', () => {
    const behaviour = { crashOnBoot: 0, crashShare: 1, failHealth: 0, failHardware: 'rev-b' };
    for (const hardware of ['rev-a', 'rev-b']) {
      const scene = sceneOf({ firmware: { hardware }, releases: [{ behaviour }] });
      const [platform] = scene.platforms as [FirmwarePlatform];
      scene.fleets.boot(platform);
      expect(scene.fleets.isHealthy(platform)).toBe(true);
      stage(scene, platform);
      scene.fleets.boot(platform);
      expect(scene.fleets.isHealthy(platform)).toBe(hardware === 'rev-a');
    }
  });

  test('that no key of the run signed count as unsigned where one would run', () => {
    const scene = sceneOf({ firmware: {} });
    const other = sceneOf({ firmware: {}, seed: 2 });
    const [platform] = other.platforms as [FirmwarePlatform];
    // A machine that trusts other keys: what it runs is none of this run's.
    scene.fleets.boot(platform);
    expect(scene.registry.counter('unsigned_boots', 0).value).toBe(1);
  });
});

describe('a platform', () => {
  test('resets its machine when the power goes in the middle of the program', () => {
    const { fleets, platforms, world } = sceneOf({ firmware: {} });
    const [platform] = platforms as [FirmwarePlatform];
    fleets.boot(platform);
    platform.guard(() => {
      throw new PowerLoss();
    });
    expect(world.resets).toEqual(['power-on']);
    expect(() =>
      platform.guard(() => {
        throw new Error('a bug');
      }),
    ).toThrow('a bug');
  });

  test('of which the program is the user’s takes an exception as its crash', () => {
    const { fleets, platforms, world } = sceneOf({ firmware: {} });
    const [platform] = platforms as [FirmwarePlatform];
    fleets.boot(platform);
    world.hasApplication = true;
    platform.guard(() => {
      throw new Error('the user’s');
    });
    expect(world.resets).toEqual(['crash']);
    fleets.boot(platform);
    expect(platform.firmware!.bootReason()).toBe('crash');
  });

  test('gives its memory back at a reset', () => {
    const { fleets, platforms, world } = sceneOf({ firmware: {} });
    const [platform] = platforms as [FirmwarePlatform];
    fleets.boot(platform);
    const views = [platform.memory.allocate(100), platform.memory.allocate(200)];
    platform.memory.release(views[0]!);
    platform.memory.release(views[0]!);
    platform.drop();
    expect(platform.memory.count).toBe(0);
    expect(world.released).toEqual(views);
  });

  test('keeps its settings over a reset, and takes the timer of the next program', () => {
    const { fleets, platforms } = sceneOf({ firmware: {} });
    const [platform] = platforms as [FirmwarePlatform];
    fleets.boot(platform);
    platform.settings.set('key', Uint8Array.of(1));
    const fired: string[] = [];
    const targetOf = (name: string) => ({ onTimer: () => fired.push(name) });
    expect(platform.createTimer(targetOf('first'))).toBe(platform);
    platform.fire();
    platform.drop();
    expect(platform.createTimer(targetOf('second'))).toBe(platform);
    platform.fire();
    expect(fired).toEqual(['first', 'second']);
    expect(platform.settings.get('key')).toEqual(Uint8Array.of(1));
  });
});
