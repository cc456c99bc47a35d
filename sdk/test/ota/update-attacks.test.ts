// The attack table (docs/ota-device.md), as far as it is the client's: none of them gets anything
// but a signed, fitting and fresh image staged, and every refusal is reported with its reason.

import { describe, expect, test } from 'vitest';
import {
  envelopeOf,
  image,
  KEY,
  NEXT,
  RUNNING,
  START_MS,
  similar,
  UpdateScene,
} from '../support/update-scene.ts';
import { simpleDelta } from './delta-file.ts';
import { ed25519Signer, type ReleaseFields } from './suit-envelope.ts';

const DAY_MS = 24 * 3600_000;

function sceneWith(fields: Partial<ReleaseFields>, key = KEY): UpdateScene {
  const scene = new UpdateScene();
  scene.release(NEXT, { envelope: envelopeOf(NEXT, fields, key) });
  return scene;
}

function expectRefused(scene: UpdateScene, reason: string): void {
  scene.advance(2 * DAY_MS);
  expect(scene.server.stages()).toEqual([`failed: manifest: ${reason}`]);
  expect(scene.http.log.some((line) => line.startsWith('GET'))).toBe(false);
  expect(scene.boot.stageCount).toBe(0);
  expect(scene.boot.violations).toEqual([]);
  expect(scene.boot.power.count).toBeLessThan(8);
  expect(scene.memory.outstandingCount).toBe(0);
}

describe('freeze', () => {
  test('metadata past its expiry is refused', () => {
    const scene = sceneWith({ expiresS: START_MS / 1000 - 1 });
    scene.start();
    expectRefused(scene, 'expired');
  });

  test('a server that sets its clock back does not make old metadata fresh', () => {
    const scene = sceneWith({ expiresS: START_MS / 1000 + 3600 });
    const { update } = scene.server;
    scene.server.update = undefined;
    scene.start();
    // The device learns the time, and forgets it with the power.
    scene.advance(3 * DAY_MS);
    scene.server.nowMs = () => START_MS;
    scene.server.date = 'Thu, 01 Jan 2026 00:00:00 GMT';
    scene.server.update = update;
    scene.reset();
    expect(scene.device.platform.clock.epochUncertaintyMs()).toBe(Number.POSITIVE_INFINITY);
    expectRefused(scene, 'expired');
  });

  test('without any time it is taken, and that is said', () => {
    const scene = sceneWith({ expiresS: START_MS / 1000 + 60 });
    scene.server.nowMs = () => 0;
    scene.start();
    expect(scene.untilConfirmed(NEXT)).toBe(true);
    expect(scene.server.stages()[0]).toBe('downloading: time-unknown');
  });
});

describe('rollback', () => {
  test('an older signed release is refused, also after a reset and under another rollout', () => {
    const scene = new UpdateScene();
    scene.release(NEXT, { sequence: 7 });
    scene.start();
    expect(scene.untilConfirmed(NEXT)).toBe(true);
    scene.advance(1000);
    const { reports } = scene.server;
    reports.splice(0);
    const old = image('1.5.0', 10_000, 5);
    scene.release(old, { sequence: 6, rollout: 'r2' });
    scene.advance(DAY_MS);
    expect(scene.server.stages()).toEqual(['failed: manifest: old-sequence']);
    scene.reset();
    scene.server.update = { ...scene.server.update!, rollout: 'r3' };
    scene.advance(DAY_MS);
    expect(scene.server.stages().slice(1)).toEqual(['failed: manifest: old-sequence']);
    expect(scene.version).toBe(NEXT.version);
  });

  test('the sequence rises at the confirmation and not before', () => {
    const scene = new UpdateScene();
    scene.boot.crashing.add(NEXT.version);
    scene.release(NEXT, { sequence: 9 });
    scene.start();
    scene.advance(DAY_MS);
    expect(scene.server.stages().at(-1)).toBe('reverted: tries used up');
    expect(scene.updater.record.sequence).toBe(0);
    const fixed = image('2.0.1', 12_000, 6);
    scene.release(fixed, { sequence: 8, rollout: 'r2' });
    expect(scene.untilConfirmed(fixed)).toBe(true);
  });
});

describe('endless data', () => {
  test('is never read past the signed size', () => {
    const scene = new UpdateScene();
    scene.release(NEXT);
    scene.server.fault = (kind, answer) =>
      kind === 'blob' ? { status: 200, body: NEXT.bytes, endless: true } : answer;
    scene.start();
    expect(scene.untilConfirmed(NEXT)).toBe(true);
    expect(scene.http.readCount).toBe(NEXT.bytes.length);
  });

  test('an answer to a check or report of any size is cut off', () => {
    const scene = new UpdateScene();
    scene.release(NEXT);
    scene.server.fault = (kind, answer) =>
      kind === 'blob' ? answer : { ...answer, endless: true };
    scene.start();
    scene.advance(DAY_MS);
    expect(scene.boot.stageCount).toBe(0);
    expect(scene.memory.outstandingSize).toBeLessThanOrEqual(4096);
    expect(scene.http.openCount).toBeLessThanOrEqual(1);
  });

  test('a delta that expands past the size is stopped there', () => {
    const target = similar(RUNNING, '2.0.0');
    const large = {
      version: 'x',
      bytes: new Uint8Array([...target.bytes, ...new Uint8Array(9000)]),
    };
    const honest = simpleDelta(RUNNING, large);
    const lying = honest.slice();
    new DataView(lying.buffer).setUint32(4, target.bytes.length, true);
    for (const delta of [honest, lying]) {
      const scene = new UpdateScene();
      scene.release(target);
      scene.server.offerDelta(delta, RUNNING);
      scene.start();
      expect(scene.untilConfirmed(target)).toBe(true);
      expect(scene.boot.violations).toEqual([]);
      const end = Math.ceil(target.bytes.length / 4096) * 4096;
      expect(scene.boot.slots[1].bytes.slice(end).every((byte) => byte === 255)).toBe(true);
    }
  });
});

