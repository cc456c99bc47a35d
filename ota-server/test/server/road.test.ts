// The whole way of an update over HTTP, as operators and devices walk it.

import { createHash } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { imageOf, release, TestDevice, World } from './harness.ts';

const world = new World();
afterEach(() => world.close());

test('a device registers, is offered a signed release, downloads, reports, and the wave advances', async () => {
  await world.start();
  const image = imageOf(10_000, 7);
  const signed = release('1.1.0', 2, image);
  const registered = await world.admin('POST', '/v1/devices', {
    devices: [{ id: 'd1', groups: ['lab'], hardware: 'rev-b' }, { id: 'd2' }],
  });
  expect(registered.status).toBe(201);
  const added = await world.admin('POST', '/v1/releases', signed.envelope);
  expect(added).toMatchObject({ status: 201, body: { version: '1.1.0', ready: false } });
  const { id } = added.body;
  const uploaded = await world.admin('PUT', `/v1/releases/${id}/image`, image);
  expect(uploaded).toMatchObject({ status: 200, body: { ready: true } });
  const created = await world.admin('POST', '/v1/rollouts', {
    id: 'r1',
    release: '1.1.0',
    waves: [
      { percent: 50, soakMs: 5000, sampleMin: 1 },
      { percent: 100, soakMs: 5000 },
    ],
  });
  expect(created).toMatchObject({ status: 201, body: { status: 'running', wave: 0 } });

  const devices = registered.body.devices.map(
    (device: { id: string; token: string }) => new TestDevice(world, device.id, device.token),
  ) as TestDevice[];
  world.advance(1000);
  // Whichever is the canary; sizes of waves are by hash, so the first can be of 0, 1 or 2.
  for (let round = 0; round < 4; round += 1) {
    for (const device of devices) {
      const answer = await device.check();
      expect(answer.nowMs).toBe(world.nowMs);
      if (answer.update === undefined) continue;
      expect(answer.update).toMatchObject({ rollout: 'r1', attempt: 1, version: '1.1.0' });
      expect(Buffer.from(answer.update.envelope)).toEqual(Buffer.from(signed.envelope));
      const [source] = answer.update.sources;
      const [first, rest] = await Promise.all([
        device.download(source!.url, { range: 'bytes=0-4095' }),
        device.download(source!.url, { range: 'bytes=4096-' }),
      ]);
      expect([first.status, rest.status]).toEqual([206, 206]);
      expect(rest.headers.get('content-range')).toBe('bytes 4096-9999/10000');
      const bytes = Buffer.concat([
        Buffer.from(await first.arrayBuffer()),
        Buffer.from(await rest.arrayBuffer()),
      ]);
      expect(bytes).toEqual(Buffer.from(image));
      for (const stage of ['downloading', 'staged', 'trial', 'confirmed'] as const) {
        expect(await device.report('r1', 1, stage)).toBe(204);
      }
      device.digest = createHash('sha256').update(image).digest();
      device.sequence = 2;
      device.version = '1.1.0';
    }
    world.advance(6000);
  }
  const { body } = await world.admin('GET', '/v1/rollouts/r1');
  expect(body.status).toBe('completed');
  const confirmed = body.waves.map((wave: { confirmed: number }) => wave.confirmed);
  expect(confirmed[0] + confirmed[1]).toBe(2);
  expect(world.errors).toEqual([]);
});
