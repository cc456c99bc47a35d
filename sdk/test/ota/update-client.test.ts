// The update client end to end, in virtual time: from the check to the confirmed image, and what a
// server or a link can put in the way.

import { describe, expect, test } from 'vitest';
import { image, NEXT, RUNNING, START_MS, similar, UpdateScene } from '../support/update-scene.ts';
import { digestOf } from '../support/virtual-firmware.ts';
import { simpleDelta } from './delta-file.ts';
import { PACKED_DELTA, PACKED_TARGET } from './packed-delta.ts';

const HOUR_MS = 3600_000;
const DAY_MS = 24 * HOUR_MS;
const ROAD = ['downloading', 'downloaded', 'verified', 'staged', 'rebooting', 'trial', 'confirmed'];

describe('an update', () => {
  test('goes from the check to the confirmed image, and tells every stage', () => {
    const scene = new UpdateScene();
    scene.release(NEXT);
    scene.start();
    expect(scene.untilConfirmed(NEXT)).toBe(true);
    expect(scene.server.stages()).toEqual(ROAD);
    expect(scene.told).toEqual(ROAD);
    expect(scene.boot.violations).toEqual([]);
    expect(scene.boot.stageCount).toBe(1);
    scene.advance(60_000);
    expect(scene.updater.record.sequence).toBe(2);
    expect(scene.memory.outstandingCount).toBe(0);
    expect(scene.updater.isBusy).toBe(false);
    const last = scene.server.reports.at(-1);
    expect(last).toMatchObject({ rollout: 'r1', attempt: 1, version: '2.0.0', bytes: 24_001 });
  });

  test('tells the server what it is, and after the update that it lives', () => {
    const scene = new UpdateScene();
    scene.release(NEXT);
    scene.start();
    scene.untilConfirmed(NEXT);
    scene.reset('crash');
    scene.advance(2 * HOUR_MS);
    const first = scene.server.checks[0];
    expect(first).toMatchObject({ version: '1.0.0', sequence: 0, abnormalResets: 0 });
    expect(new Uint8Array(first?.digest as Uint8Array)).toEqual(digestOf(RUNNING));
    const last = scene.server.checks.at(-1);
    expect(last).toMatchObject({ version: '2.0.0', sequence: 2, abnormalResets: 1 });
    expect(last?.uptimeS).toBeGreaterThan(3000);
  });

  const plain = similar(RUNNING, '2.0.0');
  test.each([
    ['stored', plain, simpleDelta(RUNNING, plain)],
    ['deflated', PACKED_TARGET, PACKED_DELTA],
  ] as const)('takes a delta, %s, where its base is the running image', (_, target, delta) => {
    const scene = new UpdateScene();
    scene.release(target);
    scene.server.blobs.set('/delta', delta);
    const { sources } = scene.server.update!;
    sources.push({ url: '/other', size: 100, base: digestOf(NEXT) });
    sources.push({ url: '/delta', size: delta.length, base: digestOf(RUNNING) });
    scene.start();
    expect(scene.untilConfirmed(target)).toBe(true);
    expect(scene.http.readCount).toBe(delta.length);
    expect(scene.server.reports.at(-1)?.bytes).toBe(delta.length);
  });

  test.each(['altered', 'damaged', 'gone', 'of another base'])(
    'falls back from a delta that is %s',
    (how) => {
      const target = similar(RUNNING, '2.0.0');
      const delta = simpleDelta(how === 'of another base' ? NEXT : RUNNING, target);
      // In what it inserts, or in the size of its first block.
      if (how === 'altered') delta[delta.length >> 1]! ^= 0x55;
      if (how === 'damaged') delta[48 + 8 * delta[44]! + 1]! ^= 0x55;
      const scene = new UpdateScene();
      scene.release(target);
      scene.server.offerDelta(delta, RUNNING);
      if (how === 'gone') scene.server.blobs.delete('/blobs/delta');
      scene.start();
      expect(scene.untilConfirmed(target, HOUR_MS)).toBe(true);
      expect(scene.boot.violations).toEqual([]);
      expect(scene.http.log.filter((line) => line.endsWith('.bin'))).toHaveLength(1);
    },
  );

  test('writes settings sparsely and each sector of the slot once', () => {
    const large = image('3.0.0', 60 * 4096 + 1, 4);
    const scene = new UpdateScene({ sectorCount: 64 });
    scene.release(large);
    scene.start();
    expect(scene.untilConfirmed(large)).toBe(true);
    scene.advance(1000);
    expect(scene.settings.setCount).toBeLessThan(30);
    const erased = scene.boot.slots[1].eraseCounts;
    expect(erased.filter((count) => count === 1)).toHaveLength(61);
    expect(erased.filter((count) => count > 1)).toHaveLength(0);
  });

  test('that runs already is confirmed without a download', () => {
    const scene = new UpdateScene();
    scene.release(RUNNING);
    scene.start();
    scene.advance(DAY_MS);
    expect(scene.server.stages()).toEqual(['confirmed']);
    expect(scene.updater.record.sequence).toBe(2);
  });
});

