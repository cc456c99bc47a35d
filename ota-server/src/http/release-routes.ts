// Releases come in two steps: the envelope, which is verified at once, and then the image, as a
// stream of at most the size that was signed.

import type { Readable } from 'node:stream';
import { toHex } from '@flotilla/sdk/codec/bytes';
import { ENVELOPE_SIZE_MAX } from '@flotilla/sdk/ota/manifest';
import type { FastifyInstance } from 'fastify';
import type { Control } from '../control/control.ts';
import { IMAGE_SIZE_MAX, type StoredRelease } from '../control/releases.ts';
import { Problem } from '../problem.ts';
import { requireAdmin } from './bearer.ts';

const ENVELOPE_TYPES = ['application/suit-envelope+cose', 'application/cbor'];
const BYTES_TYPES = ['application/octet-stream', 'application/flotilla-delta'];

interface ReleaseParams {
  id: string;
}

export function releaseRoutes(app: FastifyInstance, control: Control): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    ENVELOPE_TYPES,
    { parseAs: 'buffer', bodyLimit: ENVELOPE_SIZE_MAX },
    (_request, body, done) => done(null, body),
  );
  // The stream itself: an image is never in memory as a whole.
  app.addContentTypeParser(BYTES_TYPES, (_request, payload, done) => done(null, payload));
  app.addHook('onRequest', async (request) => requireAdmin(control, request));
  const security = [{ admin: [] }];

  app.post(
    '/v1/releases',
    { schema: { description: 'A signed envelope', consumes: ENVELOPE_TYPES, security } },
    async (request, reply) => {
      if (!Buffer.isBuffer(request.body)) {
        throw new Problem(415, 'no-envelope', `expected a body of ${ENVELOPE_TYPES[0]}`);
      }
      const release = await control.releases.addEnvelope(request.body);
      return reply.code(201).header('location', `/v1/releases/${release.id}`).send(view(release));
    },
  );

  app.put<{ Params: ReleaseParams }>(
    '/v1/releases/:id/image',
    {
      bodyLimit: IMAGE_SIZE_MAX,
      schema: { description: 'The image that was signed', consumes: BYTES_TYPES, security },
    },
    async ({ body, params }) => {
      return view(await control.releases.addImage(params.id, streamOf(body)));
    },
  );

  app.post<{ Params: ReleaseParams }>(
    '/v1/releases/:id/deltas',
    {
      bodyLimit: IMAGE_SIZE_MAX,
      schema: { description: 'A delta file made elsewhere', consumes: BYTES_TYPES, security },
    },
    async ({ body, params }, reply) => {
      await control.releases.addDelta(params.id, streamOf(body));
      return reply.code(201).send(view(control.releases.get(params.id)));
    },
  );

  app.get(
    '/v1/releases',
    { schema: { description: 'All releases, the oldest first', security } },
    () => ({ releases: control.releases.all.map(view) }),
  );

  app.get<{ Params: ReleaseParams }>(
    '/v1/releases/:id',
    { schema: { description: 'By id, or by a version that one release has', security } },
    ({ params }) => view(control.releases.get(params.id)),
  );
}

function streamOf(body: unknown): AsyncIterable<Uint8Array> {
  if (typeof (body as Readable | undefined)?.pipe === 'function') {
    // Whoever stops reading early still has to be told why: the connection stays.
    const iterator = (body as Readable).iterator({ destroyOnReturn: false });
    return { [Symbol.asyncIterator]: () => iterator };
  }
  throw new Problem(415, 'no-bytes', `expected a body of ${BYTES_TYPES[0]}`);
}

/** A release for people: no envelope, digests in hex. */
export function view({
  createdMs,
  deltas,
  deltasInWork,
  id,
  images,
  ready,
  signed,
}: StoredRelease) {
  const { classId, expiresS, rollbackFrom, sequence, vendorId, version } = signed;
  return {
    id,
    version,
    sequence,
    ready,
    createdMs,
    vendor: toHex(vendorId),
    class: toHex(classId),
    expiresS,
    ...(rollbackFrom === undefined ? {} : { rollbackFrom }),
    images,
    deltas: deltas.map(({ base, name, size }) => ({ base: toHex(base), name, size })),
    deltasInWork: [...deltasInWork],
  };
}
