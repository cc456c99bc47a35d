// What we write mqtt-packet reads, for every kind of packet and both versions. The other way is
// in codec-read.test.ts.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  Packet,
  type ProtocolVersion,
  PUBACK,
  PUBCOMP,
  PUBREC,
  PUBREL,
  type RetainHandling,
} from '../../src/mqtt/packet.ts';
import { readPacket } from '../../src/mqtt/read.ts';
import * as write from '../../src/mqtt/write.ts';
import { writeConnack, writeSuback, writeUnsuback } from '../../src/mqtt/write-server.ts';
import {
  binary,
  filter,
  length,
  list,
  maybe,
  oraclePairs,
  pairs,
  payload,
  qos,
  sorted,
  topic,
  u16,
  u32,
  words,
} from './arbitraries.ts';
import { oracleRead, VERSIONS } from './samples.ts';

const RUNS = { numRuns: 150 };
const OFFSET = 3;

/** Drops members that are undefined, and the user properties, which are compared as pairs. */
function plain(properties: unknown): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(properties ?? {})) {
    if (value === undefined || key === 'userProperties') continue;
    out[key] = value instanceof Uint8Array ? [...value] : value;
  }
  return out;
}

type Parsed = Record<string, unknown> & { properties?: Record<string, unknown> };

/** Writes with us, in the middle of a dirty buffer, and reads with mqtt-packet. */
function byOracle(
  version: ProtocolVersion,
  writer: (target: Uint8Array, offset: number) => number,
): Parsed {
  const target = new Uint8Array(2048).fill(0xaa);
  const end = writer(target, OFFSET);
  expect(end).toBeLessThanOrEqual(target.length);
  expect(target[end]).toBe(0xaa);
  const source = target.slice(OFFSET, end);
  const result = oracleRead(source, version);
  expect(result.error).toBe(undefined);
  // Our own reader must be content with what we write too.
  expect(readPacket(new Packet(), source, 0, source.length, version)).toBe(0);
  return result.packet as unknown as Parsed;
}