describe('a download', () => {
  test('goes on after every cut with the byte that is missing', () => {
    const scene = new UpdateScene();
    scene.release(NEXT);
    let cuts = 0;
    scene.server.fault = (kind, answer) => {
      if (kind !== 'blob' || cuts >= 7) return answer;
      cuts += 1;
      return { ...answer, cutAfter: 3001 };
    };
    scene.start();
    expect(scene.untilConfirmed(NEXT)).toBe(true);
    expect(scene.http.readCount).toBe(NEXT.bytes.length);
    expect(scene.server.ranges.slice(0, 3)).toEqual([
      'bytes=0-24000',
      'bytes=3001-24000',
      'bytes=6002-24000',
    ]);
    expect(scene.server.headers[1]?.['if-range']).toBe('"/blobs/2.0.0.bin"');
  });

  test('goes on after a reset where the flash is', () => {
    const scene = new UpdateScene();
    scene.release(NEXT);
    scene.start();
    scene.until(() => scene.updater.record.progress >= 3 * 4096);
    scene.reset();
    expect(scene.untilConfirmed(NEXT)).toBe(true);
    expect(scene.server.ranges).toEqual(['bytes=0-24000', 'bytes=12288-24000']);
    expect(scene.server.headers[1]?.['if-range']).toBe('"/blobs/2.0.0.bin"');
  });

  test('begins anew when the file has another ETag', () => {
    for (const honoursIfRange of [true, false]) {
      const scene = new UpdateScene();
      scene.release(NEXT);
      const path = '/blobs/2.0.0.bin';
      scene.server.blobs.set(path, image('x', NEXT.bytes.length, 77).bytes);
      scene.server.etags.set(path, '"old"');
      let isFirst = true;
      scene.server.fault = (kind, answer) => {
        if (kind !== 'blob' || !isFirst) return answer;
        isFirst = false;
        scene.server.blobs.set(path, NEXT.bytes);
        scene.server.etags.set(path, '"new"');
        return { ...answer, cutAfter: 9000 };
      };
      if (!honoursIfRange) {
        const { answer } = scene.server;
        scene.http.script = (request) => {
          const headers = request.headers.filter(
            (text, at, all) => text !== 'if-range' && all[at - 1] !== 'if-range',
          );
          return answer({ ...request, headers });
        };
      }
      scene.start();
      expect(scene.untilConfirmed(NEXT)).toBe(true);
      expect(scene.http.readCount).toBe(9000 + NEXT.bytes.length);
      expect(scene.server.stages()).toEqual(ROAD);
    }
  });

  test('asks for a new URL when the old one has expired', () => {
    const scene = new UpdateScene();
    scene.release(NEXT);
    const { answer } = scene.server;
    let isExpired = false;
    scene.http.script = (request) => {
      if (request.url.endsWith('/check') && isExpired) {
        scene.server.blobs.set('/fresh.bin', NEXT.bytes);
        scene.server.update!.sources[0]!.url = '/fresh.bin';
        scene.server.etags.set('/fresh.bin', '"/blobs/2.0.0.bin"');
      }
      const usual = answer(request);
      if (!request.url.includes('/blobs/') || typeof usual === 'string') return usual;
      if (isExpired) return { status: 403 };
      isExpired = true;
      return { ...usual, cutAfter: 10_000 };
    };
    scene.start();
    expect(scene.untilConfirmed(NEXT, 10 * 60_000)).toBe(true);
    expect(scene.http.readCount).toBe(NEXT.bytes.length);
    expect(scene.server.checks.length).toBe(3);
  });

  test.each([404, 500, 503, 416, 403])('gives up after a bound where it is always %i', (status) => {
    const scene = new UpdateScene();
    scene.release(NEXT);
    scene.server.fault = (kind, answer) => (kind === 'blob' ? { status } : answer);
    scene.start();
    scene.advance(2 * DAY_MS);
    const reason = status === 416 ? 'changed' : status === 403 ? 'forbidden' : `status ${status}`;
    expect(scene.server.stages()).toEqual(['downloading', `failed: download: ${reason}`]);
    const gets = scene.http.log.filter((line) => line.startsWith('GET'));
    expect(gets).toHaveLength(8);
    expect(scene.memory.outstandingCount).toBe(0);
  });

  test('works with a server that knows no ranges', () => {
    const scene = new UpdateScene();
    scene.release(NEXT);
    scene.server.supportsRanges = false;
    let isFirst = true;
    scene.server.fault = (kind, answer) => {
      if (kind !== 'blob' || !isFirst) return answer;
      isFirst = false;
      return { ...answer, cutAfter: 5000 };
    };
    scene.start();
    expect(scene.untilConfirmed(NEXT)).toBe(true);
    expect(scene.http.readCount).toBe(5000 + NEXT.bytes.length);
  });

  test('outlives an outage of hours', () => {
    const scene = new UpdateScene();
    scene.release(NEXT);
    let isAway = false;
    scene.server.fault = (kind, answer) => {
      if (isAway) return 'refused';
      if (kind !== 'blob') return answer;
      isAway = true;
      return { ...answer, cutAfter: 10_000 };
    };
    scene.start();
    scene.advance(8 * HOUR_MS);
    expect(scene.updater.state).toBe('idle');
    expect(scene.memory.outstandingCount).toBe(0);
    scene.server.fault = (_, answer) => answer;
    expect(scene.untilConfirmed(NEXT, 2 * HOUR_MS)).toBe(true);
    expect(scene.http.readCount).toBeLessThan(1.2 * NEXT.bytes.length);
  });

  test('ends when the server does not offer it any more, and goes on when it does again', () => {
    const scene = new UpdateScene();
    scene.release(NEXT);
    scene.http.bytesPerS = 500;
    scene.start();
    scene.until(() => scene.updater.record.progress > 0);
    const { update } = scene.server;
    scene.server.update = undefined;
    scene.server.fault = (kind, answer) => (kind === 'blob' ? { status: 403 } : answer);
    scene.reset();
    scene.advance(HOUR_MS);
    expect(scene.updater.state).toBe('idle');
    scene.server.fault = (_, answer) => answer;
    scene.server.update = update;
    expect(scene.untilConfirmed(NEXT, 2 * HOUR_MS)).toBe(true);
    expect(scene.server.ranges.at(-1)).not.toBe('bytes=0-24000');
  });
});

