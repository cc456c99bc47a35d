// After any storm over what the broker sends – acknowledgements dropped, repeated, late, out of order,
// corrupted, the session lost – everything drains: each message that was produced is acknowledged
// or dropped, once, and what was acknowledged the broker has.
//
// SEED=… repeats a run, RUNS=… makes it longer, RUN=… runs only the one of that index.

import { expect, test } from 'vitest';
import type { Qos } from '../src/mqtt/packet.ts';
import { DeviceScene } from './support/device-scene.ts';
import { Random, seedOf } from './support/random.ts';
import { Storm } from './support/storm.ts';

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));
const RUNS = Number(process.env.RUNS ?? 200);
const ONLY = process.env.RUN === undefined ? undefined : Number(process.env.RUN);

interface Life {
  readonly scene: DeviceScene;
  readonly storm: Storm;
  readonly corrupts: boolean;
  readonly produced: number[];
  readonly acknowledged: number[];
  readonly dropped: number[];
}

function newLife(random: Random): Life {
  const produced: number[] = [];
  const acknowledged: number[] = [];
  const dropped: number[] = [];
  const scene = new DeviceScene(
    {
      protocol: random.pick([0, 4, 5, 5] as const),
      qos: random.pick<Qos>([1, 1, 2]),
      intervalMs: random.pick([200, 1000, 7000]),
      bufferSize: random.pick([1024, 4096]),
      inflightMax: random.pick([1, 2, 8]),
      ackMsMax: random.pick([3000, 60_000]),
      keepAliveMs: random.pick([5000, 60_000]),
      events: {
        onProduced: (_, sequence) => produced.push(sequence),
        onAcknowledged: (_, sequence) => acknowledged.push(sequence),
        onDropped: (_, sequence) => dropped.push(sequence),
      },
    },
    { seed: random.uint32() },
  );
  const corrupts = random.pick([0, 0, 5, 30]);
  const storm = new Storm(scene.world, random, {
    drops: random.pick([0, 1, 3, 20]),
    doubles: random.pick([0, 3, 20]),
    delays: random.pick([0, 2, 20]),
    delayMsMax: random.pick([100, 5000, 90_000]),
    corrupts,
  });
  scene.link.listener = (socket) => {
    storm.alter(socket);
    scene.broker.accept(socket);
  };
  scene.broker.acksInOrder = random.oneIn(2);
  scene.broker.limits.receiveMaximum = random.pick([1, 3, 65535]);
  return { scene, storm, corrupts: corrupts > 0, produced, acknowledged, dropped };
}

function live(life: Life, random: Random): void {
  const { scene, storm } = life;
  // Mostly it hits a device that is connected, as it does in the field.
  if (!random.oneIn(3)) {
    storm.isOver = true;
    scene.connect();
    storm.isOver = false;
  } else scene.start();
  for (let count = random.below(10); count >= 0; count -= 1) {
    scene.world.advance(random.pick([1000, 20_000, 90_000]));
    if (random.oneIn(3)) scene.broker.forget('d1');
    if (random.oneIn(3)) scene.link.cut();
  }
  storm.isOver = true;
  scene.turn((device) => device.stopSampling());
  scene.link.heal(true);
  scene.world.until(() => scene.device.isConnected && scene.device.pendingCount === 0, 600_000);
}

function check({ acknowledged, corrupts, dropped, produced, scene }: Life): void {
  expect(scene.device.isConnected).toBe(true);
  expect(scene.device.pendingCount).toBe(0);
  const inOrder = (left: number, right: number) => left - right;
  expect([...acknowledged, ...dropped].sort(inOrder)).toEqual([...produced].sort(inOrder));
  // A packet id that was corrupted acknowledges another message than the broker did, and a QoS 2
  // message that it owned may go with the session.
  if (corrupts || scene.options.qos === 2) return;
  const taken = new Set(scene.sequences());
  expect(acknowledged.filter((sequence) => !taken.has(sequence))).toEqual([]);
}

test(`everything drains after each of ${RUNS} storms`, { timeout: 10_000 + 100 * RUNS }, () => {
  console.log(`SEED=${SEED} sdk/test/device-storm.test.ts`);
  let alteredCount = 0;
  let producedCount = 0;
  for (let index = ONLY ?? 0; index < (ONLY === undefined ? RUNS : ONLY + 1); index += 1) {
    const random = new Random(seedOf(SEED, index));
    const life = newLife(random);
    try {
      live(life, random);
      check(life);
    } catch (error) {
      const command = `SEED=${SEED} RUN=${index} npx vitest run sdk/test/device-storm.test.ts`;
      throw new Error(`run ${index}\nreproduce: ${command}`, { cause: error });
    }
    alteredCount += life.storm.alteredCount;
    producedCount += life.produced.length;
  }
  if (ONLY !== undefined) return;
  expect(alteredCount).toBeGreaterThan(RUNS);
  expect(producedCount).toBeGreaterThan(10 * RUNS);
});