describe.each(VERSIONS)('version %i', (version) => {
  const v5 = version === 5;

  describe('we write, mqtt-packet reads', () => {
    const will = fc.record({ topic, payload, qos, retain: fc.boolean(), delayS: u32 });
    const connect = fc.record({
      clientId: words,
      cleanStart: fc.boolean(),
      keepAliveS: fc.nat(65535),
      username: maybe(words),
      password: maybe(binary),
      will: maybe(will),
      sessionExpiryS: u32,
      receiveMaximum: u16,
      maximumPacketSize: u32,
      topicAliasMaximum: fc.nat(65535),
      pairs,
    });

    test('CONNECT', () => {
      fc.assert(
        fc.property(connect, (fields) => {
          const all = { ...fields, userProperties: fields.pairs.flat() };
          const got = byOracle(version, (target, offset) =>
            write.writeConnect(target, offset, version, all),
          );
          expect(got.protocolVersion).toBe(version);
          expect(got.clientId).toBe(fields.clientId);
          expect(got.clean).toBe(fields.cleanStart);
          expect(got.keepalive).toBe(fields.keepAliveS);
          const alone = fields.password !== undefined && !v5 ? '' : undefined;
          expect(got.username).toBe(fields.username ?? alone);
          expect(got.password && [...(got.password as Buffer)]).toEqual(list(fields.password));
          const delayS = fields.will?.delayS || undefined;
          expect(plain(got.will)).toEqual(
            fields.will === undefined
              ? {}
              : {
                  topic: fields.will.topic,
                  payload: [...fields.will.payload],
                  qos: fields.will.qos,
                  retain: fields.will.retain,
                  ...(v5 && delayS ? { properties: { willDelayInterval: delayS } } : {}),
                },
          );
          expect(plain(got.properties)).toEqual(
            v5
              ? plain({
                  sessionExpiryInterval: fields.sessionExpiryS || undefined,
                  receiveMaximum:
                    fields.receiveMaximum === 65535 ? undefined : fields.receiveMaximum,
                  maximumPacketSize: fields.maximumPacketSize || undefined,
                  topicAliasMaximum: fields.topicAliasMaximum || undefined,
                })
              : {},
          );
          expect(oraclePairs(got.properties)).toEqual(v5 ? sorted(fields.pairs) : []);
        }),
        RUNS,
      );
    });

    const publish = fc.record({
      topic,
      payload,
      qos,
      retain: fc.boolean(),
      dup: fc.boolean(),
      packetId: u16,
      topicAlias: maybe(u16),
      messageExpiryS: maybe(u32),
      payloadIsUtf8: maybe(fc.boolean()),
      contentType: maybe(words),
      responseTopic: maybe(topic),
      correlation: maybe(binary),
      subscriptionId: maybe(length),
      pairs,
    });

    test('PUBLISH', () => {
      fc.assert(
        fc.property(publish, (fields) => {
          const all = { ...fields, userProperties: fields.pairs.flat() };
          const got = byOracle(version, (target, offset) =>
            write.writePublish(target, offset, version, all),
          );
          expect(plain(got)).toMatchObject({
            cmd: 'publish',
            topic: fields.topic,
            payload: [...fields.payload],
            qos: fields.qos,
            retain: fields.retain,
            dup: fields.dup && fields.qos > 0,
          });
          if (fields.qos > 0) expect(got.messageId).toBe(fields.packetId);
          expect(plain(got.properties)).toEqual(
            v5
              ? plain({
                  payloadFormatIndicator: fields.payloadIsUtf8 || undefined,
                  messageExpiryInterval: fields.messageExpiryS,
                  topicAlias: fields.topicAlias,
                  contentType: fields.contentType,
                  responseTopic: fields.responseTopic,
                  correlationData: fields.correlation,
                  subscriptionIdentifier: fields.subscriptionId,
                })
              : {},
          );
          expect(oraclePairs(got.properties)).toEqual(v5 ? sorted(fields.pairs) : []);
        }),
        RUNS,
      );
    });

    test.each([
      ['puback', PUBACK, 0x97],
      ['pubrec', PUBREC, 0x10],
      ['pubrel', PUBREL, 0x92],
      ['pubcomp', PUBCOMP, 0x92],
    ])('%s', (cmd, type, failure) => {
      fc.assert(
        fc.property(u16, fc.constantFrom(0, failure), (packetId, reasonCode) => {
          const got = byOracle(version, (target, offset) =>
            write.writeAck(target, offset, type, packetId, version, reasonCode),
          );
          expect(got).toMatchObject({ cmd, messageId: packetId });
          expect(got.reasonCode).toBe(v5 ? reasonCode : undefined);
        }),
        RUNS,
      );
    });

    const subscription = fc.record({
      filter,
      qos,
      noLocal: maybe(fc.boolean()),
      retainAsPublished: maybe(fc.boolean()),
      retainHandling: maybe(fc.constantFrom<RetainHandling>(0, 1, 2)),
    });
    const subscriptions = fc.array(subscription, { minLength: 1, maxLength: 4 });

    test('SUBSCRIBE', () => {
      fc.assert(
        fc.property(u16, subscriptions, maybe(length), (packetId, filters, subscriptionId) => {
          const got = byOracle(version, (target, offset) =>
            write.writeSubscribe(target, offset, version, packetId, filters, subscriptionId),
          );
          expect(got).toMatchObject({ cmd: 'subscribe', messageId: packetId });
          expect(got.subscriptions).toEqual(
            filters.map((one) => ({
              topic: one.filter,
              qos: one.qos,
              ...(v5
                ? {
                    nl: one.noLocal ?? false,
                    rap: one.retainAsPublished ?? false,
                    rh: one.retainHandling ?? 0,
                  }
                : {}),
            })),
          );
          const expected = v5 ? { subscriptionIdentifier: subscriptionId } : {};
          expect(plain(got.properties)).toEqual(plain(expected));
        }),
        RUNS,
      );
    });

    test('UNSUBSCRIBE', () => {
      const filters = fc.array(filter, { minLength: 1, maxLength: 4 });
      fc.assert(
        fc.property(u16, filters, (packetId, unsubscriptions) => {
          const got = byOracle(version, (target, offset) =>
            write.writeUnsubscribe(target, offset, version, packetId, unsubscriptions),
          );
          expect(got).toMatchObject({ cmd: 'unsubscribe', messageId: packetId, unsubscriptions });
        }),
        RUNS,
      );
    });

    test('PINGREQ, PINGRESP', () => {
      expect(byOracle(version, write.writePingreq).cmd).toBe('pingreq');
      expect(byOracle(version, write.writePingresp).cmd).toBe('pingresp');
    });

    test('DISCONNECT', () => {
      const code = fc.constantFrom(0, 4, 0x81, 0x82, 0x8e);
      fc.assert(
        fc.property(code, maybe(u32), maybe(words), (reasonCode, expiryS, reason) => {
          const got = byOracle(version, (target, offset) =>
            write.writeDisconnect(target, offset, version, reasonCode, expiryS, reason),
          );
          expect(got.cmd).toBe('disconnect');
          expect(got.reasonCode).toBe(v5 ? reasonCode : undefined);
          expect(plain(got.properties)).toEqual(
            v5 ? plain({ sessionExpiryInterval: expiryS, reasonString: reason }) : {},
          );
        }),
        RUNS,
      );
    });

    if (v5)
      test('AUTH', () => {
        const code = fc.constantFrom(0, 0x18, 0x19);
        fc.assert(
          fc.property(
            code,
            words,
            maybe(binary),
            maybe(words),
            (reasonCode, method, data, reason) => {
              const got = byOracle(version, (target, offset) =>
                write.writeAuth(target, offset, reasonCode, method, data, reason),
              );
              expect(got).toMatchObject({ cmd: 'auth', reasonCode });
              expect(plain(got.properties)).toEqual(
                plain({
                  authenticationMethod: method,
                  authenticationData: data,
                  reasonString: reason,
                }),
              );
            },
          ),
          RUNS,
        );
      });

    const limits = fc.record({
      sessionExpiryS: maybe(u32),
      receiveMaximum: maybe(u16),
      maximumQos: maybe(qos),
      retainAvailable: maybe(fc.boolean()),
      maximumPacketSize: maybe(fc.integer({ min: 1, max: 4294967295 })),
      assignedClientId: maybe(words),
      topicAliasMaximum: maybe(fc.nat(65535)),
      serverKeepAliveS: maybe(fc.nat(65535)),
      wildcardAvailable: maybe(fc.boolean()),
      sharedAvailable: maybe(fc.boolean()),
      subscriptionIdAvailable: maybe(fc.boolean()),
    });

    test('CONNACK', () => {
      const code = fc.constantFrom(0, v5 ? 0x87 : 5);
      fc.assert(
        fc.property(fc.boolean(), code, limits, (present, reasonCode, all) => {
          const got = byOracle(version, (target, offset) =>
            writeConnack(target, offset, version, present, reasonCode, all),
          );
          expect(got.cmd).toBe('connack');
          expect(got.sessionPresent).toBe(present && reasonCode === 0);
          expect(v5 ? got.reasonCode : got.returnCode).toBe(reasonCode);
          expect(plain(got.properties)).toEqual(
            v5
              ? plain({
                  sessionExpiryInterval: all.sessionExpiryS,
                  receiveMaximum: all.receiveMaximum,
                  maximumQoS: all.maximumQos === 2 ? undefined : all.maximumQos,
                  retainAvailable: all.retainAvailable,
                  maximumPacketSize: all.maximumPacketSize,
                  assignedClientIdentifier: all.assignedClientId,
                  topicAliasMaximum: all.topicAliasMaximum,
                  serverKeepAlive: all.serverKeepAliveS,
                  wildcardSubscriptionAvailable: all.wildcardAvailable,
                  subscriptionIdentifiersAvailable: all.subscriptionIdAvailable,
                  sharedSubscriptionAvailable: all.sharedAvailable,
                })
              : {},
          );
        }),
        RUNS,
      );
    });

    test('SUBACK, UNSUBACK', () => {
      const suback = fc.array(fc.constantFrom(0, 1, 2, 0x80), { minLength: 1, maxLength: 5 });
      const unsuback = fc.array(fc.constantFrom(0, 0x11, 0x87), { minLength: 1, maxLength: 5 });
      fc.assert(
        fc.property(u16, suback, unsuback, (packetId, granted, removed) => {
          expect(
            byOracle(version, (target, offset) =>
              writeSuback(target, offset, version, packetId, granted),
            ),
          ).toMatchObject({ cmd: 'suback', messageId: packetId, granted });
          const got = byOracle(version, (target, offset) =>
            writeUnsuback(target, offset, version, packetId, removed),
          );
          expect(got).toMatchObject({ cmd: 'unsuback', messageId: packetId });
          expect(got.granted).toEqual(v5 ? removed : undefined);
        }),
        RUNS,
      );
    });
  });
});
