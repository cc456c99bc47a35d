// How large the packets of a run can be: what its threads need to send them, and its observer to
// take them. The bound of a message is the SDK's, 1 MB; here is what MQTT adds.

import { PAYLOAD_SIZE_MAX, RECORD_HEADER_SIZE } from '@flotilla/sdk';
import type { Broker, Scenario } from './schema.ts';

/**
 * Beyond the payload, at most: fixed header 5, topic 2 + 673 (a template of 200 characters in
 * UTF-8, id 64, name 9), packet id 2, properties 4.
 */
const OVERHEAD_SIZE_MAX = 1024;
/** Beyond user name and password, at most: CONNECT with its client id and will. */
const CONNECT_OVERHEAD_SIZE_MAX = 2048;
const SENT_SIZE_MIN = 4096;

/** Largest packet that observers and subscribers take. */
export const TAKEN_SIZE_MAX = PAYLOAD_SIZE_MAX + OVERHEAD_SIZE_MAX;

/** What a message of `payloadSize` bytes takes of its device's buffer. */
export function recordSize(payloadSize: number): number {
  return RECORD_HEADER_SIZE + payloadSize;
}

type Credentials = Pick<Broker, 'username' | 'password'>;

/** Largest CONNECT to a broker. */
export function connectSizeMax({ password = '', username = '' }: Credentials): number {
  return CONNECT_OVERHEAD_SIZE_MAX + Buffer.byteLength(username) + Buffer.byteLength(password);
}

/** Largest packet that a device sends: whatever its buffer can hold, and its CONNECT. */
export function sentSizeMax({ fleets }: Scenario, credentials: Credentials): number {
  const payloads = fleets.map(({ bufferSize }) => Math.min(bufferSize, PAYLOAD_SIZE_MAX));
  const published = Math.max(...payloads) + OVERHEAD_SIZE_MAX;
  return Math.max(SENT_SIZE_MIN, published, connectSizeMax(credentials));
}
