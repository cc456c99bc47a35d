import { describe, expect, test } from 'vitest';
import { Packet, type ProtocolVersion } from '../../src/mqtt/packet.ts';
import {
  frameSize,
  nextSubscription,
  nextUserProperty,
  readPacket,
  SubscriptionEntry,
  UserProperty,
} from '../../src/mqtt/read.ts';
import { MALFORMED_PACKET } from '../../src/mqtt/reason-codes.ts';
import { field, frame, properties, text } from './samples.ts';
import { connect, ID, NONE, T } from './violations.ts';

const M = MALFORMED_PACKET;

function read(source: Uint8Array, version: ProtocolVersion, packet = new Packet()): number {
  return readPacket(packet, source, 0, source.length, version);
}

describe('frameSize', () => {
  // MQTT 3.1.1 Table 2.4, MQTT 5 Table 1-1.
  test.each([
    [0, [0x00]],
    [127, [0x7f]],
    [128, [0x80, 0x01]],
    [16383, [0xff, 0x7f]],
    [16384, [0x80, 0x80, 0x01]],
    [2097151, [0xff, 0xff, 0x7f]],
    [2097152, [0x80, 0x80, 0x80, 0x01]],
    [268435455, [0xff, 0xff, 0xff, 0x7f]],
  ])('Remaining Length %i', (remaining, encoded) => {
    const source = Uint8Array.from([0xaa, 0x30, ...encoded, 0xaa]);
    const end = 2 + encoded.length;
    expect(frameSize(source, 1, end)).toBe(1 + encoded.length + remaining);
    for (let cut = 1; cut < end; cut += 1) expect(frameSize(source, 1, cut)).toBe(0);
  });

  test.each([
    ['a fifth byte', [0x80, 0x80, 0x80, 0x80, 0x01]],
    ['a fifth byte to come', [0xff, 0xff, 0xff, 0xff]],
    // mqtt-packet takes these: it does not ask for the minimum.
    ['0 in two bytes [MQTT-1.5.5-1]', [0x80, 0x00]],
    ['127 in two bytes [MQTT-1.5.5-1]', [0xff, 0x00]],
    ['1 in four bytes [MQTT-1.5.5-1]', [0x81, 0x80, 0x80, 0x00]],
  ])('refuses %s', (_, encoded) => {
    const source = Uint8Array.from([0xc0, ...encoded]);
    expect(frameSize(source, 0, source.length)).toBe(-1);
    expect(read(source, 5)).toBe(M);
  });
});

describe('leniency', () => {
  test('DUP at QoS 0 is read: RabbitMQ up to 3.11 sends it ([MQTT-3.3.1-2] binds the sender)', () => {
    const packet = new Packet();
    expect(read(frame(0x38, T), 4, packet)).toBe(0);
    expect(packet.dup).toBe(true);
  });

  test('Session Present beside a refusal is read ([MQTT-3.2.2-4], [MQTT-3.2.2-6] in v5)', () => {
    const packet = new Packet();
    expect(read(frame(0x20, 1, 5), 4, packet)).toBe(0);
    expect(packet.reasonCode).toBe(5);
  });

  // mqtt-packet refuses reason codes that it does not know.
  test('reason codes that no table lists are read', () => {
    const packet = new Packet();
    for (const first of [0x40, 0x50, 0x62, 0x70]) {
      expect(read(frame(first, [0, 1], 0xfe), 5, packet)).toBe(0);
      expect(packet.reasonCode).toBe(0xfe);
    }
    expect(read(frame(0x90, [0, 1], NONE, 0xfe), 5)).toBe(0);
    expect(read(frame(0xe0, 0xfe), 5)).toBe(0);
  });

  test('a v5 connection reads the refusal of a 3.1.1 server', () => {
    const packet = new Packet();
    expect(read(frame(0x20, 0, 1), 5, packet)).toBe(0);
    expect([packet.reasonCode, packet.version]).toEqual([1, 4]);
    expect(read(frame(0x20, 0, 0x84), 5, packet)).toBe(0);
    expect(packet.reasonCode).toBe(0x84);
  });

  test('v5 allows a password alone (§3.1.2.9) and an empty client id', () => {
    const packet = new Packet();
    expect(read(connect(5, 0x42, NONE, field(''), T), 5, packet)).toBe(0);
    const details = packet.connect!;
    expect(details.usernameStart).toBe(-1);
    expect(details.passwordEnd - details.passwordStart).toBe(1);
    expect(details.clientIdEnd).toBe(details.clientIdStart);
  });

  test('short forms of v5 mean success without properties', () => {
    const packet = new Packet();
    expect(read(frame(0x40, [0, 1]), 5, packet)).toBe(0);
    expect(packet.reasonCode).toBe(0);
    expect(read(frame(0x40, [0, 1], 0x87), 5, packet)).toBe(0);
    expect(packet.reasonCode).toBe(0x87);
    expect(read(frame(0xe0), 5, packet)).toBe(0);
    expect(read(frame(0xe0, 4), 5, packet)).toBe(0);
    expect(packet.reasonCode).toBe(4);
    expect(read(frame(0xf0), 5, packet)).toBe(0);
  });

  test('shared subscriptions are filters like any other, but for No Local', () => {
    const share = field('$share/g/t');
    expect(read(frame(0x82, [0, 1], NONE, share, 0x2a), 5)).toBe(0);
    // Neither of these is shared: another first level, and too short for a filter.
    expect(read(frame(0x82, [0, 1], NONE, field('$shares/g/t'), 4), 5)).toBe(0);
    expect(read(frame(0x82, [0, 1], NONE, field('$share'), 4), 5)).toBe(0);
    expect(read(frame(0x82, [0, 1], share, 2), 4)).toBe(0);
  });

  test('an alias may stand for the topic', () => {
    const packet = new Packet();
    expect(read(frame(0x30, field(''), properties(0x23, [0, 9])), 5, packet)).toBe(0);
    expect([packet.topicAlias, packet.topicEnd - packet.topicStart]).toEqual([9, 0]);
  });

  test('a CONNECT says its own version', () => {
    const packet = new Packet();
    expect(read(connect(4, 2, ID), 5, packet)).toBe(0);
    expect(packet.version).toBe(4);
    expect(read(connect(5, 2, NONE, ID), 4, packet)).toBe(0);
    expect(packet.version).toBe(5);
  });
});

