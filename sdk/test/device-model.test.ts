// A whole device through random faults, with a ledger: every message that it says it produced ends
// acknowledged or dropped, once, and what it says was acknowledged the broker has.
//
// SEED=… repeats a run, RUNS=… makes it longer.

import { expect, test } from 'vitest';
import type { FullPolicy } from '../src/buffer/outbox.ts';
import type { DeviceOptions } from '../src/device-profile.ts';
import type { Qos } from '../src/mqtt/packet.ts';
import { DeviceScene } from './support/device-scene.ts';
import { Random, seedOf } from './support/random.ts';
import { WireAudit } from './support/wire-audit.ts';

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));
const RUNS = Number(process.env.RUNS ?? 150);
const POLICIES: readonly FullPolicy[] = ['drop-oldest', 'drop-newest', 'drop-lowest-priority'];
/** {"cid": "c", "command": "ping"} */
const PING = Buffer.from('\xa2\x63cid\x61c\x67command\x64ping', 'latin1');

/** What the device told about each sequence. */
class Ledger {
  readonly produced = new Set<number>();
  readonly acknowledged: number[] = [];
  readonly dropped: number[] = [];
}

function newScene(random: Random, ledger: Ledger, qos: Qos): DeviceScene {
  const options: Partial<DeviceOptions> = {
    protocol: random.pick([0, 4, 5, 5] as const),
    qos,
    intervalMs: random.pick([50, 400, 3000]),
    bufferSize: random.pick([1024, 1500, 4096]),
    fullPolicy: random.pick(POLICIES),
    inflightMax: random.pick([1, 3, 8]),
    keepAliveMs: random.pick([5000, 30_000]),
    events: {
      onProduced: (_, sequence) => ledger.produced.add(sequence),
      onAcknowledged: (_, sequence) => ledger.acknowledged.push(sequence),
      onDropped: (_, sequence) => ledger.dropped.push(sequence),
    },
  };
  const scene = new DeviceScene(options, { seed: random.uint32(), transmitSize: 512 });
  const { broker, link } = scene;
  link.roomMax = random.pick([512, 600, 4096]);
  const chunkMax = random.pick([1, 20, 4096]);
  link.chunk = (_, waiting) => 1 + random.below(Math.min(waiting, chunkMax));
  const delayMax = random.pick([1, 30]);
  link.delayMs = () => random.below(chunkMax === 1 ? 2 : delayMax);
  broker.acksInOrder = random.oneIn(2);
  const ackDelayMax = random.pick([0, 500]);
  broker.ackDelayMs = () => random.below(ackDelayMax + 1);
  // The birth is refused for now only: refused for good it is not sent again.
  broker.reasonOf = (topic) => {
    return random.pick([0, 0, 0, 0, 0, 0, 0x97, topic.endsWith('status') ? 0 : 0x87]);
  };
  return scene;
}

/** One fault, or none. */
function disturb(scene: DeviceScene, random: Random): void {
  const { broker, link } = scene;
  switch (random.below(9)) {
    case 0:
    case 1:
      link.cutAfter[random.pick(['up', 'down'] as const)] = random.below(300);
      return;
    case 2:
      link.cut();
      return;
    case 3:
      link.cut();
      broker.forget('d1');
      return;
    case 4:
      broker.restart(random.oneIn(2));
      return;
    case 5:
      link.deviceNoticesMs = random.pick([1, undefined]);
      link.serverNoticesMs = random.pick([1, 3000, undefined]);
      return;
    case 6:
      broker.limits.receiveMaximum = random.pick([1, 2, 65535]);
      broker.limits.maximumPacketSize = random.pick([0, 400]);
      broker.limits.topicAliasMaximum = random.pick([0, 5]);
      broker.restart(true);
      return;
    case 7:
      scene.turn((device) => device.report('alarm', undefined, true, random.pick([0, 1, 2])));
      return;
    default:
      broker.publish({ topic: 'devices/d1/commands', payload: PING, qos: 1, retain: false });
  }
}

function settle(scene: DeviceScene): void {
  scene.broker.reasonOf = () => 0;
  scene.link.heal(true);
  scene.turn((device) => device.stopSampling());
  const isQuiet = () => scene.device.isConnected && scene.device.pendingCount === 0;
  scene.world.until(isQuiet, 600_000);
  // The birth may still be held back: the server had asked for less.
  scene.world.advance(70_000);
}

function check(scene: DeviceScene, ledger: Ledger, audit: WireAudit, qos: Qos): void {
  const { broker, device } = scene;
  expect(broker.violations).toEqual([]);
  expect(audit.violations).toEqual([]);
  expect(device.pendingCount).toBe(0);
  expect(device.isConnected).toBe(true);
  const ended = [...ledger.acknowledged, ...ledger.dropped].sort((a, b) => a - b);
  expect(ended).toEqual([...ledger.produced].sort((a, b) => a - b));
  const taken = new Set(scene.sequences());
  if (qos > 0) {
    expect(ledger.acknowledged.filter((sequence) => !taken.has(sequence))).toEqual([]);
  }
  if (qos === 2) {
    const keys = scene.taken('telemetry').map((one, index) => {
      return `${scene.sequences()[index]} of session ${one.sessionNumber}`;
    });
    expect(new Set(keys).size).toBe(keys.length);
  }
  expect(scene.retained('status')).toEqual({ state: 'online' });
}

test(`${RUNS} random lives of a device`, () => {
  console.log(`SEED=${SEED} sdk/test/device-model.test.ts`);
  for (let index = 0; index < RUNS; index += 1) {
    const random = new Random(seedOf(SEED, index));
    const ledger = new Ledger();
    const qos = random.pick<Qos>([0, 1, 1, 2]);
    const scene = newScene(random, ledger, qos);
    const audit = new WireAudit(scene.world, {
      inflightMax: scene.device.profile.client.inflightMax,
      keepAliveS: scene.device.profile.client.keepAliveMs / 1000,
      sameContent: false,
      // One over which the broker may have ended the connection waits for a stable one.
      givesUp: 'devices/d1/status',
    });
    scene.link.taps.push(audit);
    try {
      scene.start();
      for (let count = random.below(12); count >= 0; count -= 1) {
        disturb(scene, random);
        scene.world.advance(random.pick([5, 100, 1500, 20_000]));
      }
      settle(scene);
      check(scene, ledger, audit, qos);
      scene.stop();
      scene.world.advance(100);
      expect(scene.platform.memory.outstandingCount).toBe(1);
    } catch (error) {
      const command = `SEED=${SEED} npx vitest run sdk/test/device-model.test.ts`;
      throw new Error(`life ${index} failed; reproduce: ${command}`, { cause: error });
    }
  }
});
