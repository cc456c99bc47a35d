// The HTTP API: fastify around `control`. It authenticates, reads and writes; it decides nothing.

import swagger from '@fastify/swagger';
import fastify, { type FastifyError, type FastifyInstance, type FastifyReply } from 'fastify';
import { jsonSchemaTransform, serializerCompiler } from 'fastify-type-provider-zod';
import type { z } from 'zod';
import type { Control } from '../control/control.ts';
import { fieldProblem, invalidFields } from '../control/input.ts';
import { PROBLEM_TYPE, Problem, problemDocument } from '../problem.ts';
import type { Blobs } from '../store/blobs.ts';
import { adminRoutes } from './admin-routes.ts';
import { blobRoutes } from './blob-routes.ts';
import { deviceRoutes } from './device-routes.ts';
import { writeMetrics } from './metrics.ts';
import { releaseRoutes } from './release-routes.ts';

export interface HttpEdgeOptions {
  readonly control: Control;
  readonly blobs: Blobs;
  /** What lies behind answers of status 500. */
  onError(error: unknown): void;
}

/** Bytes of a JSON body: 10,000 registrations. */
const JSON_SIZE_MAX = 8 * 1024 * 1024;
/** Longest time that a request may take to arrive: a large image over a slow line. */
const REQUEST_MS_MAX = 600_000;
/** Device ids have up to 128 characters, percent-encoded up to three times as many. */
const PARAMETER_LENGTH_MAX = 400;

export class HttpEdge {
  private readonly app: FastifyInstance;

  constructor(options: HttpEdgeOptions) {
    const { control, onError } = options;
    this.app = fastify({
      bodyLimit: JSON_SIZE_MAX,
      requestTimeout: REQUEST_MS_MAX,
      // A download that is cut resumes elsewhere; waiting for a slow one could take for ever.
      forceCloseConnections: true,
      routerOptions: { maxParamLength: PARAMETER_LENGTH_MAX },
      // Of the router, before any route: they look like the other refusals.
      frameworkErrors: (error, _request, reply) => sendProblem(reply, asProblem(error)),
    });
    const { app } = this;
    app.setValidatorCompiler(({ schema }) => validatorOf(schema as unknown as z.ZodType));
    app.setSerializerCompiler(serializerCompiler);
    app.setErrorHandler((error, _request, reply) => {
      const problem = asProblem(error);
      if (problem.status >= 500) onError(error);
      return sendProblem(reply, problem);
    });
    app.setNotFoundHandler((request, reply) => {
      const detail = `nothing at ${request.method} ${request.url.split('?', 1)[0]}`;
      return sendProblem(reply, new Problem(404, 'no-route', detail));
    });
    app.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: { title: 'flotilla-ota', version: '1' },
        components: {
          securitySchemes: {
            admin: { type: 'http', scheme: 'bearer', description: 'An admin key' },
            device: { type: 'http', scheme: 'bearer', description: 'A device token' },
          },
        },
      },
      transform: jsonSchemaTransform,
    });
    // Each in a scope of its own: they read other content types, and other keys open them.
    const scopes: ((scope: FastifyInstance) => void)[] = [
      (scope) => adminRoutes(scope, control),
      (scope) => releaseRoutes(scope, control),
      (scope) => deviceRoutes(scope, options),
      (scope) => blobRoutes(scope, options),
      (scope) => openRoutes(scope, control),
    ];
    for (const addRoutes of scopes) {
      app.register((scope, _options, done) => {
        addRoutes(scope);
        done();
      });
    }
  }

  /** Resolves with the URL; rejects when the address cannot be had. */
  async listen(host: string, port: number): Promise<string> {
    await this.app.listen({ host, port });
    const address = this.app.server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;
    return `http://${name}:${address.port}`;
  }

  /** The OpenAPI document. */
  async openApi(): Promise<object> {
    await this.app.ready();
    return this.app.swagger();
  }

  async close(): Promise<void> {
    await this.app.close();
  }
}

/** For anybody: they tell nothing about devices or releases. */
function openRoutes(app: FastifyInstance, control: Control): void {
  app.get('/healthz', { schema: { description: 'Is it there?' } }, () => ({ status: 'ok' }));
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger());
  app.get('/metrics', { schema: { description: 'Prometheus text format' } }, (_, reply) =>
    reply.type('text/plain; version=0.0.4; charset=utf-8').send(writeMetrics(control)),
  );
}

function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer');
  // Without a serializer: a route's schema describes its answers, not its refusals.
  const body = JSON.stringify(problemDocument(problem));
  return reply
    .code(problem.status)
    .type(PROBLEM_TYPE)
    .serializer((text) => text as string)
    .send(body);
}

function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  const { code, message, statusCode = 500 } = error as FastifyError;
  if (statusCode < 500) {
    const name = (code ?? 'bad-request').toLowerCase().replace(/^fst_err_(ctp_)?/, '');
    return new Problem(statusCode, name.replaceAll('_', '-'), message);
  }
  return new Problem(500, 'internal', 'the server failed; its log says why');
}

/** Checks a part of a request against its schema; the refusal names every wrong field. */
function validatorOf(schema: z.ZodType): (value: unknown) => { value: unknown } | { error: Error } {
  return (value) => {
    const result = schema.safeParse(value, { reportInput: true });
    if (result.success) return { value: result.data };
    return { error: invalidFields(result.error.issues.map(fieldProblem)) };
  };
}
