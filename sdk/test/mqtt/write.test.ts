import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type ConnectFields,
  type ProtocolVersion,
  PUBACK,
  PUBCOMP,
  PUBREC,
  PUBREL,
  type PublishFields,
  type Qos,
} from '../../src/mqtt/packet.ts';
import * as write from '../../src/mqtt/write.ts';
import { writeConnack, writeSuback, writeUnsuback } from '../../src/mqtt/write-server.ts';
import { bytes, field, properties, VERSIONS, variable } from './samples.ts';

type Writer = (target: Uint8Array, offset: number) => number;

/** The bytes that a writer writes. */
function written(writer: Writer): Uint8Array {
  const target = new Uint8Array(70_000);
  return target.slice(0, writer(target, 0));
}

const CONNECT_FIELDS: ConnectFields = {
  clientId: 'device-ä',
  cleanStart: true,
  keepAliveS: 300,
  username: 'user',
  password: Uint8Array.of(1, 2, 3),
  will: { topic: 'w', payload: Uint8Array.of(9), qos: 2, retain: true, delayS: 30 },
  sessionExpiryS: 4294967295,
  receiveMaximum: 20,
  maximumPacketSize: 1024,
  topicAliasMaximum: 5,
  userProperties: ['n', 'v'],
};
const PUBLISH_FIELDS: PublishFields = {
  topic: 'a/b',
  payload: Uint8Array.of(7, 8),
  qos: 1,
  retain: true,
  dup: true,
  packetId: 258,
  topicAlias: 3,
  messageExpiryS: 60,
  payloadIsUtf8: true,
  contentType: 'c',
  responseTopic: 'r',
  correlation: Uint8Array.of(5),
  userProperties: ['n', 'v', 'n', 'w'],
  subscriptionId: 128,
};
const LIMITS = {
  sessionExpiryS: 60,
  receiveMaximum: 10,
  maximumQos: 1,
  retainAvailable: false,
  maximumPacketSize: 2048,
  assignedClientId: 'auto',
  topicAliasMaximum: 8,
  serverKeepAliveS: 120,
  wildcardAvailable: true,
  sharedAvailable: false,
  subscriptionIdAvailable: false,
} as const;
const FILTERS = [
  { filter: 'a/b', qos: 1 },
  { filter: 'c/d', qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 2 },
] as const;
const NO_LIMITS = {};

/** Every packet writer, with everything that it can say. */
function writers(version: ProtocolVersion): [name: string, writer: Writer][] {
  const acks = [PUBACK, PUBREC, PUBREL, PUBCOMP].map((type): [string, Writer] => [
    `ack ${type}`,
    (target, offset) => write.writeAck(target, offset, type, 9, version, 0x92),
  ]);
  const v = version;
  return [
    ['connect', (target, offset) => write.writeConnect(target, offset, v, CONNECT_FIELDS)],
    ['publish', (target, offset) => write.writePublish(target, offset, v, PUBLISH_FIELDS)],
    ...acks,
    ['subscribe', (target, offset) => write.writeSubscribe(target, offset, v, 9, FILTERS, 7)],
    ['unsubscribe', (target, offset) => write.writeUnsubscribe(target, offset, v, 9, ['a', 'b'])],
    ['pingreq', (target, offset) => write.writePingreq(target, offset)],
    ['pingresp', (target, offset) => write.writePingresp(target, offset)],
    ['disconnect', (target, offset) => write.writeDisconnect(target, offset, v, 4, 60, 'why')],
    ['disconnect, reason only', (target, offset) => write.writeDisconnect(target, offset, v, 4)],
    ['auth', (target, offset) => write.writeAuth(target, offset, 24, 'm', Uint8Array.of(1), 'w')],
    ['connack', (target, offset) => writeConnack(target, offset, v, true, 0, LIMITS)],
    ['suback', (target, offset) => writeSuback(target, offset, v, 9, [0, 1, 2, 128])],
    ['unsuback', (target, offset) => writeUnsuback(target, offset, v, 9, Uint8Array.of(0, 17))],
  ];
}

