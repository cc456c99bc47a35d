// Workers that hang in the user's application: the run ends, names device and place, and does not
// judge; Ctrl-C works meanwhile.

import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Heartbeat } from '../../src/live/heartbeat.ts';
import type { WorkerResult } from '../../src/live/messages.ts';
import { leaveOutHanging } from '../../src/live/settle-ledger.ts';
import { Watch } from '../../src/live/watchdog.ts';
import { Registry } from '../../src/metrics/registry.ts';
import type { Summary } from '../../src/report/summary.ts';
import { CommandLine } from '../support/command-line.ts';
import { folder, loadedScenario, writeScenario } from '../support/scenario.ts';

const PATIENCE_MS = 90_000;
const MARKER = join(folder, 'it-hangs');

/** A scenario of six devices, one of which never returns from its timer; it leaves a mark then. */
function hangingScenario(name: string): string {
  const file = join(folder, `${name}.mjs`);
  writeFileSync(
    file,
    `import { writeFileSync } from 'node:fs';
function spin() {
  for (let count = 0; ; count = (count + 1) % 7);
}
export function start(device, platform) {
  const onTimer = () => {
    if (!device.id.endsWith('-2')) return;
    writeFileSync('${MARKER}', '');
    spin();
  };
  platform.createTimer({ onTimer }).start(1000);
}`,
  );
  rmSync(MARKER, { force: true });
  return writeScenario({ name, count: 6, fleet: [`application: '${file}'`], duration: '60s' });
}

describe('a run whose application never returns', () => {
  test(
    'ends without a verdict, with the device, its place, and the accounts of others',
    async () => {
      const scenario = hangingScenario('hanging');
      const command = new CommandLine(['run', scenario, '--workers', '2', '--run', 'r', '--json']);
      const { code, stdout } = await command.ended();
      const summary = JSON.parse(stdout) as Summary;
      const place = relative(process.cwd(), join(folder, 'hanging.mjs'));
      expect(summary.judged).toEqual({
        ok: false,
        reason: expect.stringContaining(
          `the application of r-meters-2 never returned at ${place}:3:`,
        ),
      });
      expect(summary.passed).toBe(false);
      expect(code).toBe(1);
      // Three devices of the other worker, twice a second until it was noticed.
      expect(summary.ledger.observed).toBeGreaterThanOrEqual(3 * 2 * 4);
      expect(summary.ledger).toMatchObject({ balanced: true, lost: 0, unseen: 0 });
      expect(summary.run.durationMs).toBeLessThan(50_000);
    },
    PATIENCE_MS,
  );

  test(
    'can be interrupted before that is noticed',
    async () => {
      const command = new CommandLine(['run', hangingScenario('stuck'), '--workers', '1']);
      await command.until(() => existsSync(MARKER));
      command.process.kill('SIGINT');
      const { code, stdout } = await command.ended();
      expect(code).toBe(130);
      expect(stdout).toContain('LEDGER');
      expect(stdout).toContain('INTERRUPTED: the application of');
    },
    PATIENCE_MS,
  );
});

describe('a watch', () => {
  const ticksUntilHang = (watch: Watch) => {
    let ticks = 1;
    while (!watch.tick()) ticks += 1;
    return ticks;
  };

  test('gives an application five seconds, and a worker half a minute', () => {
    const heartbeat = new Heartbeat();
    expect(ticksUntilHang(new Watch(heartbeat))).toBe(1 + 60);
    heartbeat.enter(7);
    expect(heartbeat.deviceIndex).toBe(7);
    expect(ticksUntilHang(new Watch(heartbeat))).toBe(1 + 10);
  });

  test.each<[string, (heartbeat: Heartbeat) => void]>([
    ['turns', (heartbeat) => heartbeat.beat()],
    ['is fed by its application', (heartbeat) => heartbeat.feed()],
    ['enters one application after the other', (heartbeat) => heartbeat.leave(heartbeat.enter(3))],
  ])('is calm while a worker %s', (_, act) => {
    const heartbeat = new Heartbeat();
    heartbeat.enter(0);
    const watch = new Watch(heartbeat);
    for (let tick = 0; tick < 200; tick += 1) {
      if (tick % 9 === 0) act(heartbeat);
      expect(watch.tick()).toBe(false);
    }
  });

  test('sees from another thread whose code runs, also within another’s', () => {
    const worker = new Heartbeat();
    const main = new Heartbeat(worker.shared);
    worker.begin(5);
    expect(main.threadId).toBe(5);
    expect(main.deviceIndex).toBeUndefined();
    const outer = worker.enter(1);
    const inner = worker.enter(2);
    expect(main.deviceIndex).toBe(2);
    worker.leave(inner);
    expect(main.deviceIndex).toBe(1);
    worker.leave(outer);
    expect(main.deviceIndex).toBeUndefined();
  });
});

describe('devices without accounts', () => {
  test('leave a ledger that balances: what was observed of them is what they produced', () => {
    const { fleets } = loadedScenario({ name: 'left-out', count: 4 }).scenario;
    const ofDevice = fc.record({ produced: fc.nat(50), observed: fc.nat(50) });
    const devices = fc.array(ofDevice, { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(devices, fc.nat(200), (all, reported) => {
        const registry = new Registry(['meters']);
        const theirs = new Registry(['meters']);
        theirs.counter('messages_produced', 0).add(reported);
        registry.merge(theirs.toWire());
        const seen = all.map(({ observed }) => (observed === 0 ? [] : [0, observed]));
        let expected = 0;
        for (const [device, one] of all.entries()) {
          expected += device % 2 === 0 ? one.observed : Math.max(one.produced, one.observed);
        }
        for (const device of [1, 3]) {
          const produced = Math.max(all[device]!.produced, all[device]!.observed);
          registry.counter('messages_produced', 0).add(produced);
        }
        const results = [undefined, {} as WorkerResult];
        const lastOf = (worker: number) => (worker === 0 ? theirs.toWire() : undefined);
        expect(leaveOutHanging(registry, fleets, results, lastOf, seen)).toEqual([results[1]]);
        expect(registry.total('messages_produced')).toBe(expected);
      }),
    );
  });
});
