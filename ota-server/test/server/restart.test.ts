// A server that is killed and started again over what it had written by then.

import { createHash } from 'node:crypto';
import { cp, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { imageOf, release, type TestDevice, World } from './harness.ts';

let folder: string;
const worlds: World[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ota-'));
});
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close();
  await rm(folder, { recursive: true });
});

/** A copy of the files of a server that runs on: what a kill would have left. */
async function killed(world: World, name: string): Promise<World> {
  const dataDir = join(folder, name);
  await cp(join(folder, 'first'), dataDir, { recursive: true });
  const next = new World();
  worlds.push(next);
  next.nowMs = world.nowMs;
  await next.start({ dataDir });
  return next;
}

/** One device from the end takes an offer, and says nothing more. */
async function takeAnOffer(devices: readonly TestDevice[]): Promise<boolean> {
  for (const device of devices.toReversed()) {
    if ((await device.check()).update !== undefined) return true;
  }
  return false;
}

test('a rollout goes on where every acknowledged message had brought it', async () => {
  const world = new World();
  worlds.push(world);
  const { adminKeyFile, adminKey, control } = await world.start({ dataDir: join(folder, 'first') });
  expect(await readFile(adminKeyFile!, 'utf8')).toBe(`${adminKey}\n`);
  // The key of the download URLs is in the database.
  for (const name of ['admin.key', 'flotilla-ota.sqlite', 'flotilla-ota.sqlite-wal']) {
    expect((await stat(join(folder, 'first', name))).mode & 0o777).toBe(0o600);
  }
  const devices = await world.devices(60);
  const image = imageOf(3000, 3);
  await control.addRelease(release('1.1.0', 2, image));
  const wave = { soakMs: 5000, sampleMin: 2, failureRatioMax: 0.5, successRatioMin: 0.5 };
  await control.createRollout({
    id: 'r',
    release: '1.1.0',
    salt: 'fixed',
    waves: [
      { percent: 30, ...wave },
      { percent: 100, ...wave },
    ],
  });
  world.advance(1000);
  const views: unknown[] = [];
  for (let step = 0; step < 3; step += 1) {
    for (const device of devices.slice(step * 20, step * 20 + 20)) {
      await device.follow(device.id.endsWith('7') ? 'failed' : 'confirmed');
    }
    world.advance(3000);
    // An answered check is the last thing before the kill; or any request, all wait for the store.
    if (!(await takeAnOffer(devices))) await control.renewToken('d59');
    const next = await killed(world, `killed-${step}`);
    views.push(next.server.control.rolloutStatus('r'));
    expect(views[step]).toEqual(control.rolloutStatus('r'));
    // It knows its devices, keys and images, and goes on.
    const back = Object.assign(devices[0]!, { world: next });
    expect(await back.check()).toMatchObject({ pollS: 300 });
    expect(
      (await next.admin('GET', '/v1/releases', undefined, adminKey)).body.releases,
    ).toHaveLength(1);
    expect(next.server.adminKey).toBeUndefined();
    back.world = world;
  }
  expect(views[0]).not.toEqual(views[2]);
  const last = await killed(world, 'last');
  last.advance(60_000);
  for (const device of devices) {
    device.world = last;
    await device.follow('confirmed');
  }
  last.advance(3_600_000);
  expect(last.server.control.rolloutStatus('r').waves[1]!.open).toBe(true);
  expect(world.errors).toEqual([]);
});

test('a URL from before the restart is good after it; a key that is no longer trusted ends offers', async () => {
  const world = new World();
  worlds.push(world);
  await world.start({ dataDir: join(folder, 'first') });
  const [device] = await world.devices(1);
  const image = imageOf(3000, 3);
  await world.server.control.addRelease(release('1.1.0', 2, image));
  await world.server.control.createRollout({ release: '1.1.0', waves: [{ percent: 100 }] });
  const { update } = await device!.check();
  device!.world = await killed(world, 'again');
  const response = await device!.download(update!.sources[0]!.url);
  expect(Buffer.from(await response.arrayBuffer())).toEqual(Buffer.from(image));
  await world.close();
  const distrusting = new World();
  worlds.push(distrusting);
  await distrusting.start({ dataDir: join(folder, 'first'), trustedKeys: [] });
  device!.world = distrusting;
  expect((await device!.check()).update).toBeUndefined();
  expect(distrusting.errors.map(String)).toEqual([expect.stringContaining('no longer trusted')]);
});

test('a way back that was added after the start is known after a kill, too', async () => {
  const world = new World();
  worlds.push(world);
  await world.start({ dataDir: join(folder, 'first') });
  const [device] = await world.devices(1);
  const image = imageOf(3000, 3);
  const { control } = world.server;
  await control.addRelease(release('2.0.0', 7, image));
  await control.createRollout({ id: 'r', release: '2.0.0', waves: [{ percent: 100 }] });
  await device!.follow('confirmed');
  const digest = createHash('sha256').update(image).digest();
  Object.assign(device!, { version: '2.0.0', digest, sequence: 7 });
  const requires = { comparison: 'equal', version: '2.0.0' } as const;
  await control.addRelease(release('1.0.0', 8, imageOf(4000, 5), { requires }));
  await control.rollback('r');
  device!.world = await killed(world, 'again');
  expect((await device!.check()).update).toMatchObject({ version: '1.0.0' });
});

test('a release whose image is gone waits for it again, and is not offered meanwhile', async () => {
  const world = new World();
  worlds.push(world);
  await world.start({ dataDir: join(folder, 'first') });
  const [device] = await world.devices(1);
  const image = imageOf(3000, 3);
  const { id } = await world.server.control.addRelease(release('1.1.0', 2, image));
  await world.server.control.createRollout({ release: '1.1.0', waves: [{ percent: 100 }] });
  await world.close();
  await rm(join(folder, 'first', 'blobs'), { recursive: true });
  const next = new World();
  worlds.push(next);
  await next.start({ dataDir: join(folder, 'first') });
  device!.world = next;
  expect(next.errors.map(String)).toEqual([expect.stringContaining('upload it again')]);
  expect((await device!.check()).update).toBeUndefined();
  await next.server.control.releases.addImage(id, image);
  const { update } = await device!.check();
  expect((await device!.download(update!.sources[0]!.url)).status).toBe(200);
});
