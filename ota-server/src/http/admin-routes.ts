// What operators ask for about devices and rollouts, in JSON.

import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Control } from '../control/control.ts';
import type { Device } from '../control/devices.ts';
import { devicePatch, devicesInput, rolloutInput } from '../control/input.ts';
import { requireAdmin } from './bearer.ts';

const PAGE_COUNT_MAX = 1000;
const security = [{ admin: [] }];
const byId = z.object({ id: z.string() });
const pageQuery = z.object({
  after: z.coerce.number().int().min(-1).default(-1).describe('`next` of the page before'),
  limit: z.coerce.number().int().min(1).max(PAGE_COUNT_MAX).default(100),
  group: z.string().optional(),
});
const reportsQuery = z.object({
  device: z.string().optional(),
  limit: z.coerce.number().int().min(1).max(PAGE_COUNT_MAX).default(100),
});

export function adminRoutes(scope: FastifyInstance, control: Control): void {
  const app = typed(scope);
  app.addHook('onRequest', async (request) => requireAdmin(control, request));
  deviceManagement(app, control);
  rolloutManagement(app, control);
}

type App = ReturnType<typeof typed>;

function typed(scope: FastifyInstance) {
  return scope.withTypeProvider<ZodTypeProvider>();
}

function deviceManagement(app: App, control: Control): void {
  app.post(
    '/v1/devices',
    { schema: { description: 'Registers devices: all or none', body: devicesInput, security } },
    async (request, reply) => {
      const devices = await control.registerDevices(request.body.devices);
      return reply.code(201).send({ devices });
    },
  );

  app.get(
    '/v1/devices',
    { schema: { description: 'In order of registration', querystring: pageQuery, security } },
    ({ query: { after, group, limit } }) => {
      const { all } = control.devices;
      const page: Device[] = [];
      let position = after + 1;
      for (; position < all.length && page.length < limit; position += 1) {
        const device = all[position]!;
        if (group === undefined || device.properties.groups.includes(group)) page.push(device);
      }
      const isLast = position >= all.length;
      return { devices: page.map(deviceView), ...(isLast ? {} : { next: position - 1 }) };
    },
  );

  app.get(
    '/v1/devices/:id',
    { schema: { description: 'What it is, and when it was seen last', params: byId, security } },
    ({ params }) => deviceView(control.device(params.id)),
  );

  app.patch(
    '/v1/devices/:id',
    {
      schema: {
        description: 'Replaces the properties that are named',
        params: byId,
        body: devicePatch,
        security,
      },
    },
    async ({ body, params }) => deviceView(await control.patchDevice(params.id, body)),
  );

  app.post(
    '/v1/devices/:id/token',
    { schema: { description: 'A new token; the old one ends', params: byId, security } },
    async ({ params }) => control.renewToken(params.id),
  );

  app.get(
    '/v1/reports',
    { schema: { description: 'The newest first', querystring: reportsQuery, security } },
    async ({ query }) => {
      const rows = await control.reports(query.limit, query.device);
      return {
        reports: rows.map(({ at_ms, counted, device, report }) => ({
          atMs: at_ms,
          device,
          counted: counted === 1,
          ...JSON.parse(report),
        })),
      };
    },
  );
}

function rolloutManagement(app: App, control: Control): void {
  app.post(
    '/v1/rollouts',
    { schema: { description: 'Creates, and by default starts', body: rolloutInput, security } },
    async (request, reply) => {
      const view = await control.createRollout(request.body);
      return reply.code(201).header('location', `/v1/rollouts/${view.rollout}`).send(view);
    },
  );

  app.get('/v1/rollouts', { schema: { description: 'All rollouts', security } }, () => ({
    rollouts: control.rolloutIds().map((id) => {
      const { createdMs, release, rollout, status, version, wave, waves } =
        control.rolloutStatus(id);
      return { rollout, release, version, status, wave, waveCount: waves.length, createdMs };
    }),
  }));

  app.get(
    '/v1/rollouts/:id',
    { schema: { description: 'Live counts per wave and stage', params: byId, security } },
    ({ params }) => control.rolloutStatus(params.id),
  );

  app.get(
    '/v1/rollouts/:id/devices/:device',
    {
      schema: {
        description: 'How one device stands in it',
        params: z.object({ id: z.string(), device: z.string() }),
        security,
      },
    },
    ({ params }) => control.rolloutDevice(params.id, params.device) ?? { status: 'excluded' },
  );

  for (const type of ['start', 'approve', 'pause', 'resume', 'abort'] as const) {
    app.post(
      `/v1/rollouts/:id/${type}`,
      { schema: { description: `Operator: ${type}`, params: byId, security } },
      async ({ params }) => control.operate(params.id, { type }),
    );
  }

  app.post(
    '/v1/rollouts/:id/rollback',
    {
      schema: {
        description: 'Takes devices back by a signed rollback release',
        params: byId,
        body: z.strictObject({ rollbackRelease: z.string().optional() }).nullish(),
        security,
      },
    },
    async ({ body, params }) => control.rollback(params.id, body?.rollbackRelease),
  );

  app.post(
    '/v1/rollouts/:id/retry',
    {
      schema: {
        description: 'Lets failed devices, or one of them, try again',
        params: byId,
        body: z.strictObject({ device: z.string().optional() }).nullish(),
        security,
      },
    },
    async ({ body, params }) => control.retry(params.id, body?.device),
  );

  app.post(
    '/v1/releases/:id/deltas/from/:base',
    {
      schema: {
        description: 'Makes the delta from an earlier release in the background; watch the release',
        params: z.object({ id: z.string(), base: z.string() }),
        security,
      },
    },
    async ({ params }, reply) => {
      const release = control.releases.get(params.id);
      control.startDelta(release.id, params.base);
      return reply.code(202).header('location', `/v1/releases/${release.id}`).send();
    },
  );
}

function deviceView({ id, properties, seen }: Device) {
  return { id, ...properties, ...(seen === undefined ? {} : { seen }) };
}
