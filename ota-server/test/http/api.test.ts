// The HTTP API as a stranger, an operator and a device meet it.

import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { foreignKey, imageOf, release, type TestDevice, World } from '../server/harness.ts';

const world = new World();
const image = imageOf(5000, 5);
let devices: TestDevice[];
let url: string;

beforeAll(async () => {
  await world.start();
  devices = await world.devices(3);
  await world.server.control.addRelease(release('2.0.0', 5, image));
  const waves = [{ percent: 100 }];
  await world.server.control.createRollout({ id: 'r', release: '2.0.0', waves });
  const { update } = await devices[0]!.check();
  url = update!.sources[0]!.url;
});
afterAll(() => world.close());

describe('downloads', () => {
  test('ranges give what a slice gives, with the headers that say so', async () => {
    const whole = await devices[0]!.download(url);
    expect(whole.status).toBe(200);
    expect(whole.headers.get('accept-ranges')).toBe('bytes');
    const etag = whole.headers.get('etag')!;
    expect(etag).toMatch(/^"[0-9a-f]{64}\.bin"$/);
    expect(Buffer.from(await whole.arrayBuffer())).toEqual(Buffer.from(image));
    const ranges = [
      [0, 0],
      [0, 4999],
      [4999, 4999],
      [17, 2048],
      [4000, 9000],
    ] as const;
    for (const [first, last] of ranges) {
      const part = await devices[0]!.download(url, { range: `bytes=${first}-${last}` });
      const expected = Buffer.from(image.slice(first, last + 1));
      expect(part.status).toBe(206);
      const end = Math.min(last, 4999);
      expect(part.headers.get('content-range')).toBe(`bytes ${first}-${end}/5000`);
      expect(part.headers.get('content-length')).toBe(String(expected.length));
      expect(part.headers.get('etag')).toBe(etag);
      expect(Buffer.from(await part.arrayBuffer())).toEqual(expected);
    }
    const past = await devices[0]!.download(url, { range: 'bytes=5000-' });
    expect([past.status, past.headers.get('content-range')]).toEqual([416, 'bytes */5000']);
    const changed = { range: 'bytes=1-2', 'if-range': '"other"' };
    expect((await devices[0]!.download(url, changed)).status).toBe(200);
    const same = { range: 'bytes=1-2', 'if-range': etag };
    expect((await devices[0]!.download(url, same)).status).toBe(206);
    expect((await devices[0]!.download(url, { 'if-none-match': etag })).status).toBe(304);
  });

  test('every range of a small image', async () => {
    const tiny = Uint8Array.of(1, 2, 3, 4, 5);
    await world.server.control.addRelease(release('2.0.1', 6, tiny));
    const { name } = world.server.control.releases.get('2.0.1').images[0]!;
    const path = world.server.control.secrets.signedPath('d0', name, world.nowMs);
    const numbers = ['', ...Array.from({ length: 7 }, (_, index) => index)];
    for (const first of numbers) {
      for (const last of numbers) {
        const slice =
          first === ''
            ? last === 0
              ? []
              : [...tiny.slice(-Number(last))]
            : [...tiny.slice(Number(first), last === '' ? 5 : Number(last) + 1)];
        const isRange = first === '' ? last !== '' : last === '' || Number(last) >= Number(first);
        const response = await devices[0]!.download(path, { range: `bytes=${first}-${last}` });
        const bytes = [...new Uint8Array(await response.arrayBuffer())];
        const expected = !isRange ? [200, ...tiny] : slice.length > 0 ? [206, ...slice] : [416];
        const got = response.status === 416 ? [416] : [response.status, ...bytes];
        expect([first, last, ...got]).toEqual([first, last, ...expected]);
      }
    }
  });

  test('HEAD tells the size and sends nothing', async () => {
    const { headers } = devices[0]!;
    const response = await fetch(world.server.url + url, { method: 'HEAD', headers });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-length')).toBe('5000');
    expect((await response.arrayBuffer()).byteLength).toBe(0);
  });

  test('another device, altered parts and an hour later are refused with 403', async () => {
    const [first, second] = devices as [TestDevice, TestDevice];
    const { headers } = second;
    const stolen = await fetch(world.server.url + url, { headers });
    expect(stolen.status).toBe(401);
    const own = url.replace(`/${first.id}/`, `/${second.id}/`);
    expect((await second.download(own)).status).toBe(403);
    const other = url.replace(/[0-9a-f]{64}/, 'ab'.repeat(32));
    const later = url.replace(/expires=(\d+)/, (_, at) => `expires=${Number(at) + 1}`);
    const cut = url.slice(0, -1);
    const flipped = url.replace(
      /signature=(.)/,
      (_, mark) => `signature=${mark === 'A' ? 'B' : 'A'}`,
    );
    const doubled = `${url}&expires=9999999999`;
    const none = url.split('?')[0]!;
    for (const bad of [other, later, cut, flipped, doubled, none]) {
      const response = await first.download(bad);
      expect([bad, response.status]).toEqual([bad, 403]);
      expect(response.headers.get('content-type')).toContain('application/problem+json');
    }
    world.nowMs += 3_600_000;
    expect((await first.download(url)).status).toBe(403);
    world.nowMs -= 3_600_000;
    expect((await first.download(url)).status).toBe(200);
    expect((await fetch(world.server.url + url)).status).toBe(401);
  });

  test('a signed URL of what is not there is 404', async () => {
    const { secrets } = world.server.control;
    const path = secrets.signedPath('d0', `${'cd'.repeat(32)}.bin`, world.nowMs);
    expect((await devices[0]!.download(path)).status).toBe(404);
    const outside = secrets.signedPath('d0', '..%2F..%2Fadmin.key', world.nowMs);
    expect((await devices[0]!.download(outside)).status).not.toBe(200);
  });
});