describe('Remaining Length', () => {
  // MQTT 3.1.1 Table 2.4, MQTT 5 Table 1-1.
  test.each([
    [0, 1],
    [127, 1],
    [128, 2],
    [16383, 2],
    [16384, 3],
    [2097151, 3],
    [2097152, 4],
    [268435455, 4],
    [268435456, Number.POSITIVE_INFINITY],
  ])('%i takes %d bytes', (length, size) => {
    expect(write.remainingLengthSize(length)).toBe(size);
  });

  test.each([127, 128, 16383, 16384, 2097151, 2097152, 268435455])('%i in a PUBLISH', (length) => {
    const target = new Uint8Array(16);
    const payloadSize = length - 3;
    const end = write.writePublishHead(target, 0, 4, 0, 1, 0, payloadSize, 0);
    expect([...target.subarray(0, end)]).toEqual([0x30, ...variable(length), 0, 1]);
    expect(write.publishSize(4, 1, 0, payloadSize, 0)).toBe(1 + variable(length).length + length);
    expect(write.publishSize(4, 1, 0, 268435456, 0)).toBe(Number.POSITIVE_INFINITY);
  });

  test.each([127, 128, 16383, 16384])('%i in a whole packet and its properties', (size) => {
    const contentType = 'x'.repeat(size - 3);
    const fields = { ...PUBLISH_FIELDS, payload: new Uint8Array(size), contentType };
    const packet = written((target, offset) => write.writePublish(target, offset, 5, fields));
    expect(packet.subarray(packet.length - size)).toEqual(fields.payload);
    const rest = packet.length - 1 - variable(packet.length).length;
    expect([...packet.subarray(1, 1 + variable(rest).length)]).toEqual(variable(rest));
  });
});

