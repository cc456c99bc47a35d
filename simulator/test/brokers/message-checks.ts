// Messages both ways: QoS, retained messages, sizes, and what a broker holds back or drops.

import { expect, test } from 'vitest';
import { until } from './scene.ts';
import type { Subject } from './subject.ts';

/** Largest packet that our client takes here, and a payload beyond it. */
const PACKET_SIZE_MAX = 1024;
const OVERSIZE = 'x'.repeat(8 * PACKET_SIZE_MAX);
/** Our own limit, where a test says one. More than mosquitto's, to tell them apart. */
const RECEIVE_MAX = 32;
/** More than any broker has in flight to one client, or keeps for one that is away. */
const FLOOD_COUNT = 1500;
/** What must not come has this long to come, where nothing else wants the CPU. */
const QUIET_MS = 300;

const quiet = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, QUIET_MS));

export function checkMessages(subject: Subject): void {
  checkQos(subject);
  checkRetained(subject);
  checkSizes(subject);
  checkLimits(subject);
  checkTopics(subject);
}

function checkQos({ traits, version, play }: Subject): void {
  test(
    'our QoS 0 and 1 arrive as such, and QoS 1 is settled',
    play(async (scene) => {
      const { id, peer } = scene;
      await peer.subscribe(`${id}/out`, 2);
      const client = scene.client({ protocol: version });
      await until('connected', () => client.isConnected);
      client.publish(1, 'out', 'zero', 0);
      client.publish(2, 'out', 'one', 1);
      await until('both arrive', () => peer.received.length === 2);
      await until('settled', () => client.settled.length === 1);
      const arrived = peer.received.map(({ payload, qos }) => `${payload} ${qos}`);
      expect(arrived.sort()).toEqual(['one 1', 'zero 0']);
      expect(client.settled).toEqual([{ reference: 2, reasonCode: 0 }]);
    }),
  );

  test(
    `our QoS 2: ${traits.publishQos2}`,
    play(async (scene) => {
      const { id, peer, wire } = scene;
      await peer.subscribe(`${id}/out`, 2);
      const client = scene.client({
        protocol: version,
        subscriptions: [{ filter: `${id}/in`, qos: 1 }],
      });
      await until('subscribed', () => client.subscribedCount === 1);
      client.publish(7, 'out', 'two', 2);
      if (traits.publishQos2 === 'disconnected') {
        // And again on every connection, for 3.1.1 has no word for it: see docs/brokers.md.
        await until('sent again', () => wire.packets('client', 'publish').some(({ dup }) => dup));
        await until('hung up again', () => client.disconnectReasons.length > 1);
        expect(client.settled).toEqual([]);
        expect(peer.received).toEqual([]);
        return;
      }
      await until('settled', () => client.settled.length === 1);
      await until('arrived', () => peer.received.length === 1);
      expect(peer.received[0]).toMatchObject({ qos: traits.qosGrantedMax });
      const isTaken = traits.publishQos2 === 'taken';
      await until('the exchange ends', () => {
        return wire.packets('broker', isTaken ? 'pubcomp' : 'puback').length === 1;
      });
      expect(wire.packets('client', 'pubrel').length).toBe(isTaken ? 1 : 0);
    }),
  );

  test(
    `subscriptions are granted up to QoS ${traits.qosGrantedMax}, and messages come with it`,
    play(async (scene) => {
      const { id, peer, wire } = scene;
      const subscriptions = ([0, 1, 2] as const).map((qos) => ({ filter: `${id}/${qos}`, qos }));
      const client = scene.client({ protocol: version, subscriptions });
      await until('subscribed', () => client.subscribedCount === 1);
      const granted = [0, 1, traits.qosGrantedMax];
      expect(wire.packets('broker', 'suback')[0]?.granted).toEqual(granted);
      const published = traits.publishQos2 === 'disconnected' ? 1 : 2;
      for (const qos of [0, 1, 2]) await peer.publish(`${id}/${qos}`, `at ${qos}`, published);
      await until('all arrive', () => client.received.length === 3);
      const arrived = client.received.map(({ text, qos }) => `${text} as ${qos}`).sort();
      expect(arrived).toEqual(granted.map((qos, wanted) => `at ${wanted} as ${qos}`));
      await until('acknowledged', () => {
        const ends = [wire.packets('client', 'puback'), wire.packets('client', 'pubcomp')];
        return ends.flat().length === 2;
      });
    }),
  );
}

function checkRetained({ traits, version, play }: Subject): void {
  test(
    'a retained message of ours reaches a late subscriber, until it is cleared',
    play(async (scene) => {
      const { id } = scene;
      const client = scene.client({ protocol: version });
      await until('connected', () => client.isConnected);
      client.publish(1, 'state', 'kept', 1, true);
      await until('settled', () => client.settled.length === 1);
      const [message] = await scene.retained(`${id}/state`);
      expect(message).toMatchObject({ retain: true, payload: Buffer.from('kept') });

      if (traits.retainedForWildcards) {
        expect(await scene.retained(`${id}/+`)).toHaveLength(1);
      } else {
        const late = await scene.anotherPeer();
        await late.subscribe(`${id}/+`);
        await quiet();
        expect(late.received).toEqual([]);
      }

      client.publish(2, 'state', '', 1, true);
      await until('settled', () => client.settled.length === 2);
      const later = await scene.anotherPeer();
      await later.subscribe(`${id}/state`);
      await quiet();
      expect(later.received).toEqual([]);
    }),
  );
}