describe('devices', () => {
  test('without their own token they get nothing', async () => {
    const [first, second] = devices as [TestDevice, TestDevice];
    const body = first.checkBody();
    const tokens = [undefined, '', 'x', second.token, world.server.adminKey!];
    for (const token of tokens) {
      const response = await fetch(`${world.server.url}/v1/devices/${first.id}/check`, {
        method: 'POST',
        headers: {
          'content-type': 'application/cbor',
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
        body: body.slice(),
      });
      expect(response.status).toBe(401);
      expect(response.headers.get('www-authenticate')).toBe('Bearer');
    }
  });

  test('hostile bodies are refused with what is wrong', async () => {
    const wrong = await devices[0]!.post('check', Uint8Array.of(0xa1, 0x61, 0x61));
    expect(wrong.status).toBe(400);
    const empty = await devices[0]!.post('report', Uint8Array.of(0xa0));
    const problem = (await empty.json()) as { status: number; errors: { path: string }[] };
    expect(problem.errors.map(({ path }) => path)).toEqual(['rollout', 'attempt', 'stage']);
    expect((await devices[0]!.post('check', new Uint8Array(5000))).status).toBe(413);
    const { headers } = devices[0]!;
    const json = { ...headers, 'content-type': 'application/json' };
    const at = `${world.server.url}/v1/devices/d0/check`;
    expect((await fetch(at, { method: 'POST', headers: json, body: '{}' })).status).toBe(415);
    expect((await fetch(at, { method: 'POST', headers })).status).toBe(415);
  });

  test('a renewed token ends the old one', async () => {
    const [device] = await world.devices(1, 'renewed');
    const { body } = await world.admin('POST', '/v1/devices/renewed0/token');
    expect((await device!.post('check', device!.checkBody())).status).toBe(401);
    device!.token = body.token;
    expect((await device!.post('check', device!.checkBody())).status).toBe(200);
  });
});

describe('operators', () => {
  test('without an admin key nothing is answered', async () => {
    const routes = [
      ['GET', '/v1/devices'],
      ['GET', '/v1/releases'],
      ['POST', '/v1/rollouts'],
      ['POST', '/v1/rollouts/r/abort'],
      ['GET', '/v1/reports'],
      ['POST', '/v1/releases'],
      ['PUT', '/v1/releases/x/image'],
    ] as const;
    for (const [method, path] of routes) {
      for (const key of ['wrong', devices[0]!.token, '']) {
        const { status, type } = await world.admin(method, path, undefined, key);
        expect([path, status]).toEqual([path, 401]);
        expect(type).toContain('application/problem+json');
      }
    }
  });

  test('a body with mistakes is answered with all of them', async () => {
    const { body, status } = await world.admin('POST', '/v1/rollouts', {
      release: '2.0.0',
      waves: [{ percent: 5 }, { percent: 0, failureRatioMax: 2 }],
      attemptsMax: 0,
      colour: 'red',
    });
    expect(status).toBe(400);
    const paths = body.errors.map(({ path }: { path: string }) => path);
    expect(paths).toEqual(['waves[1].percent', 'waves[1].failureRatioMax', 'attemptsMax', '']);
    expect(body.errors[0].message).toContain('got 0');
    expect(body).toMatchObject({ type: 'urn:flotilla:problem:invalid-fields', status: 400 });
    // And those that only the engine can see.
    const falling = [{ percent: 50 }, { percent: 20 }];
    const engine = await world.admin('POST', '/v1/rollouts', { release: '2.0.0', waves: falling });
    expect(engine.body.errors.map(({ path }: { path: string }) => path)).toContain(
      'waves[1].percent',
    );
    const devicesBody = { devices: [{ id: 'ok' }, { id: 'no/slash' }, { id: 'ok' }] };
    const registered = await world.admin('POST', '/v1/devices', devicesBody);
    expect(registered.body.errors).toHaveLength(2);
    expect(world.server.control.devices.find('ok')).toBeUndefined();
    const again = await world.admin('POST', '/v1/devices', { devices: [{ id: 'd0' }] });
    expect(again.status).toBe(409);
  });

  test('releases that no trusted key signed, altered ones and other images are refused', async () => {
    const good = release('3.0.0', 9, image);
    const foreign = release('3.0.0', 9, image, {}, foreignKey);
    const refused = await world.admin('POST', '/v1/releases', foreign.envelope);
    expect(refused).toMatchObject({ status: 422, body: { detail: expect.any(String) } });
    expect(refused.body.type).toBe('urn:flotilla:problem:untrusted-release');
    for (const at of [0, 1, 40, 100, good.envelope.length - 1]) {
      const altered = good.envelope.slice();
      altered[at] = altered[at]! ^ 1;
      expect((await world.admin('POST', '/v1/releases', altered)).status).toBe(422);
    }
    const cut = good.envelope.subarray(0, 100);
    expect((await world.admin('POST', '/v1/releases', cut)).status).toBe(422);
    const large = new Uint8Array(20_000);
    expect((await world.admin('POST', '/v1/releases', large)).status).toBe(413);
    const other = release('3.0.0', 9, imageOf(6000, 11));
    const { body } = await world.admin('POST', '/v1/releases', other.envelope);
    expect(body.ready).toBe(false);
    const at = `/v1/releases/${body.id}/image`;
    const altered = imageOf(6000, 11);
    altered[3000] = altered[3000]! ^ 1;
    expect((await world.admin('PUT', at, altered)).body.errors[0].path).toBe('image');
    expect((await world.admin('PUT', at, imageOf(6001, 11))).status).toBe(413);
    expect((await world.admin('PUT', at, imageOf(5999, 11))).status).toBe(422);
    const early = { release: body.id, waves: [{ percent: 100 }] };
    expect((await world.admin('POST', '/v1/rollouts', early)).status).toBe(409);
    expect((await world.admin('PUT', at, imageOf(6000, 11))).body.ready).toBe(true);
  });

  test('ids that a path would swallow are refused', async () => {
    for (const id of ['.', '..']) {
      const device = await world.admin('POST', '/v1/devices', { devices: [{ id }] });
      expect([device.status, device.body.errors[0].path]).toEqual([400, 'devices[0].id']);
      const rollout = await world.admin('POST', '/v1/rollouts', { id, release: '2.0.0' });
      expect([rollout.status, rollout.body.errors[0].path]).toEqual([400, 'id']);
    }
    const devices = [{ id: '...' }, { id: '.a' }];
    expect((await world.admin('POST', '/v1/devices', { devices })).status).toBe(201);
  });

  test.each(['%ff', 'a'.repeat(500)])(
    'what the router refuses is a problem, too: %s',
    async (id) => {
      const { body, status, type } = await world.admin('GET', `/v1/devices/${id}`);
      expect([type, body.status]).toEqual(['application/problem+json', status]);
    },
  );

  test('a delta that is asked for twice is made once', async () => {
    const { control } = world.server;
    const base = await control.addRelease(release('5.0.0', 20, imageOf(6000, 17)));
    const { id } = await control.addRelease(release('5.1.0', 21, imageOf(6000, 19)));
    const { releases } = control;
    const make = releases.makeDelta;
    let count = 0;
    releases.makeDelta = (...pair) => {
      count += 1;
      return make.apply(releases, pair);
    };
    const path = `/v1/releases/${id}/deltas/from/${base.id}`;
    const answers = await Promise.all([world.admin('POST', path), world.admin('POST', path)]);
    releases.makeDelta = make;
    expect([count, ...answers.map(({ status }) => status)]).toEqual([1, 202, 202]);
    await expect.poll(() => releases.get(id).deltas.length).toBe(1);
  });

  test('an upload that is cut leaves nothing, and the next one works', async () => {
    const content = imageOf(200_000, 13);
    const signed = release('4.0.0', 12, content);
    const { body } = await world.admin('POST', '/v1/releases', signed.envelope);
    const at = `${world.server.url}/v1/releases/${body.id}/image`;
    await new Promise<void>((resolve) => {
      const upload = request(at, {
        method: 'PUT',
        headers: {
          authorization: `Bearer ${world.server.adminKey}`,
          'content-type': 'application/octet-stream',
          'content-length': content.length,
        },
      });
      upload.on('error', () => resolve());
      upload.write(content.subarray(0, 100_000), () => setTimeout(() => upload.destroy(), 20));
    });
    expect(world.server.control.releases.get(body.id).ready).toBe(false);
    expect((await world.admin('PUT', `/v1/releases/${body.id}/image`, content)).status).toBe(200);
  });

  test('devices are listed page by page, by group, and changed', async () => {
    const list = Array.from({ length: 7 }, (_, index) => ({
      id: `p${index}`,
      groups: index % 2 === 0 ? ['even'] : [],
      vendor: '01010101-0101-0101-0101-010101010101',
    }));
    expect((await world.admin('POST', '/v1/devices', { devices: list })).status).toBe(201);
    const ids: string[] = [];
    for (let next: number | undefined = -1; next !== undefined; ) {
      const { body } = await world.admin('GET', `/v1/devices?group=even&limit=2&after=${next}`);
      ids.push(...body.devices.map(({ id }: { id: string }) => id));
      next = body.next;
    }
    expect(ids).toEqual(['p0', 'p2', 'p4', 'p6']);
    const patched = await world.admin('PATCH', '/v1/devices/p1', {
      groups: ['odd'],
      hardware: 'b',
    });
    expect(patched.body).toMatchObject({ groups: ['odd'], vendor: '01'.repeat(16), hardware: 'b' });
    expect((await world.admin('PATCH', '/v1/devices/none', {})).status).toBe(404);
    expect((await world.admin('GET', '/v1/devices?limit=0')).body.errors[0].path).toBe('limit');
  });

  test('the document, health and metrics are open', async () => {
    const document = (await (await fetch(`${world.server.url}/openapi.json`)).json()) as {
      openapi: string;
      paths: Record<string, Record<string, unknown>>;
    };
    expect(document.openapi).toBe('3.1.0');
    const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`),
    );
    expect(operations).toContain('post /v1/devices/{id}/check');
    expect(operations).toContain('get /v1/devices/{id}/blobs/{name}');
    expect(operations).toContain('post /v1/rollouts/{id}/rollback');
    expect(await (await fetch(`${world.server.url}/healthz`)).json()).toEqual({ status: 'ok' });
    const metrics = await (await fetch(`${world.server.url}/metrics`)).text();
    expect(metrics).toMatch(/^flotilla_ota_checks_total [1-9]\d*$/m);
    expect(metrics).toContain(
      'flotilla_ota_rollout_devices{rollout="r",wave="0",status="offered"} 2',
    );
    const nowhere = await fetch(`${world.server.url}/v2/nothing`);
    expect([nowhere.status, nowhere.headers.get('content-type')]).toEqual([
      404,
      'application/problem+json',
    ]);
  });

  test('nothing failed inside', () => expect(world.errors).toEqual([]));
});