describe('when', () => {
  test('a notification is followed by a check at once', () => {
    const scene = new UpdateScene();
    scene.start();
    scene.advance(2 * 60_000);
    expect(scene.server.checks).toHaveLength(1);
    scene.release(NEXT);
    scene.world.turn(() => scene.updater.checkNow());
    scene.advance(100);
    expect(scene.server.checks).toHaveLength(2);
    expect(scene.untilConfirmed(NEXT, 60_000)).toBe(true);
  });

  test.each([
    [3600, 3600],
    [1, 10],
    [1e9, 7 * 24 * 3600],
  ])('the server asks for a poll every %i s, it is every %i s', (pollS, expectedS) => {
    const scene = new UpdateScene();
    scene.server.pollS = pollS;
    scene.start();
    scene.advance(60_000);
    const before = scene.server.checks.length;
    scene.advance(expectedS * 100_000);
    const count = scene.server.checks.length - before;
    expect(count).toBeGreaterThanOrEqual(97);
    expect(count).toBeLessThanOrEqual(103);
  });

  test('checks that fail come again with longer and longer pauses', () => {
    const scene = new UpdateScene();
    scene.server.fault = () => ({ status: 500 });
    scene.start();
    scene.advance(DAY_MS);
    const { length } = scene.server.checks;
    expect(length).toBeGreaterThan(20);
    expect(length).toBeLessThan(100);
  });

  test('nothing is downloaded on a low battery', () => {
    const scene = new UpdateScene();
    scene.release(NEXT);
    scene.charge = 0.29;
    scene.start();
    scene.advance(6 * HOUR_MS);
    expect(scene.server.stages()).toEqual([]);
    expect(scene.server.checks.length).toBeGreaterThan(5);
    expect(scene.updater.counters.deferred).toBeGreaterThan(5);
    scene.charge = 0.31;
    expect(scene.untilConfirmed(NEXT, HOUR_MS)).toBe(true);
  });

  test('nor outside of the window, and a download rests when that ends', () => {
    // 2026-01-01T00:00Z: the window is 22 to 4 the next day.
    const scene = new UpdateScene({
      options: { window: { startHour: 22, endHour: 4 } },
      platform: { epochMs: START_MS },
    });
    const hourOf = () => Math.floor(scene.world.nowMs / HOUR_MS) % 24;
    scene.start();
    scene.advance(3.9 * HOUR_MS);
    const hours = new Set<number>();
    scene.server.fault = (kind, answer) => {
      if (kind === 'blob') hours.add(hourOf());
      return answer;
    };
    scene.http.bytesPerS = 120;
    const large = image('3.0.0', 60_000, 4);
    scene.release(large);
    scene.world.turn(() => scene.updater.checkNow());
    scene.advance(6 * 60_000);
    expect(scene.updater.state).toBe('downloading');
    scene.advance(60_000);
    expect(scene.updater.state).toBe('idle');
    expect(scene.untilConfirmed(large)).toBe(true);
    expect([...hours].every((hour) => hour >= 22 || hour < 4)).toBe(true);
    expect(scene.http.readCount).toBeLessThan(1.2 * large.bytes.length);
  });
});