describe('bytes', () => {
  test('of CONNECT, 3.1.1 (figures 3.2-3.6, §3.1.3)', () => {
    const packet = written((target, offset) =>
      write.writeConnect(target, offset, 4, { ...CONNECT_FIELDS, clientId: 'id' }),
    );
    const body = bytes(
      [0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 0xf6, 1, 44],
      field('id'),
      field('w'),
      field([9]),
      field('user'),
      field([1, 2, 3]),
    );
    expect([...packet]).toEqual([0x10, body.length, ...body]);
  });

  test('of CONNECT, 5: properties in the order of their identifiers', () => {
    const packet = written((target, offset) =>
      write.writeConnect(target, offset, 5, { ...CONNECT_FIELDS, clientId: 'id' }),
    );
    const body = bytes(
      [0, 4, 0x4d, 0x51, 0x54, 0x54, 5, 0xf6, 1, 44],
      properties(
        [0x11, 255, 255, 255, 255],
        [0x21, 0, 20],
        [0x22, 0, 5],
        [0x26, 0, 1, 0x6e, 0, 1, 0x76],
        [0x27, 0, 0, 4, 0],
      ),
      field('id'),
      properties([0x18, 0, 0, 0, 30]),
      field('w'),
      field([9]),
      field('user'),
      field([1, 2, 3]),
    );
    expect([...packet]).toEqual([0x10, body.length, ...body]);
  });

  test('of CONNECT: defaults are not sent', () => {
    const fields = {
      clientId: '',
      cleanStart: false,
      keepAliveS: 0,
      sessionExpiryS: 0,
      receiveMaximum: 65535,
      maximumPacketSize: 0,
    };
    const packet = written((target, offset) => write.writeConnect(target, offset, 5, fields));
    expect([...packet]).toEqual([0x10, 13, 0, 4, 0x4d, 0x51, 0x54, 0x54, 5, 0, 0, 0, 0, 0, 0]);
  });

  test('of CONNECT: 3.1.1 has no password without a user name ([MQTT-3.1.2-22])', () => {
    const fields = { ...CONNECT_FIELDS, username: undefined, will: undefined, clientId: 'i' };
    const four = written((target, offset) => write.writeConnect(target, offset, 4, fields));
    expect([...four.subarray(9)]).toEqual([0xc2, 1, 44, 0, 1, 0x69, 0, 0, 0, 3, 1, 2, 3]);
    const five = written((target, offset) => write.writeConnect(target, offset, 5, fields));
    expect(five[9]).toBe(0x42);
  });

  test('of PUBLISH, 5', () => {
    const packet = written((target, offset) =>
      write.writePublish(target, offset, 5, PUBLISH_FIELDS),
    );
    const body = bytes(
      field('a/b'),
      [1, 2],
      properties(
        [0x01, 1],
        [0x02, 0, 0, 0, 60],
        [0x03, 0, 1, 0x63],
        [0x08, 0, 1, 0x72],
        [0x09, 0, 1, 5],
        [0x0b, 0x80, 0x01],
        [0x23, 0, 3],
        [0x26, 0, 1, 0x6e, 0, 1, 0x76],
        [0x26, 0, 1, 0x6e, 0, 1, 0x77],
      ),
      [7, 8],
    );
    expect([...packet]).toEqual([0x3b, body.length, ...body]);
  });

  test('of PUBLISH: DUP is not sent at QoS 0 ([MQTT-3.3.1-2]), nor a packet id', () => {
    const fields = { ...PUBLISH_FIELDS, qos: 0, packetId: 0 } as const;
    const packet = written((target, offset) => write.writePublish(target, offset, 4, fields));
    expect([...packet]).toEqual([0x31, 7, ...field('a/b'), 7, 8]);
  });

  // The non-normative example of SUBSCRIBE in both standards (§3.8.3).
  test('of SUBSCRIBE', () => {
    const four = written((target, offset) => write.writeSubscribe(target, offset, 4, 10, FILTERS));
    expect([...four]).toEqual([0x82, 14, 0, 10, ...field('a/b'), 1, ...field('c/d'), 2]);
    const five = written((target, offset) => write.writeSubscribe(target, offset, 5, 10, FILTERS));
    expect([...five]).toEqual([0x82, 15, 0, 10, 0, ...field('a/b'), 1, ...field('c/d'), 0x2e]);
  });

  test('of UNSUBSCRIBE (§3.10.3)', () => {
    const filters = ['a/b', 'c/d'];
    const four = written((target, offset) =>
      write.writeUnsubscribe(target, offset, 4, 10, filters),
    );
    expect([...four]).toEqual([0xa2, 12, 0, 10, ...field('a/b'), ...field('c/d')]);
  });

  test('of acknowledgements: Success is left out, 3.1.1 has no reason', () => {
    const ack = (type: number, version: ProtocolVersion, reason: number) => [
      ...written((target, offset) => write.writeAck(target, offset, type, 258, version, reason)),
    ];
    expect(ack(PUBACK, 5, 0)).toEqual([0x40, 2, 1, 2]);
    expect(ack(PUBREC, 5, 0x97)).toEqual([0x50, 3, 1, 2, 0x97]);
    expect(ack(PUBREL, 5, 0)).toEqual([0x62, 2, 1, 2]);
    expect(ack(PUBCOMP, 4, 0x92)).toEqual([0x70, 2, 1, 2]);
  });

  test('of DISCONNECT: nothing is said that need not be', () => {
    const disconnect = (...args: [ProtocolVersion, number, number?, string?]) => [
      ...written((target, offset) => write.writeDisconnect(target, offset, ...args)),
    ];
    expect(disconnect(4, 4, 60, 'why')).toEqual([0xe0, 0]);
    expect(disconnect(5, 0)).toEqual([0xe0, 0]);
    expect(disconnect(5, 0, -1)).toEqual([0xe0, 0]);
    expect(disconnect(5, 4)).toEqual([0xe0, 1, 4]);
    expect(disconnect(5, 0, 0)).toEqual([0xe0, 7, 0, 5, 0x11, 0, 0, 0, 0]);
    expect(disconnect(5, 0x82, -1, 'w')).toEqual([0xe0, 6, 0x82, 4, 0x1f, 0, 1, 0x77]);
  });

  test('of CONNACK: Session Present goes with success only ([MQTT-3.2.2-6])', () => {
    const connack = (version: ProtocolVersion, present: boolean, code: number, limits: object) => [
      ...written((target, offset) => writeConnack(target, offset, version, present, code, limits)),
    ];
    expect(connack(4, true, 0, LIMITS)).toEqual([0x20, 2, 1, 0]);
    expect(connack(4, true, 5, LIMITS)).toEqual([0x20, 2, 0, 5]);
    expect(connack(5, true, 0, NO_LIMITS)).toEqual([0x20, 3, 1, 0, 0]);
    // Maximum QoS 2 is said by its absence (MQTT 5 §3.2.2.3.4).
    expect(connack(5, false, 0, { maximumQos: 2 })).toEqual([0x20, 3, 0, 0, 0]);
    expect(connack(5, false, 0, { maximumQos: 0 })).toEqual([0x20, 5, 0, 0, 2, 0x24, 0]);
  });

  test('of SUBACK and UNSUBACK', () => {
    expect([...written((t, o) => writeSuback(t, o, 4, 9, [0, 128]))]).toEqual([
      0x90, 4, 0, 9, 0, 128,
    ]);
    expect([...written((t, o) => writeUnsuback(t, o, 4, 9, [0, 17]))]).toEqual([0xb0, 2, 0, 9]);
    expect([...written((t, o) => writeUnsuback(t, o, 5, 9, [0, 17]))]).toEqual([
      0xb0, 5, 0, 9, 0, 0, 17,
    ]);
  });
});