function checkSizes({ traits, version, play }: Subject): void {
  test(
    'a message larger than the device takes does no harm, now or on the resumed session',
    play(async (scene) => {
      const { id, peer, wire } = scene;
      const filter = `${id}/in`;
      const client = scene.client({
        protocol: version,
        packetSizeMax: PACKET_SIZE_MAX,
        subscriptions: [{ filter, qos: 2 }],
      });
      await until('subscribed', () => client.subscribedCount === 1);
      const qosMax = traits.publishQos2 === 'disconnected' ? 1 : 2;
      for (let qos = 0; qos <= qosMax; qos++)
        await peer.publish(filter, OVERSIZE, qos as 0 | 1 | 2);
      await peer.publish(filter, 'small', 1);
      await until('what fits arrives', () => client.received.length === 1);
      // MQTT 5 tells the broker our limit, and it does not even send them (MQTT-3.1.2-25).
      const skipped = version === 5 ? 0 : qosMax + 1;
      expect(client.client.oversizeCount).toBe(skipped);
      // The answer to this says that the broker has all acknowledgements before it,
      client.publish(1, 'out', 'barrier', 1);
      await until('settled', () => client.settled.length === 1);
      wire.cut();
      await until('resumed', () => client.resumed.length === 2);
      // and this, that it has sent what it would send again.
      client.publish(2, 'out', 'barrier', 1);
      await until('settled again', () => client.settled.length === 2);
      expect(client.resumed).toEqual([false, true]);
      expect(wire.packets('broker', 'publish').length).toBe(skipped + 1);
      expect(client.client.oversizeCount).toBe(skipped);
    }),
  );
}

function checkLimits({ traits, version, play }: Subject): void {
  const { queuedMax } = traits;

  test(
    `for a client that is away ${queuedMax} messages wait, in order`,
    play(async (scene) => {
      const { id, peer } = scene;
      const client = scene.client({
        protocol: version,
        subscriptions: [{ filter: `${id}/in`, qos: 1 }],
      });
      await until('subscribed', () => client.subscribedCount === 1);
      await scene.lose(client);
      const texts = Array.from({ length: FLOOD_COUNT }, (_, index) => String(index));
      await Promise.all(texts.map((text) => peer.publish(`${id}/in`, text)));
      client.comeBack();
      const kept = texts.slice(0, Math.min(queuedMax, FLOOD_COUNT));
      // Copies of the same message may come, too.
      const received = () => [...new Set(client.received.map(({ text }) => text))];
      await until('all arrive', () => received().length >= kept.length);
      await quiet();
      expect(received()).toEqual(kept);
    }),
  );

  // MQTT 5 has a word for it, which brokers prefer to their own limit (MQTT-3.3.4-9).
  const inflightMax = version === 5 ? RECEIVE_MAX : traits.inflightMax;
  test(
    `to a client that does not acknowledge ${inflightMax} messages go`,
    play(async (scene) => {
      const { id, peer, wire } = scene;
      const client = scene.client({
        protocol: version,
        receiveMax: RECEIVE_MAX,
        subscriptions: [{ filter: `${id}/in`, qos: 1 }],
      });
      await until('subscribed', () => client.subscribedCount === 1);
      wire.mute('client');
      const texts = Array.from({ length: FLOOD_COUNT }, (_, index) => String(index));
      await Promise.all(texts.map((text) => peer.publish(`${id}/in`, text)));
      const expected = Math.min(inflightMax, FLOOD_COUNT);
      const sent = () =>
        new Set(wire.packets('broker', 'publish').map(({ payload }) => `${payload}`));
      await until('sent', () => sent().size >= expected);
      await quiet();
      expect(sent().size).toBe(expected);
    }),
  );
}

function checkTopics({ traits, version, play }: Subject): void {
  test(
    `shared subscriptions: ${traits.sharedSubscriptions ? 'work' : 'granted, yet nothing comes'}`,
    play(async (scene) => {
      const { id, peer } = scene;
      const client = scene.client({
        protocol: version,
        subscriptions: [
          { filter: `$share/group/${id}/in`, qos: 1 },
          { filter: `${id}/marker`, qos: 1 },
        ],
      });
      await until('subscribed', () => client.subscribedCount === 1);
      expect(client.client.subscribeRefusedCount).toBe(0);
      await peer.publish(`${id}/in`, 'shared');
      await peer.publish(`${id}/marker`, 'marker');
      const expected = traits.sharedSubscriptions ? ['marker', 'shared'] : ['marker'];
      await until('what comes', () => client.received.length === expected.length);
      await quiet();
      expect(client.received.map(({ text }) => text).sort()).toEqual(expected);
    }),
  );

  test(
    `a dot in a topic: ${traits.dotInTopic}`,
    play(async (scene) => {
      const { id, peer } = scene;
      await peer.subscribe(`${id}/#`);
      const client = scene.client({ protocol: version });
      await until('connected', () => client.isConnected);
      client.publish(1, 'a.b', 'dotted', 0);
      if (traits.dotInTopic === 'disconnected') {
        await until('hung up', () => client.disconnectReasons.length === 1);
        return;
      }
      await until('arrives', () => peer.received.length === 1);
      const topic = traits.dotInTopic === 'kept' ? 'a.b' : 'a/b';
      expect(peer.received[0]?.topic).toBe(`${id}/${topic}`);
    }),
  );
}