describe('time', () => {
  test('comes from the server, with what the round trip leaves open', () => {
    const scene = new UpdateScene();
    scene.http.latencyMs = 150;
    scene.server.date = 'Thu, 01 Jan 2026 00:00:30 GMT';
    scene.server.nowMs = () => 0;
    scene.start();
    scene.until(() => scene.server.checks.length === 1);
    scene.advance(1000);
    expect(scene.device.platform.clock.epochUncertaintyMs()).toBe(1150);
    scene.server.nowMs = () => START_MS + Math.floor(scene.world.nowMs);
    scene.world.turn(() => scene.updater.checkNow());
    scene.advance(1000);
    const { clock } = scene.device.platform;
    expect(clock.epochUncertaintyMs()).toBe(150);
    const errorMs = clock.epochMs() - (START_MS + scene.world.nowMs);
    expect(Math.abs(errorMs)).toBeLessThanOrEqual(clock.epochUncertaintyMs());
  });
});

describe('what failed', () => {
  test('is not tried again before the server says so', () => {
    const scene = new UpdateScene();
    scene.boot.crashing.add(NEXT.version);
    scene.release(NEXT);
    scene.start();
    scene.advance(3 * DAY_MS);
    expect(scene.boot.stageCount).toBe(1);
    expect(scene.server.stages().slice(-1)).toEqual(['reverted: tries used up']);
    expect(scene.server.checks.at(-1)).toMatchObject({ version: '1.0.0', failed: '2.0.0' });
    // Nor as another rollout of the same release.
    scene.server.update = { ...scene.server.update!, rollout: 'r2' };
    scene.advance(DAY_MS);
    expect(scene.boot.stageCount).toBe(1);
    scene.boot.crashing.clear();
    scene.server.update = { ...scene.server.update!, rollout: 'r1', attempt: 2 };
    expect(scene.untilConfirmed(NEXT)).toBe(true);
    expect(scene.server.reports.at(-1)?.attempt).toBe(2);
  });

  test('makes room for another release', () => {
    const scene = new UpdateScene();
    scene.boot.crashing.add(NEXT.version);
    scene.release(NEXT);
    scene.start();
    scene.advance(DAY_MS);
    const fixed = image('2.0.1', 9000, 12);
    scene.release(fixed, { sequence: 3, rollout: 'r2' });
    expect(scene.untilConfirmed(fixed)).toBe(true);
  });
});

