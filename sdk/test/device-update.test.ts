// What a device does with its update client: starts and drives it, tells it of notifications, and
// neither wakes nor sleeps against it. The client itself is that of a test: its own are in ota/.

import { expect, test } from 'vitest';
import type { Device } from '../src/device.ts';
import type { DeviceOptions } from '../src/device-profile.ts';
import type { Updater } from '../src/ota/update-client.ts';
import type { UpdateProfile } from '../src/ota/update-profile.ts';
import { DEVICE_ID, DeviceScene } from './support/device-scene.ts';

/** Notes its calls; due and busy as the test says. */
class NotedUpdater {
  readonly calls: string[] = [];
  readonly ticks: number[] = [];
  nextDeadlineMs = Number.POSITIVE_INFINITY;
  isBusy = false;

  start(): void {
    this.calls.push('start');
  }
  stop(): void {
    this.calls.push('stop');
  }
  checkNow(): void {
    this.calls.push('checkNow');
  }
  tick(nowMs: number): void {
    this.ticks.push(nowMs);
    if (this.nextDeadlineMs <= nowMs) this.nextDeadlineMs = Number.POSITIVE_INFINITY;
  }
}

function updateScene(options: Partial<DeviceOptions> = {}) {
  const updater = new NotedUpdater();
  const update = {
    createClient: () => updater as unknown as Updater<Device>,
  } as unknown as UpdateProfile<Device>;
  const scene = new DeviceScene({ update, intervalMs: 3_600_000, ...options });
  return { scene, updater };
}

test('a notification checks at once; the program hears of stages', () => {
  const stages: string[] = [];
  const events = {
    onUpdateStage: (_: Device, stage: string, reason: string) => {
      stages.push(`${stage} ${reason}`);
    },
  };
  const { scene, updater } = updateScene({ events });
  scene.connect();
  expect(updater.calls).toEqual(['start']);
  const topic = `devices/${DEVICE_ID}/ota/notify`;
  scene.broker.publish({ topic, payload: new Uint8Array(0), qos: 1, retain: false });
  scene.world.advance(20);
  expect(updater.calls).toEqual(['start', 'checkNow']);
  scene.turn((device) => device.onUpdateStage('staged', 'why'));
  expect(stages).toEqual(['staged why']);
  scene.stop();
  expect(updater.calls).toEqual(['start', 'checkNow', 'stop']);
});

test('it is driven when it is due, and when it becomes due earlier', () => {
  const { scene, updater } = updateScene({ keepAliveMs: 3_600_000 });
  updater.nextDeadlineMs = 5000;
  scene.connect();
  scene.world.advance(10_000);
  expect(updater.ticks.filter((ms) => ms === 5000)).toHaveLength(1);
  updater.nextDeadlineMs = 20_000;
  scene.turn((device) => device.onUpdateDue());
  scene.world.advance(15_000);
  expect(updater.ticks).toContain(20_000);
});

test('a device that sleeps drives it while awake, and stays awake for it', () => {
  const { scene, updater } = updateScene({ wake: { intervalMs: 600_000 } });
  updater.isBusy = true;
  scene.start();
  scene.world.advance(5000);
  expect(scene.device.isConnected).toBe(true);
  updater.isBusy = false;
  scene.turn((device) => device.onReady());
  scene.world.advance(5000);
  expect(scene.device.isConnected).toBe(false);
  const tickCount = updater.ticks.length;
  updater.nextDeadlineMs = scene.world.nowMs + 10;
  scene.turn((device) => device.onUpdateDue());
  scene.world.advance(1000);
  expect(updater.ticks).toHaveLength(tickCount);
  scene.world.advance(700_000);
  expect(updater.ticks.length).toBeGreaterThan(tickCount);
});

test('its sensors can be read, or not yet', () => {
  let value: number | undefined;
  const { scene } = updateScene({ sensors: [{ name: 't', read: () => value }] });
  scene.connect();
  expect(scene.device.checkSensors()).toBeUndefined();
  value = 1;
  expect(scene.device.checkSensors()).toBe(true);
});
