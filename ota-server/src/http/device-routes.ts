// What devices ask for: check and report. Bodies are CBOR.

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { REQUEST_SIZE_MAX } from '../device-api/index.ts';
import { Problem } from '../problem.ts';
import { requireDevice } from './bearer.ts';
import type { HttpEdgeOptions } from './http-edge.ts';

const CBOR = 'application/cbor';

interface DeviceParams {
  id: string;
}

export function deviceRoutes(app: FastifyInstance, { control }: HttpEdgeOptions): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    CBOR,
    { parseAs: 'buffer', bodyLimit: REQUEST_SIZE_MAX },
    (_request, body, done) => done(null, body),
  );
  const security = [{ device: [] }];
  const bodyOf = ({ body }: FastifyRequest): Uint8Array => {
    if (Buffer.isBuffer(body)) return body;
    throw new Problem(415, 'no-cbor', `expected a body of ${CBOR}`);
  };

  app.post<{ Params: DeviceParams }>(
    '/v1/devices/:id/check',
    { schema: { description: 'Is there an update? CBOR both ways', consumes: [CBOR], security } },
    async (request, reply) => {
      const device = requireDevice(control, request, request.params.id);
      const answer = await control.check(device, bodyOf(request));
      return reply.type(CBOR).send(Buffer.from(answer.buffer, answer.byteOffset, answer.length));
    },
  );

  app.post<{ Params: DeviceParams }>(
    '/v1/devices/:id/report',
    { schema: { description: 'How far an update has come; CBOR', consumes: [CBOR], security } },
    async (request, reply) => {
      const device = requireDevice(control, request, request.params.id);
      await control.report(device, bodyOf(request));
      return reply.code(204).send();
    },
  );
}
