// What mqtt-packet writes we read, for every kind of packet and both versions. The other way is
// in codec.test.ts.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Packet, type ProtocolVersion } from '../../src/mqtt/packet.ts';
import {
  nextSubscription,
  nextUserProperty,
  readPacket,
  SubscriptionEntry,
  UserProperty,
} from '../../src/mqtt/read.ts';
import {
  binary,
  filter,
  length,
  list,
  maybe,
  type Pairs,
  pairs,
  payload,
  qos,
  sorted,
  topic,
  u16,
  u32,
  words,
} from './arbitraries.ts';
import { oracleWrite, text, VERSIONS } from './samples.ts';

const RUNS = { numRuns: 150 };
const OFFSET = 3;
const byte = fc.nat(255);

/** A packet that mqtt-packet wrote, read by us in the middle of a dirty buffer. */
class Received {
  readonly packet = new Packet();
  readonly source: Uint8Array;

  constructor(packet: object, version: ProtocolVersion) {
    const bytes = oracleWrite(packet, version);
    this.source = new Uint8Array(bytes.length + 8).fill(0xff);
    this.source.set(bytes, OFFSET);
    const end = OFFSET + bytes.length;
    expect(readPacket(this.packet, this.source, OFFSET, end, version)).toBe(0);
  }

  /** The packet with the details of a CONNECT beside the rest. */
  get all(): Readonly<Record<string, unknown>> {
    return { ...this.packet, ...this.packet.connect };
  }

  /** The bytes of a range of the packet, or undefined where it is absent. */
  range(name: string): number[] | undefined {
    const start = this.all[`${name}Start`] as number;
    const end = this.all[`${name}End`] as number;
    return start < 0 ? undefined : [...this.source.subarray(start, end)];
  }

  text(name: string): string | undefined {
    const range = this.range(name);
    return range === undefined ? undefined : Buffer.from(range).toString();
  }

  pairs(start = this.packet.propertiesStart, end = this.packet.propertiesEnd): Pairs {
    const found: Pairs = [];
    const property = new UserProperty();
    let at = nextUserProperty(property, this.source, start, end);
    while (at >= 0) {
      const name = text(this.source, property.nameStart, property.nameEnd);
      found.push([name, text(this.source, property.valueStart, property.valueEnd)]);
      at = nextUserProperty(property, this.source, at, end);
    }
    return sorted(found);
  }

  /** Entries of a SUBSCRIBE or UNSUBSCRIBE in the words of mqtt-packet. */
  entries(): { topic: string; qos: number; nl: boolean; rap: boolean; rh: number }[] {
    const found = [];
    const entry = new SubscriptionEntry();
    let at = nextSubscription(entry, this.packet, this.source, this.packet.payloadStart);
    while (at >= 0) {
      found.push({
        topic: text(this.source, entry.filterStart, entry.filterEnd),
        qos: entry.qos,
        nl: entry.noLocal,
        rap: entry.retainAsPublished,
        rh: entry.retainHandling,
      });
      at = nextSubscription(entry, this.packet, this.source, at);
    }
    return found;
  }
}

/** `fields` of mqtt-packet without what is undefined, with binaries and pairs as it takes them. */
function forOracle(fields: Record<string, unknown>): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(fields)) {
    if (key === 'pairs') {
      // It refuses to write an empty list.
      const all = value as Pairs;
      if (all.length > 0) out.userProperties = Object.fromEntries(all);
    } else if (value instanceof Uint8Array) out[key] = Buffer.from(value);
    else if (value !== undefined) out[key] = value;
  }
  return out;
}

const message = {
  payloadFormatIndicator: maybe(fc.boolean()),
  messageExpiryInterval: maybe(u32),
  contentType: maybe(words),
  responseTopic: maybe(topic),
  correlationData: maybe(binary),
  pairs,
};
const reason = { reasonString: maybe(words), pairs };
const reasons = fc.record(reason);

