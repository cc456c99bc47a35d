// Who can move a rollout's gate, and who cannot.

import { createHash } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { encodeReport } from '../../src/device-api/index.ts';
import type { AlertEffect } from '../../src/rollout/index.ts';
import { CLASS, imageOf, release, type TestDevice, World } from './harness.ts';

let world: World;
let devices: TestDevice[];
const image = imageOf(4000, 3);
const digest = createHash('sha256').update(image).digest();
const wave = { soakMs: 10_000, sampleMin: 5, failureRatioMax: 0.2, successRatioMin: 0.8 };

beforeEach(async () => {
  world = new World();
  await world.start();
  devices = await world.devices(100);
  await world.server.control.addRelease(release('2.0.0', 7, image));
});
afterEach(() => world.close());

const waves = [
  { percent: 20, ...wave },
  { percent: 100, ...wave },
];
const create = (input: object = {}) =>
  world.server.control.createRollout({ id: 'r', salt: 's', release: '2.0.0', waves, ...input });
const status = () => world.server.control.rolloutStatus('r');
const failedCount = () => status().waves.reduce((sum, { failed }) => sum + failed, 0);

test('reports of strangers, of no offer, of other attempts, and repeated ones change nothing', async () => {
  await create();
  world.advance(1000);
  // Nobody has been offered anything: every device claims to have failed, at every attempt.
  const { control } = world.server;
  for (const { id } of devices) {
    const say = (rollout: string, attempt: number) =>
      control.report(control.device(id), encodeReport({ rollout, attempt, stage: 'failed' }));
    await Promise.all([0, 1, 2, 255].map((attempt) => say('r', attempt)));
    await say('nothing', 1);
  }
  world.advance(5000);
  expect(failedCount()).toBe(0);
  expect(status().status).toBe('running');
  // One canary fails in earnest, and says so fifty times.
  let canary: TestDevice | undefined;
  for (const device of devices) {
    if ((await device.check()).update === undefined) continue;
    canary = device;
    break;
  }
  for (let count = 0; count < 50; count += 1) {
    expect(await canary!.report('r', 1, 'failed')).toBe(204);
  }
  world.advance(5000);
  expect(failedCount()).toBe(1);
  expect(status().status).toBe('running');
  const { body } = await world.admin('GET', `/v1/reports?device=${canary!.id}&limit=1000`);
  const counted = body.reports.filter((report: { counted: boolean }) => report.counted);
  expect(counted).toHaveLength(1);
  // With another device's token no report is taken at all.
  const stranger = devices.find(({ id }) => id !== canary!.id)!;
  const stolen = await fetch(`${world.server.url}/v1/devices/${canary!.id}/report`, {
    method: 'POST',
    headers: { ...stranger.headers, 'content-type': 'application/cbor' },
    body: encodeReport({ rollout: 'r', attempt: 1, stage: 'confirmed' }).slice(),
  });
  expect(stolen.status).toBe(401);
});

test('a bad release stops in its first wave, the alert names the hardware, and goes no further', async () => {
  const alerts: AlertEffect[] = [];
  world.server.control.onAlert((_rollout, alert) => alerts.push(alert));
  const notified: string[] = [];
  world.server.control.onNotify((_rollout, ids) => notified.push(...ids));
  for (const device of devices.slice(0, 50)) {
    await world.server.control.patchDevice(device.id, { hardware: 'rev-a' });
  }
  await create();
  world.advance(1000);
  const { size } = status().waves[0]!;
  expect(new Set(notified).size).toBe(size);
  let offered = 0;
  for (const device of devices) if (await device.follow('reverted')) offered += 1;
  expect(offered).toBe(size);
  world.advance(1000);
  expect(status().status).toBe('stopped');
  expect(alerts[0]).toMatchObject({ reason: expect.stringContaining('failure-ratio') });
  expect(alerts[0]!.deviceClasses).toContain('rev-a');
  for (const device of devices) expect(await device.follow('confirmed')).toBe(false);
  await world.server.control.resume('r');
  expect(status().status).toBe('running');
});

test('pause stops new offers at the next check, resume gives them again, abort ends them', async () => {
  await create({ waves: [{ percent: 100, ...wave }] });
  await world.server.control.pause('r');
  expect((await devices[0]!.check()).update).toBeUndefined();
  await world.server.control.resume('r');
  expect((await devices[0]!.check()).update).toMatchObject({ attempt: 1 });
  await world.server.control.pause('r');
  // One that began gets its URLs again.
  expect((await devices[0]!.check()).update).toMatchObject({ attempt: 1 });
  await world.server.control.abort('r');
  expect((await devices[0]!.check()).update).toBeUndefined();
  await expect(world.server.control.resume('r')).rejects.toMatchObject({ status: 409 });
});

test('rolling back needs a release that was signed for it, and reaches devices on the release', async () => {
  await create({ waves: [{ percent: 100, ...wave }] });
  const [device] = devices as [TestDevice];
  const { update } = await device.check();
  await device.report('r', update!.attempt, 'confirmed');
  Object.assign(device, { version: '2.0.0', digest, sequence: 7 });
  await expect(world.server.control.rollback('r')).rejects.toMatchObject({
    code: 'no-rollback-release',
  });
  const requires = { comparison: 'equal', version: '2.0.0' } as const;
  const back = release('1.0.0', 8, imageOf(4000, 5), { requires });
  await world.server.control.addRelease(back);
  expect((await world.server.control.rollback('r')).status).toBe('rolling-back');
  const answer = await device.check();
  expect(answer.update).toMatchObject({ version: '1.0.0' });
  expect((await devices[1]!.check()).update).toBeUndefined();
});