describe('reports', () => {
  test('that get lost come again, over resets too, and do not hold the update up', () => {
    const scene = new UpdateScene();
    scene.release(NEXT);
    let isAway = true;
    scene.server.fault = (kind, answer) => {
      if (kind !== 'report' || !isAway) return answer;
      scene.server.reports.pop();
      return 'refused';
    };
    scene.start();
    const isThere = () => scene.version === NEXT.version && scene.boot.tries === 0;
    expect(scene.until(isThere, HOUR_MS)).toBe(true);
    scene.advance(HOUR_MS);
    scene.reset();
    scene.advance(HOUR_MS);
    expect(scene.server.stages()).toEqual([]);
    isAway = false;
    scene.advance(2 * HOUR_MS);
    expect(scene.server.stages()).toEqual(['confirmed']);
    scene.reset();
    scene.advance(HOUR_MS);
    expect(scene.server.stages()).toEqual(['confirmed']);
  });

  test('that the server refuses for good are dropped and counted', () => {
    const scene = new UpdateScene();
    scene.release(NEXT);
    scene.server.fault = (kind, answer) => (kind === 'report' ? { status: 404 } : answer);
    scene.start();
    expect(scene.untilConfirmed(NEXT)).toBe(true);
    scene.advance(HOUR_MS);
    expect(scene.server.stages()).toEqual(ROAD);
    expect(scene.updater.server.reportLostCount).toBe(2);
  });
});

test('an image that is verified again and again, and never tried, is given up', () => {
  const scene = new UpdateScene();
  scene.release(NEXT);
  scene.start();
  for (let count = 0; count < 3; count += 1) {
    expect(scene.until(() => scene.updater.state === 'verified', HOUR_MS)).toBe(true);
    scene.reset();
  }
  scene.advance(HOUR_MS);
  expect(scene.server.stages().at(-1)).toBe('failed: does not start');
  expect(scene.boot.stageCount).toBe(0);
});

test.each(['the image', 'a delta'])(
  'stop ends what runs and gives back the memory of %s',
  (what) => {
    const scene = new UpdateScene();
    const target = what === 'a delta' ? similar(RUNNING, '2.0.0') : NEXT;
    scene.release(target);
    if (what === 'a delta') scene.server.offerDelta(simpleDelta(RUNNING, target), RUNNING);
    scene.start();
    scene.until(() => scene.updater.record.progress > 0);
    scene.world.turn(() => scene.updater.stop());
    expect(scene.memory.outstandingCount).toBe(0);
    expect(scene.http.openCount).toBe(0);
    expect(scene.updater.nextDeadlineMs).toBe(Number.POSITIVE_INFINITY);
    scene.advance(HOUR_MS);
    expect(scene.boot.stageCount).toBe(0);
  },
);