describe.each(VERSIONS)('version %i: mqtt-packet writes, we read', (version) => {
  const v5 = version === 5;
  const only5 = (fields: Record<string, unknown>) => (v5 ? { properties: forOracle(fields) } : {});
  /** What a field of v5 is on 3.1.1: absent. */
  const in5 = <T>(value: T): T | undefined => (v5 ? value : undefined);

  function expectReason(received: Received, fields: { reasonString?: string; pairs: Pairs }) {
    expect(received.text('reasonString')).toBe(in5(fields.reasonString));
    expect(received.pairs()).toEqual(v5 ? sorted(fields.pairs) : []);
  }

  function expectMessage(
    received: Received,
    fields: { contentType?: string; responseTopic?: string; correlationData?: Uint8Array },
    isUtf8: boolean | undefined,
  ) {
    expect(received.packet.payloadIsUtf8).toBe(v5 && isUtf8 === true);
    expect(received.text('contentType')).toBe(in5(fields.contentType));
    expect(received.text('responseTopic')).toBe(in5(fields.responseTopic));
    expect(received.range('correlation')).toEqual(in5(list(fields.correlationData)));
  }

  const connect = fc.record({
    clientId: words,
    clean: fc.boolean(),
    keepalive: fc.nat(65535),
    username: maybe(words),
    password: maybe(binary),
    will: maybe(
      fc.record({
        topic,
        payload,
        qos,
        retain: fc.boolean(),
        properties: fc.record({ ...message, willDelayInterval: maybe(u32) }),
      }),
    ),
    properties: fc.record({
      sessionExpiryInterval: maybe(u32),
      receiveMaximum: maybe(u16),
      maximumPacketSize: maybe(fc.integer({ min: 1, max: 4294967295 })),
      topicAliasMaximum: maybe(fc.nat(65535)),
      requestResponseInformation: maybe(fc.boolean()),
      requestProblemInformation: maybe(fc.boolean()),
      authenticationMethod: words,
      authenticationData: maybe(binary),
      pairs,
    }),
  });

  test('CONNECT', () => {
    fc.assert(
      fc.property(connect, ({ will, properties: all, ...fields }) => {
        // mqtt-packet writes neither a password alone nor a session without a client id.
        const password = fields.username === undefined ? undefined : fields.password;
        const clean = fields.clientId === '' || fields.clean;
        const got = new Received(
          {
            cmd: 'connect',
            protocolVersion: version,
            ...forOracle({ ...fields, password, clean }),
            will: will && { ...forOracle(will), ...only5(will.properties) },
            ...only5(all),
          },
          version,
        );
        expect(got.all).toMatchObject({
          version,
          cleanStart: clean,
          keepAliveS: fields.keepalive,
          hasWill: will !== undefined,
          sessionExpiryS: in5(all.sessionExpiryInterval) ?? -1,
          receiveMaximum: in5(all.receiveMaximum) ?? 65535,
          maximumPacketSize: in5(all.maximumPacketSize) ?? 0,
          topicAliasMaximum: in5(all.topicAliasMaximum) ?? 0,
          requestResponseInformation: in5(all.requestResponseInformation) ?? false,
          requestProblemInformation: in5(all.requestProblemInformation) ?? true,
        });
        expect(got.text('clientId')).toBe(fields.clientId);
        expect(got.text('username')).toBe(fields.username);
        expect(got.range('password')).toEqual(list(password));
        expect(got.text('authMethod')).toBe(in5(all.authenticationMethod));
        expect(got.range('authData')).toEqual(in5(list(all.authenticationData)));
        expect(got.pairs()).toEqual(v5 ? sorted(all.pairs) : []);
        expect(got.text('willTopic')).toBe(will?.topic);
        expect(got.range('willPayload')).toEqual(list(will?.payload));
        if (will === undefined) return;
        expect(got.all).toMatchObject({
          willQos: will.qos,
          willRetain: will.retain,
          willDelayS: in5(will.properties.willDelayInterval) ?? 0,
          willMessageExpiryS: in5(will.properties.messageExpiryInterval) ?? -1,
          messageExpiryS: -1,
        });
        expectMessage(got, will.properties, will.properties.payloadFormatIndicator);
        const { willPropertiesStart, willPropertiesEnd } = got.packet.connect!;
        expect(got.pairs(willPropertiesStart, willPropertiesEnd)).toEqual(
          v5 ? sorted(will.properties.pairs) : [],
        );
      }),
      RUNS,
    );
  });

  const flag = maybe(fc.boolean());
  const connack = fc.record({
    sessionExpiryInterval: maybe(u32),
    receiveMaximum: maybe(u16),
    maximumQoS: maybe(fc.constantFrom(0, 1)),
    retainAvailable: flag,
    maximumPacketSize: maybe(fc.integer({ min: 1, max: 4294967295 })),
    assignedClientIdentifier: maybe(words),
    topicAliasMaximum: maybe(fc.nat(65535)),
    wildcardSubscriptionAvailable: flag,
    subscriptionIdentifiersAvailable: flag,
    sharedSubscriptionAvailable: flag,
    serverKeepAlive: maybe(fc.nat(65535)),
    responseInformation: maybe(words),
    serverReference: maybe(words),
    authenticationMethod: maybe(words),
    authenticationData: maybe(binary),
    ...reason,
  });

  test('CONNACK', () => {
    fc.assert(
      fc.property(fc.boolean(), byte, connack, (sessionPresent, code, all) => {
        const codes = { returnCode: code, reasonCode: code };
        const got = new Received(
          { cmd: 'connack', sessionPresent, ...codes, ...only5(all) },
          version,
        );
        expect(got.packet).toMatchObject({
          version,
          sessionPresent,
          reasonCode: code,
          sessionExpiryS: in5(all.sessionExpiryInterval) ?? -1,
          receiveMaximum: in5(all.receiveMaximum) ?? 65535,
          maximumQos: in5(all.maximumQoS) ?? 2,
          retainAvailable: in5(all.retainAvailable) ?? true,
          maximumPacketSize: in5(all.maximumPacketSize) ?? 0,
          topicAliasMaximum: in5(all.topicAliasMaximum) ?? 0,
          wildcardAvailable: in5(all.wildcardSubscriptionAvailable) ?? true,
          subscriptionIdAvailable: in5(all.subscriptionIdentifiersAvailable) ?? true,
          sharedAvailable: in5(all.sharedSubscriptionAvailable) ?? true,
          serverKeepAliveS: in5(all.serverKeepAlive) ?? -1,
        });
        expect(got.text('assignedClientId')).toBe(in5(all.assignedClientIdentifier));
        expect(got.text('responseInformation')).toBe(in5(all.responseInformation));
        expect(got.text('serverReference')).toBe(in5(all.serverReference));
        expect(got.text('authMethod')).toBe(in5(all.authenticationMethod));
        expect(got.range('authData')).toEqual(in5(list(all.authenticationData)));
        expectReason(got, all);
      }),
      RUNS,
    );
  });

  const publish = fc.record({ topic, payload, qos, retain: fc.boolean(), dup: fc.boolean() });
  const publishProperties = fc.record({
    ...message,
    topicAlias: maybe(u16),
    subscriptionIdentifier: fc.array(length, { maxLength: 3 }),
  });

  test('PUBLISH', () => {
    fc.assert(
      fc.property(publish, u16, publishProperties, (fields, messageId, all) => {
        const ids = all.subscriptionIdentifier;
        const properties = { ...all, subscriptionIdentifier: ids.length > 0 ? ids : undefined };
        const got = new Received(
          { cmd: 'publish', messageId, ...forOracle(fields), ...only5(properties) },
          version,
        );
        expect(got.packet).toMatchObject({
          qos: fields.qos,
          retain: fields.retain,
          dup: fields.dup,
          packetId: fields.qos > 0 ? messageId : 0,
          messageExpiryS: in5(all.messageExpiryInterval) ?? -1,
          topicAlias: in5(all.topicAlias) ?? 0,
          subscriptionId: in5(ids[0]) ?? 0,
        });
        expect(got.text('topic')).toBe(fields.topic);
        expect(got.range('payload')).toEqual([...fields.payload]);
        expectMessage(got, all, all.payloadFormatIndicator);
        expect(got.pairs()).toEqual(v5 ? sorted(all.pairs) : []);
      }),
      RUNS,
    );
  });

  test.each(['puback', 'pubrec', 'pubrel', 'pubcomp'])('%s', (cmd) => {
    fc.assert(
      fc.property(u16, byte, maybe(reasons), (messageId, reasonCode, all) => {
        const properties = all === undefined ? {} : only5(all);
        const got = new Received({ cmd, messageId, reasonCode, ...properties }, version);
        expect(got.packet.packetId).toBe(messageId);
        expect(got.packet.reasonCode).toBe(in5(reasonCode) ?? 0);
        expectReason(got, all ?? { pairs: [] });
      }),
      RUNS,
    );
  });

  const subscription = fc.record({
    topic: filter,
    qos,
    nl: fc.boolean(),
    rap: fc.boolean(),
    rh: fc.constantFrom(0, 1, 2),
  });

  test('SUBSCRIBE', () => {
    const subscriptions = fc.array(subscription, { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(u16, subscriptions, maybe(length), pairs, (messageId, entries, id, all) => {
        const properties = only5({ subscriptionIdentifier: id, pairs: all });
        const got = new Received(
          { cmd: 'subscribe', messageId, subscriptions: entries, ...properties },
          version,
        );
        expect(got.packet).toMatchObject({ packetId: messageId, subscriptionId: in5(id) ?? 0 });
        expect(got.pairs()).toEqual(v5 ? sorted(all) : []);
        expect(got.entries()).toEqual(
          entries.map((one) =>
            v5 ? one : { topic: one.topic, qos: one.qos, nl: false, rap: false, rh: 0 },
          ),
        );
      }),
      RUNS,
    );
  });

  test('UNSUBSCRIBE', () => {
    const filters = fc.array(filter, { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(u16, filters, pairs, (messageId, unsubscriptions, all) => {
        const properties = only5({ pairs: all });
        const got = new Received(
          { cmd: 'unsubscribe', messageId, unsubscriptions, ...properties },
          version,
        );
        expect(got.packet.packetId).toBe(messageId);
        expect(got.pairs()).toEqual(v5 ? sorted(all) : []);
        expect(got.entries().map((entry) => entry.topic)).toEqual(unsubscriptions);
      }),
      RUNS,
    );
  });

  test.each(['suback', 'unsuback'])('%s', (cmd) => {
    const code = v5 ? byte : fc.constantFrom(0, 1, 2, 0x80);
    const codes = fc.array(code, { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(u16, codes, reasons, (messageId, granted, all) => {
        const got = new Received({ cmd, messageId, granted, ...only5(all) }, version);
        expect(got.packet.packetId).toBe(messageId);
        expect(got.range('payload')).toEqual(v5 || cmd === 'suback' ? granted : undefined);
        expectReason(got, all);
      }),
      RUNS,
    );
  });

  test('PINGREQ, PINGRESP', () => {
    expect(new Received({ cmd: 'pingreq' }, version).packet.type).toBe(12);
    expect(new Received({ cmd: 'pingresp' }, version).packet.type).toBe(13);
  });

  test('DISCONNECT', () => {
    const properties = fc.record({
      sessionExpiryInterval: maybe(u32),
      serverReference: maybe(words),
      ...reason,
    });
    fc.assert(
      fc.property(byte, properties, (reasonCode, all) => {
        const got = new Received({ cmd: 'disconnect', reasonCode, ...only5(all) }, version);
        expect(got.packet.reasonCode).toBe(in5(reasonCode) ?? 0);
        expect(got.packet.sessionExpiryS).toBe(in5(all.sessionExpiryInterval) ?? -1);
        expect(got.text('serverReference')).toBe(in5(all.serverReference));
        expectReason(got, all);
      }),
      RUNS,
    );
  });

  if (!v5) return;
  test('AUTH', () => {
    const properties = fc.record({
      authenticationMethod: words,
      authenticationData: maybe(binary),
      ...reason,
    });
    fc.assert(
      fc.property(byte, properties, (reasonCode, all) => {
        const got = new Received({ cmd: 'auth', reasonCode, ...only5(all) }, version);
        expect(got.packet.reasonCode).toBe(reasonCode);
        expect(got.text('authMethod')).toBe(all.authenticationMethod);
        expect(got.range('authData')).toEqual(list(all.authenticationData));
        expectReason(got, all);
      }),
      RUNS,
    );
  });
});
