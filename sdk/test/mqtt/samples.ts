// Packets for the codec's tests: raw bytes with the Remaining Length worked out, and one rich
// packet of every kind from mqtt-packet, the oracle.

import { generate, type Packet as OraclePacket, type Parser, parser } from 'mqtt-packet';
import type { ProtocolVersion } from '../../src/mqtt/packet.ts';

export const VERSIONS: readonly ProtocolVersion[] = [4, 5];

/** Bytes of parts in turn: strings are raw ASCII, arrays and views are taken as they are. */
export function bytes(...parts: (number | string | readonly number[] | Uint8Array)[]): number[] {
  const out: number[] = [];
  for (const part of parts) {
    if (typeof part === 'number') out.push(part);
    else if (typeof part === 'string') out.push(...Buffer.from(part, 'latin1'));
    else out.push(...part);
  }
  return out;
}

/** A variable byte integer, by the algorithm of MQTT 3.1.1 §2.2.3. */
export function variable(value: number): number[] {
  const out: number[] = [];
  let rest = value;
  do {
    let digit = rest % 128;
    rest = Math.floor(rest / 128);
    if (rest > 0) digit += 128;
    out.push(digit);
  } while (rest > 0);
  return out;
}

/** A length-prefixed string or binary field. */
export function field(content: string | readonly number[] | Uint8Array): number[] {
  const body = typeof content === 'string' ? [...Buffer.from(content)] : [...content];
  return [body.length >> 8, body.length & 255, ...body];
}

/** A property field: the length and then the properties. */
export function properties(...parts: (number | string | readonly number[])[]): number[] {
  const body = bytes(...parts);
  return [...variable(body.length), ...body];
}

/** A whole packet: the first byte, the Remaining Length, the parts. */
export function frame(first: number, ...parts: (number | string | readonly number[])[]) {
  const body = bytes(...parts);
  return Uint8Array.from([first, ...variable(body.length), ...body]);
}

/** source[start, end) as a string, by Node. */
export function text(source: Uint8Array, start: number, end: number): string {
  return Buffer.from(source.subarray(start, end)).toString();
}

export type OracleResult = { packet?: OraclePacket & Record<string, unknown>; error?: string };

/** What mqtt-packet makes of one packet. */
export function oracleRead(source: Uint8Array, version: ProtocolVersion): OracleResult {
  const result: OracleResult = {};
  const oracle: Parser = parser({ protocolVersion: version });
  oracle.on('packet', (packet) => {
    result.packet = packet as OracleResult['packet'];
  });
  oracle.on('error', (error: Error) => {
    result.error = error.message;
  });
  try {
    oracle.parse(Buffer.from(source));
  } catch (error) {
    // It reads past its buffer on some malformed packets.
    result.error = (error as Error).message;
  }
  return result;
}

export function oracleWrite(packet: unknown, version: ProtocolVersion): Uint8Array {
  return new Uint8Array(generate(packet as OraclePacket, { protocolVersion: version }));
}

/** Every bytes-like property that MQTT 5 gives a place, so that no reader goes untested. */
const WILL_PROPERTIES = {
  payloadFormatIndicator: true,
  messageExpiryInterval: 3_000_000_000,
  contentType: 'text/plain',
  responseTopic: 'reply/to',
  correlationData: Buffer.from([1, 0, 255]),
  userProperties: { site: 'Graz', größe: '€' },
};
const REASON = { reasonString: 'because', userProperties: { a: 'b' } };

/** One packet of every kind of `version`, with everything on it that the kind can carry. */
export function samples(version: ProtocolVersion): readonly { name: string; bytes: Uint8Array }[] {
  const v5 = version === 5;
  const code = v5 ? { reasonCode: 0x80 } : {};
  const only5 = (props: object) => (v5 ? { properties: props } : {});
  const packets: Record<string, object> = {
    connect: {
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: version,
      clean: true,
      clientId: 'device-7',
      keepalive: 300,
      username: 'user',
      password: Buffer.from([0, 1, 2]),
      will: {
        topic: 'devices/7/status',
        payload: Buffer.from('offline'),
        qos: 1,
        retain: true,
        ...only5({ willDelayInterval: 30, ...WILL_PROPERTIES }),
      },
      ...only5({
        sessionExpiryInterval: 4294967295,
        receiveMaximum: 20,
        maximumPacketSize: 1024,
        topicAliasMaximum: 4,
        requestResponseInformation: true,
        requestProblemInformation: false,
        userProperties: { one: '1', two: '2' },
        authenticationMethod: 'SCRAM',
        authenticationData: Buffer.from([9, 9]),
      }),
    },
    connack: {
      cmd: 'connack',
      sessionPresent: true,
      returnCode: 0,
      reasonCode: 0,
      ...only5({
        sessionExpiryInterval: 60,
        receiveMaximum: 10,
        maximumQoS: 1,
        retainAvailable: false,
        maximumPacketSize: 2048,
        assignedClientIdentifier: 'auto-1',
        topicAliasMaximum: 8,
        ...REASON,
        wildcardSubscriptionAvailable: false,
        subscriptionIdentifiersAvailable: false,
        sharedSubscriptionAvailable: false,
        serverKeepAlive: 120,
        responseInformation: 'info',
        serverReference: 'other:1883',
        authenticationMethod: 'SCRAM',
        authenticationData: Buffer.from([7]),
      }),
    },
    publish: {
      cmd: 'publish',
      topic: 'devices/ä/telemetry',
      payload: Buffer.from([1, 2, 3, 4]),
      qos: 1,
      dup: true,
      retain: true,
      messageId: 513,
      ...only5({ ...WILL_PROPERTIES, topicAlias: 3, subscriptionIdentifier: [128, 7] }),
    },
    subscribe: {
      cmd: 'subscribe',
      messageId: 10,
      subscriptions: [
        { topic: 'a/+/c', qos: 1, nl: true, rap: true, rh: 2 },
        { topic: '#', qos: 2, nl: false, rap: false, rh: 1 },
      ],
      ...only5({ subscriptionIdentifier: 268435455, userProperties: { a: 'b' } }),
    },
    suback: { cmd: 'suback', messageId: 10, granted: [0, 1, 2, 128], ...only5(REASON) },
    unsubscribe: {
      cmd: 'unsubscribe',
      messageId: 11,
      unsubscriptions: ['a/+/c', '#'],
      ...only5({ userProperties: { a: 'b' } }),
    },
    unsuback: { cmd: 'unsuback', messageId: 11, granted: [0, 17], ...only5(REASON) },
    pingreq: { cmd: 'pingreq' },
    pingresp: { cmd: 'pingresp' },
    disconnect: {
      cmd: 'disconnect',
      ...code,
      ...only5({ ...REASON, sessionExpiryInterval: 5, serverReference: 'other' }),
    },
  };
  for (const cmd of ['puback', 'pubrec', 'pubrel', 'pubcomp']) {
    const reasonCode = cmd === 'pubrel' || cmd === 'pubcomp' ? 0x92 : 0x80;
    packets[cmd] = { cmd, messageId: 65535, ...(v5 ? { reasonCode } : {}), ...only5(REASON) };
  }
  if (v5) {
    packets.auth = {
      cmd: 'auth',
      reasonCode: 24,
      properties: {
        authenticationMethod: 'SCRAM',
        authenticationData: Buffer.from([1]),
        ...REASON,
      },
    };
  }
  return Object.entries(packets).map(([name, packet]) => ({
    name: `${name} v${version}`,
    bytes: oracleWrite(packet, version),
  }));
}
