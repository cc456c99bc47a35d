// `authorization: Bearer …` (RFC 6750 §2.1).

import type { FastifyRequest } from 'fastify';
import type { Control } from '../control/control.ts';
import type { Device } from '../control/devices.ts';
import { Problem } from '../problem.ts';

const BEARER = /^Bearer +([A-Za-z0-9._~+/=-]{1,512}) *$/i;

/** Throws a Problem unless the request carries an admin key. */
export function requireAdmin(control: Control, request: FastifyRequest): void {
  const key = bearerOf(request);
  if (key === undefined || !control.secrets.isAdminKey(key)) {
    throw new Problem(401, 'no-admin-key', 'expected authorization: Bearer <admin key>');
  }
}

/** The device that the path names, when the request carries its token; throws a Problem. */
export function requireDevice(control: Control, request: FastifyRequest, id: string): Device {
  const token = bearerOf(request);
  const device = token === undefined ? undefined : control.devices.authenticate(id, token);
  if (device !== undefined) return device;
  // The same answer whether the device exists or not.
  throw new Problem(
    401,
    'no-device-token',
    'expected authorization: Bearer <token of this device>',
  );
}

function bearerOf(request: FastifyRequest): string | undefined {
  return BEARER.exec(request.headers.authorization ?? '')?.[1];
}