test('slow retrieval: a server of 1 B/s is abandoned, and the download goes on elsewhere', () => {
  const scene = new UpdateScene();
  scene.release(NEXT);
  const elsewhere = 'http://mirror.test/elsewhere.bin';
  scene.server.fault = (kind, answer) =>
    kind === 'blob' && scene.server.checks.length < 2 ? { ...answer, bytesPerS: 1 } : answer;
  scene.http.script = (request) => {
    const answer = scene.server.answer(
      request.url === elsewhere ? { ...request, url: 'http://ota.test/blobs/2.0.0.bin' } : request,
    );
    const source = scene.server.update?.sources[0];
    if (source !== undefined && scene.server.checks.length >= 1) source.url = elsewhere;
    return answer;
  };
  scene.start();
  expect(scene.untilConfirmed(NEXT, 30 * 60_000)).toBe(true);
  expect(scene.server.checks.length).toBeGreaterThanOrEqual(2);
  // The token is for this server only.
  const sent = scene.server.headers;
  expect(sent[0]?.authorization).toBe('Bearer secret');
  expect(sent.at(-1)?.authorization).toBeUndefined();
});

test('slow retrieval for ever ends, and is reported', () => {
  const scene = new UpdateScene();
  scene.release(NEXT);
  scene.server.fault = (kind, answer) => (kind === 'blob' ? { ...answer, bytesPerS: 1 } : answer);
  scene.start();
  scene.advance(DAY_MS);
  expect(scene.server.stages()).toEqual(['downloading', 'failed: download: slow']);
  expect(scene.memory.outstandingCount).toBe(0);
});

test('mix and match: a release for a newer running version is refused', () => {
  const scene = sceneWith({ versionMin: [1, 5, 0] });
  scene.start();
  expectRefused(scene, 'wrong-version');
});

describe('arbitrary software', () => {
  test('a key that is not trusted', () => {
    const scene = sceneWith({}, ed25519Signer(8));
    scene.start();
    expectRefused(scene, 'wrong-signature');
  });

  test('any byte of the envelope altered', () => {
    const good = envelopeOf(NEXT);
    for (let at = 0; at < good.length; at += 7) {
      const envelope = good.slice();
      envelope[at]! ^= 1 << (at & 7);
      const scene = new UpdateScene();
      scene.release(NEXT, { envelope });
      scene.start();
      scene.advance(2 * 60_000);
      expect(scene.server.stages()[0], `byte ${at}`).toMatch(/^failed: manifest: /);
      expect(scene.http.log.some((line) => line.startsWith('GET'))).toBe(false);
    }
  });

  test('a payload swapped for another of the same size is never staged', () => {
    const scene = new UpdateScene();
    scene.release(NEXT);
    scene.server.blobs.set('/blobs/2.0.0.bin', image('evil', NEXT.bytes.length, 66).bytes);
    scene.start();
    scene.advance(2 * DAY_MS);
    expect(scene.boot.stageCount).toBe(0);
    expect(scene.server.stages()).toEqual([
      'downloading',
      'downloaded',
      'downloaded',
      'downloaded',
      'failed: wrong-digest',
    ]);
    expect(scene.http.readCount).toBe(3 * NEXT.bytes.length);
  });

  test('a signed image that is larger than the slot', () => {
    const scene = sceneWith({ size: 16 * 4096 + 1 });
    scene.start();
    expectRefused(scene, 'too-large');
  });
});

test('check-then-change: a slot altered between reset and restart is verified again', () => {
  const scene = new UpdateScene();
  scene.release(NEXT);
  scene.start();
  scene.until(() => scene.updater.state === 'verified');
  scene.boot.slots[1].bytes[100]! ^= 1;
  scene.reset();
  expect(scene.untilConfirmed(NEXT)).toBe(true);
  expect(scene.boot.violations).toEqual([]);
});

describe('wrong device', () => {
  const other = new Uint8Array(16).fill(0xee);
  test.each([
    [{ classId: other }, 'wrong-class'],
    [{ vendorId: other }, 'wrong-vendor'],
  ])('%j', (fields, reason) => {
    const scene = sceneWith(fields);
    scene.start();
    expectRefused(scene, reason);
  });
});