describe('room', () => {
  test.each(VERSIONS)('a packet that does not fit is not begun, version %i', (version) => {
    for (const [name, writer] of writers(version)) {
      const whole = written(writer);
      for (const offset of [0, 3]) {
        const end = offset + whole.length;
        for (let size = 0; size < end; size += 1) {
          const target = new Uint8Array(size).fill(0xaa);
          expect(writer(target, offset), `${name} in ${size}`).toBe(end);
          expect(target.every((byte) => byte === 0xaa)).toBe(true);
        }
        const exact = new Uint8Array(end + 2).fill(0xaa);
        expect(writer(exact.subarray(0, end), offset), name).toBe(end);
        expect(exact.subarray(offset, end)).toEqual(whole);
        const around = [...exact.subarray(0, offset), ...exact.subarray(end)];
        expect(around.every((byte) => byte === 0xaa)).toBe(true);
      }
    }
  });

  test('a field longer than 65,535 bytes fits nowhere', () => {
    const target = new Uint8Array(200_000);
    const long = 'é'.repeat(32768);
    const big = new Uint8Array(65536);
    const publish = (fields: object) =>
      write.writePublish(target, 0, 5, { ...PUBLISH_FIELDS, ...fields });
    const connect = (fields: object) =>
      write.writeConnect(target, 0, 5, { ...CONNECT_FIELDS, ...fields });
    const ends = [
      publish({ topic: long }),
      publish({ contentType: long }),
      publish({ responseTopic: long }),
      publish({ correlation: big }),
      publish({ userProperties: ['n', long] }),
      publish({ userProperties: [long, 'v'] }),
      connect({ clientId: long }),
      connect({ username: long }),
      connect({ password: big }),
      connect({ will: { ...CONNECT_FIELDS.will, topic: long } }),
      connect({ will: { ...CONNECT_FIELDS.will, payload: big } }),
      write.writeSubscribe(target, 0, 4, 1, [{ filter: long, qos: 0 }]),
      write.writeUnsubscribe(target, 0, 4, 1, [long]),
      write.writeDisconnect(target, 0, 5, 0, 0, long),
      write.writeAuth(target, 0, 0, long),
      writeConnack(target, 0, 5, false, 0, { assignedClientId: long }),
      write.publishSize(4, 65536, 0, 0, 0),
      write.contentTypeSize(long),
      write.correlationSize(big),
    ];
    for (const end of ends) expect(end).toBe(Number.POSITIVE_INFINITY);
    expect(target.every((byte) => byte === 0)).toBe(true);
    // One byte less does fit.
    expect(publish({ topic: `${'é'.repeat(32767)}x` })).toBeLessThan(target.length);
  });
});