describe('iterators', () => {
  test('user properties come in order, with all others between them', () => {
    const pair = (name: string, value: string) => [0x26, ...field(name), ...field(value)];
    const source = frame(
      0x30,
      T,
      properties(
        pair('a', '1'),
        [0x0b, 0x80, 1],
        pair('a', ''),
        [0x09, ...T],
        pair('', 'ü'),
        [1, 0],
      ),
    );
    const packet = new Packet();
    expect(read(source, 5, packet)).toBe(0);
    const property = new UserProperty();
    const found: string[] = [];
    let at = nextUserProperty(property, source, packet.propertiesStart, packet.propertiesEnd);
    while (at >= 0) {
      found.push(text(source, property.nameStart, property.nameEnd));
      found.push(text(source, property.valueStart, property.valueEnd));
      at = nextUserProperty(property, source, at, packet.propertiesEnd);
    }
    expect(found).toEqual(['a', '1', 'a', '', '', 'ü']);
    expect(packet.subscriptionId).toBe(128);
  });

  test('no properties, no user properties', () => {
    const packet = new Packet();
    expect(read(frame(0xc0), 5, packet)).toBe(0);
    const { propertiesStart, propertiesEnd } = packet;
    const source = new Uint8Array(4);
    expect(nextUserProperty(new UserProperty(), source, propertiesStart, propertiesEnd)).toBe(-1);
  });

  test('entries of SUBSCRIBE and UNSUBSCRIBE', () => {
    const packet = new Packet();
    const entry = new SubscriptionEntry();
    const subscribe = frame(0x82, [0, 1], NONE, field('a/+'), 0x2e, field('#'), 0x11);
    expect(read(subscribe, 5, packet)).toBe(0);
    let at = nextSubscription(entry, packet, subscribe, packet.payloadStart);
    expect(text(subscribe, entry.filterStart, entry.filterEnd)).toBe('a/+');
    expect(entry).toMatchObject({
      qos: 2,
      noLocal: true,
      retainAsPublished: true,
      retainHandling: 2,
    });
    at = nextSubscription(entry, packet, subscribe, at);
    expect(text(subscribe, entry.filterStart, entry.filterEnd)).toBe('#');
    expect(entry).toMatchObject({
      qos: 1,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 1,
    });
    expect(nextSubscription(entry, packet, subscribe, at)).toBe(-1);

    const unsubscribe = frame(0xa2, [0, 1], field('x'), field('y/#'));
    expect(read(unsubscribe, 4, packet)).toBe(0);
    at = nextSubscription(entry, packet, unsubscribe, packet.payloadStart);
    at = nextSubscription(entry, packet, unsubscribe, at);
    expect(text(unsubscribe, entry.filterStart, entry.filterEnd)).toBe('y/#');
    expect(nextSubscription(entry, packet, unsubscribe, at)).toBe(-1);
  });
});