test('devices that would have to refuse the release are not offered it', async () => {
  await create({ waves: [{ percent: 100, ...wave }] });
  const [newer, other] = devices as [TestDevice, TestDevice];
  newer.sequence = 8;
  expect((await newer.check()).update).toBeUndefined();
  const { control } = world.server;
  await control.registerDevices([
    { id: 'same', class: Buffer.from(CLASS).toString('hex') },
    { id: 'else', class: 'ff'.repeat(16) },
  ]);
  expect(control.rolloutDevice('r', 'else')?.status).toBe('excluded');
  expect(control.rolloutDevice('r', 'same')?.status).toBe('pending');
  expect((await other.check()).update).toBeDefined();
});

test('only the groups and attributes of the target take part, late comers too', async () => {
  const { control } = world.server;
  await control.patchDevice('d1', { groups: ['lab'], attributes: { site: 'x' } });
  await create({ target: { groups: ['lab', 'office'], attributes: { site: 'x' } } });
  await control.registerDevices([
    { id: 'new', groups: ['office'], attributes: { site: 'x' } },
    { id: 'no', groups: ['office'] },
  ]);
  await control.patchDevice('d2', { groups: ['lab'], attributes: { site: 'x' } });
  expect(status().waves.reduce((sum, { size }) => sum + size, 0)).toBe(3);
});

test('of two rollouts the newer one is offered, but what was begun is carried on', async () => {
  await create({ waves: [{ percent: 100, ...wave }] });
  const [begun, fresh] = devices as [TestDevice, TestDevice];
  expect((await begun.check()).update!.rollout).toBe('r');
  world.nowMs += 1;
  await world.server.control.addRelease(release('2.1.0', 9, imageOf(4000, 9)));
  await create({ id: 'r2', release: '2.1.0', waves: [{ percent: 100, ...wave }] });
  expect((await begun.check()).update!.rollout).toBe('r');
  expect((await fresh.check()).update!.rollout).toBe('r2');
});

test('a trial is not disturbed by a newer rollout; one that we did not cause is none', async () => {
  await create({ waves: [{ percent: 100, ...wave }] });
  const [trying, fromFactory] = devices as [TestDevice, TestDevice];
  const { update } = await trying.check();
  await trying.report('r', update!.attempt, 'rebooting');
  for (const device of [trying, fromFactory]) Object.assign(device, { digest, version: '2.0.0' });
  world.nowMs += 1;
  await world.server.control.addRelease(release('2.1.0', 9, imageOf(4000, 9)));
  await create({ id: 'r2', release: '2.1.0', waves: [{ percent: 100, ...wave }] });
  expect((await trying.check()).update).toBeUndefined();
  expect((await fromFactory.check()).update!.rollout).toBe('r2');
  // Both rollouts hear of every check: this one confirms.
  trying.sequence = 7;
  expect((await trying.check()).update!.rollout).toBe('r2');
  expect(status().waves[0]!.confirmed).toBe(1);
});

test('a delta is made in the background, and offered to those that run its base', async () => {
  const base = imageOf(60_000, 3);
  const target = base.slice();
  target.fill(9, 30_000, 30_100);
  const { control } = world.server;
  await control.addRelease(release('3.0.0', 20, base));
  const next = await control.addRelease(release('3.1.0', 21, target));
  const made = await world.admin('POST', `/v1/releases/${next.id}/deltas/from/3.0.0`);
  expect(made.status).toBe(202);
  await expect.poll(() => next.deltas.length).toBe(1);
  expect(next.deltas[0]!.size).toBeLessThan(2000);
  await create({ id: 'd', release: '3.1.0', waves: [{ percent: 100, ...wave }] });
  const [device, other] = devices as [TestDevice, TestDevice];
  device.digest = createHash('sha256').update(base).digest();
  const [delta, whole] = (await device.check()).update!.sources;
  expect(Buffer.from(delta!.base!)).toEqual(device.digest);
  expect(whole!.base).toBeUndefined();
  const bytes = Buffer.from(await (await device.download(delta!.url)).arrayBuffer());
  expect([bytes.toString('latin1', 0, 4), bytes.length]).toEqual(['FDL1', delta!.size]);
  expect((await other.check()).update!.sources).toHaveLength(1);
});

test('a fleet registers fast, and every token is another', async () => {
  const count = 20_000;
  const list = Array.from({ length: count }, (_, index) => ({ id: `bulk-${index}` }));
  const registering = process.cpuUsage();
  const registered = await world.server.control.registerDevices(list);
  const cost = process.cpuUsage(registering);
  expect(new Set(registered.map(({ token }) => token)).size).toBe(count);
  const hashing = process.cpuUsage();
  for (const { token } of registered) createHash('sha256').update(token).digest();
  const least = process.cpuUsage(hashing);
  // Four times what its tokens' hashes cost, in CPU time, whatever else the machine does. A hash
  // for passwords would take thousands of them.
  expect(cost.user + cost.system).toBeLessThan(20 * (least.user + least.system));
});