describe('a PUBLISH in parts', () => {
  const topicOf = fc.constantFrom('', 't', 'devices/ä/telemetry', 'x'.repeat(130));
  const maybeText = fc.option(fc.constantFrom('', 'text/plain', 'é'), { nil: undefined });

  test('equals writePublish', () => {
    fc.assert(
      fc.property(
        fc.record({
          topic: topicOf,
          payload: fc.uint8Array({ maxLength: 140 }),
          qos: fc.constantFrom<Qos>(0, 1, 2),
          retain: fc.boolean(),
          dup: fc.boolean(),
          packetId: fc.integer({ min: 1, max: 65535 }),
          topicAlias: fc.nat(65535),
          messageExpiryS: fc.integer({ min: -1, max: 4294967295 }),
          payloadIsUtf8: fc.boolean(),
          contentType: maybeText,
          responseTopic: maybeText,
          correlation: fc.option(fc.uint8Array({ maxLength: 9 }), { nil: undefined }),
        }),
        fc.constantFrom(...VERSIONS),
        fc.nat(7),
        (fields, version, offset) => {
          const expected = new Uint8Array(600);
          const target = new Uint8Array(600);
          const end = write.writePublish(expected, offset, version, fields);
          expect(writeInParts(target, offset, version, fields)).toBe(end);
          expect(target).toEqual(expected);
        },
      ),
    );
  });

  test('user properties', () => {
    const target = new Uint8Array(32);
    const end = write.writeUserProperty(target, 1, 'n', 'ü');
    expect([...target.subarray(1, end)]).toEqual([0x26, 0, 1, 0x6e, 0, 2, 0xc3, 0xbc]);
    expect(write.userPropertySize('n', 'ü')).toBe(end - 1);
  });

  test('a property that does not fit says so and stays inside', () => {
    const text = 'content';
    for (let size = 0; size < 10; size += 1) {
      const target = new Uint8Array(size);
      expect(write.writeContentType(target, 0, text)).toBe(write.contentTypeSize(text));
      const end = write.writeCorrelation(target, 0, new Uint8Array(9));
      expect(end).toBe(write.correlationSize(new Uint8Array(9)));
      expect(write.writeUserProperty(target, 0, text, text)).toBeGreaterThan(size);
      expect(write.writeTopicAlias(target, size, 1)).toBe(size + 3);
    }
  });
});

/** What a caller does that has no topic string. */
function writeInParts(
  target: Uint8Array,
  offset: number,
  version: ProtocolVersion,
  fields: PublishFields & { topicAlias: number; messageExpiryS: number; payloadIsUtf8: boolean },
): number {
  const topic = Buffer.from(fields.topic);
  const flags = (fields.dup && fields.qos > 0 ? 8 : 0) | (fields.qos << 1) | Number(fields.retain);
  const size =
    version === 4
      ? 0
      : write.payloadFormatSize(fields.payloadIsUtf8) +
        write.messageExpirySize(fields.messageExpiryS) +
        write.contentTypeSize(fields.contentType) +
        write.responseTopicSize(fields.responseTopic) +
        write.correlationSize(fields.correlation) +
        write.topicAliasSize(fields.topicAlias);
  const count = fields.payload.length;
  const { qos, packetId } = fields;
  let at = write.writePublishHead(target, offset, version, flags, topic.length, qos, count, size);
  target.set(topic, at);
  at = write.writePublishTail(target, at + topic.length, version, qos, packetId, size);
  if (version === 5) {
    at = write.writePayloadFormat(target, at, fields.payloadIsUtf8);
    at = write.writeMessageExpiry(target, at, fields.messageExpiryS);
    at = write.writeContentType(target, at, fields.contentType);
    at = write.writeResponseTopic(target, at, fields.responseTopic);
    at = write.writeCorrelation(target, at, fields.correlation);
    at = write.writeTopicAlias(target, at, fields.topicAlias);
  }
  target.set(fields.payload, at);
  expect(write.publishSize(version, topic.length, qos, count, size)).toBe(at + count - offset);
  return at + count;
}

describe('bugs of the caller', () => {
  const target = new Uint8Array(64);

  test('packet id 0', () => {
    const fields = { ...PUBLISH_FIELDS, packetId: 0 };
    expect(() => write.writePublish(target, 0, 4, fields)).toThrow('packet id 0');
    expect(() => write.writePublishTail(target, 0, 4, 1, 0, 0)).toThrow('packet id 0');
    expect(() => write.writeAck(target, 0, PUBACK, 0, 4, 0)).toThrow('packet id 0');
    expect(() => write.writeSubscribe(target, 0, 4, 0, FILTERS)).toThrow('packet id 0');
    expect(() => write.writeUnsubscribe(target, 0, 4, 0, ['a'])).toThrow('packet id 0');
    expect(() => writeSuback(target, 0, 4, 0, [0])).toThrow('packet id 0');
  });

  test('empty lists', () => {
    expect(() => write.writeSubscribe(target, 0, 5, 1, [])).toThrow('without a filter');
    expect(() => write.writeUnsubscribe(target, 0, 5, 1, [])).toThrow('without a filter');
    expect(() => writeSuback(target, 0, 5, 1, [])).toThrow('without a code');
  });

  test('a user property without a value', () => {
    const fields = { ...PUBLISH_FIELDS, userProperties: ['n', 'v', 'n'] };
    expect(() => write.writePublish(target, 0, 5, fields)).toThrow('without a value');
  });
});
