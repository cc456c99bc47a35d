// Any history of a rollout, cut at any point: what was stored brings back the same state.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Devices } from '../../src/control/devices.ts';
import { parseRollout } from '../../src/control/input.ts';
import { Releases } from '../../src/control/releases.ts';
import { Rollouts } from '../../src/control/rollouts.ts';
import type { ReportStage } from '../../src/device-api/index.ts';
import { trustedKey } from '../../src/releases/keys.ts';
import { MemoryBlobs } from '../../src/store/blobs.ts';
import { Journal } from '../../src/store/journal.ts';
import { type Changes, Store } from '../../src/store/store.ts';
import { imageOf, release, releaseKey, START_MS } from './harness.ts';

const DEVICE_COUNT = 10;
const image = imageOf(500, 3);
const stages: readonly ReportStage[] = ['downloading', 'trial', 'confirmed', 'failed', 'reverted'];
const wave = { soakMs: 4000, sampleMin: 3, failureRatioMax: 0.4, successRatioMin: 0.6 };
const definition = parseRollout({
  id: 'r',
  release: '2.0.0',
  waves: [
    { percent: 60, ...wave },
    { percent: 100, ...wave },
  ],
  offerTimeoutMs: 20_000,
  silenceMsMax: 2000,
  retryDelayMs: 1000,
  retryDelayMsMax: 5000,
});

const device = fc.nat({ max: DEVICE_COUNT - 1 });
const event = fc.oneof(
  { weight: 5, arbitrary: fc.record({ check: device, resets: fc.nat({ max: 5 }) }) },
  { weight: 5, arbitrary: fc.record({ report: device, stage: fc.constantFrom(...stages) }) },
  { weight: 3, arbitrary: fc.record({ waitMs: fc.nat({ max: 1500 }) }) },
  { weight: 1, arbitrary: fc.record({ operate: fc.constantFrom('pause', 'resume', 'retry') }) },
  { weight: 1, arbitrary: fc.record({ enrol: fc.boolean() }) },
  { weight: 1, arbitrary: fc.constant({ save: true } as const) },
);

class Half {
  readonly devices = new Devices();
  readonly releases: Releases;
  readonly rollouts: Rollouts;
  readonly journal: Journal;

  constructor(store: Store, gather: (changes: Changes) => void = () => undefined) {
    this.journal = new Journal(store, gather, (error) => expect.fail(String(error)));
    const keys = [trustedKey(releaseKey)];
    const blobs = new MemoryBlobs();
    this.releases = new Releases({ keys, blobs, journal: this.journal, nowMs: () => START_MS });
    this.rollouts = new Rollouts(this.devices, this.releases, this.journal, {
      onAlert: () => undefined,
      onNotify: () => undefined,
    });
  }
}

test('the stored state and events give the same view as the process that was killed', async () => {
  const signed = release('2.0.0', 2, image);
  await fc.assert(
    fc.asyncProperty(fc.array(event, { minLength: 30, maxLength: 100 }), async (events) => {
      const store = await Store.open(':memory:');
      const first = new Half(store);
      first.devices.register(Array.from({ length: DEVICE_COUNT }, (_, at) => ({ id: `d${at}` })));
      await first.releases.addEnvelope(signed.envelope);
      await first.releases.addImage(first.releases.all[0]!.id, image);
      first.rollouts.create(definition, 'salt', START_MS);
      let nowMs = START_MS;
      for (const each of events) {
        nowMs += 100;
        if ('check' in each) {
          const request = { version: '1.0.0', digest: new Uint8Array(32), sequence: 1, uptimeS: 1 };
          const abnormalResets = each.resets;
          first.rollouts.check(
            first.devices.all[each.check]!,
            { ...request, abnormalResets },
            nowMs,
          );
        } else if ('report' in each) {
          const { report, stage } = each;
          const { attempt } = first.rollouts.deviceView('r', first.devices.all[report]!)!;
          first.rollouts.report(
            first.devices.all[report]!,
            { rollout: 'r', attempt, stage },
            nowMs,
          );
        } else if ('waitMs' in each) {
          nowMs += each.waitMs;
          first.rollouts.tick(nowMs);
        } else if ('operate' in each) {
          try {
            first.rollouts.operate('r', { type: each.operate as 'pause' }, nowMs);
          } catch {
            // Refused in this state; that is noted as well.
          }
        } else if ('enrol' in each) {
          const hardware = each.enrol ? 'rev-b' : 'rev-c';
          const properties = each.enrol ? {} : { class: 'ff'.repeat(16) };
          const id = `n${first.devices.count}`;
          first.devices.register([{ id, hardware, ...properties }]);
          first.rollouts.enrol([first.devices.find(id)!], nowMs);
        } else first.rollouts.saveAll();
      }
      await first.journal.flushed();
      const state = await store.load();
      const second = new Half(store);
      second.devices.register(first.devices.all.map(({ id }) => ({ id })));
      second.releases.restore(state.releases, state.deltas);
      second.rollouts.restore(state.rollouts, state.events);
      expect(second.rollouts.view('r')).toEqual(first.rollouts.view('r'));
      // And it goes on alike.
      for (let step = 1; step <= 20; step += 1) {
        for (const half of [first, second]) half.rollouts.tick(nowMs + step * 500);
        expect(second.rollouts.view('r')).toEqual(first.rollouts.view('r'));
      }
      await Promise.all([first.journal.close(), second.journal.close()]).catch(() => undefined);
      await store.close();
    }),
    { numRuns: 100 },
  );
});
