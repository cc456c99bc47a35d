// Downloads: GET and HEAD of a blob with Range, by the signed URL of a check and the device's token.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Control } from '../control/control.ts';
import { BLOB_NAME } from '../device-api/index.ts';
import { Problem } from '../problem.ts';
import { requireDevice } from './bearer.ts';
import { isNotModified, mayServeRange, readRange } from './byte-range.ts';
import type { HttpEdgeOptions } from './http-edge.ts';

interface BlobRequest {
  Params: { id: string; name: string };
  Querystring: { expires?: string | string[]; signature?: string | string[] };
}

export function blobRoutes(app: FastifyInstance, options: HttpEdgeOptions): void {
  const security = [{ device: [] }];
  app.route<BlobRequest>({
    method: ['GET', 'HEAD'],
    url: '/v1/devices/:id/blobs/:name',
    exposeHeadRoute: false,
    schema: { description: 'An image or delta, by the URL of a check; Range', security },
    handler: async (request, reply) => {
      const { id, name } = request.params;
      requireDevice(options.control, request, id);
      const size = sizeOfBlob(options.control, request);
      return sendBlob(options, request, reply, name, size);
    },
  });
}

function sizeOfBlob(
  control: Control,
  { params: { id, name }, query }: FastifyRequest<BlobRequest>,
): number {
  const { expires, signature } = query;
  const isWhole = typeof expires === 'string' && typeof signature === 'string';
  const url = isWhole ? { id, name, expires, signature } : undefined;
  const refusal = url ? control.secrets.refuseUrl(url, control.nowMs()) : 'malformed';
  if (refusal !== undefined) {
    throw new Problem(403, `url-${refusal}`, `the URL is ${refusal}: check for a new one`);
  }
  const size = BLOB_NAME.test(name) ? control.releases.blobSize(name) : undefined;
  if (size === undefined) throw new Problem(404, 'no-blob', `no blob ${name}`);
  return size;
}

function sendBlob(
  { blobs, control }: HttpEdgeOptions,
  request: FastifyRequest<BlobRequest>,
  reply: FastifyReply,
  name: string,
  size: number,
): FastifyReply {
  const { headers, method } = request;
  // Strong: the name is the digest of the bytes.
  const etag = `"${name}"`;
  reply.headers({
    etag,
    'accept-ranges': 'bytes',
    // For this device alone, and the URL is a secret.
    'cache-control': 'private, no-transform',
  });
  if (isNotModified(headers['if-none-match'], etag)) return reply.code(304).send();
  // A range is defined for GET alone (RFC 9110 §14.2).
  const isRanged = method === 'GET' && mayServeRange(headers['if-range'] as string, etag);
  const range = isRanged ? readRange(headers.range, size) : 'whole';
  if (range === 'unsatisfiable') {
    reply.header('content-range', `bytes */${size}`);
    throw new Problem(416, 'range', `expected a range within ${size} bytes`);
  }
  const { end, start } = range === 'whole' ? { start: 0, end: size } : range;
  if (range !== 'whole') {
    reply.code(206).header('content-range', `bytes ${start}-${end - 1}/${size}`);
  }
  const type = name.endsWith('.delta') ? 'application/flotilla-delta' : 'application/octet-stream';
  reply.header('content-length', end - start).type(type);
  if (method === 'HEAD') return reply.send();
  control.counters.downloads += 1;
  control.counters.downloadBytes += end - start;
  return reply.send(blobs.read(name, start, end));
}
