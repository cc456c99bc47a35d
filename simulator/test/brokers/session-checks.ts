// What outlives a connection: sessions, wills, and who notices that one has ended.

import { expect, test } from 'vitest';
import { NATS_ACK_WAIT_MS } from '../support/brokers.ts';
import { type Scene, until } from './scene.ts';
import type { Subject } from './subject.ts';

const KEEP_ALIVE_MS_MIN = 2000;
const KEEP_ALIVE_MS_MAX = 30_000;
/** Messages there and back that a keep-alive must leave time for. */
const ROUND_TRIP_COUNT = 10;
/** PINGREQs of our client in a keep-alive: it sends one after three quarters of it. */
const PINGS_PER_KEEP_ALIVE = 4 / 3;
/** By which a broker's own timers may be later than it says, in keep-alives. */
const LATE_KEEP_ALIVES = 1.5;

export function checkSessions(subject: Subject): void {
  checkWills(subject);
  checkResumption(subject);
  checkKeepAlive(subject);
  checkTakeover(subject);
}

function checkWills({ version, play }: Subject): void {
  test(
    'the will is published when the connection just ends, and not after DISCONNECT',
    play(async (scene) => {
      const { id, peer, wire } = scene;
      const topic = `${id}/status`;
      await peer.subscribe(topic);
      const payload = Buffer.from('gone');
      const will = { topic, payload, qos: 1, retain: true, delayS: 0 } as const;
      const client = scene.client({ protocol: version, will });
      await until('connected', () => client.isConnected);
      wire.cut();
      await until('the will', () => peer.received.length === 1);
      expect(peer.received[0]).toMatchObject({ topic, payload, qos: 1, retain: false });
      expect(await scene.retained(topic)).toMatchObject([{ payload, retain: true }]);

      await until('reconnected', () => client.isConnected);
      client.stop();
      await until('gone', () => wire.isIdle);
      await peer.publish(topic, 'marker');
      await until('the marker', () => peer.texts().includes('marker'));
      expect(peer.texts()).toEqual(['gone', 'marker']);
    }),
  );
}

function checkResumption({ traits, version, play }: Subject): void {
  test(
    'a resumed session: our unacknowledged message goes again with DUP, what came meanwhile arrives',
    play(async (scene) => {
      const { id, peer, wire } = scene;
      await peer.subscribe(`${id}/out`);
      const subscriptions = [{ filter: `${id}/in`, qos: 1 }] as const;
      const client = scene.client({ protocol: version, subscriptions });
      await until('subscribed', () => client.subscribedCount === 1);
      wire.mute('broker');
      client.publish(7, 'out', 'seven', 1);
      await until('it reached the broker', () => peer.received.length === 1);
      await scene.lose(client);
      await peer.publish(`${id}/in`, 'first');
      await peer.publish(`${id}/in`, 'second');
      client.comeBack();

      await until('settled', () => client.settled.length === 1);
      await until('what came meanwhile', () => client.received.length === 2);
      expect(client.resumed).toEqual([false, true]);
      expect(client.subscribedCount).toBe(1);
      expect(client.settled).toEqual([{ reference: 7, reasonCode: 0 }]);
      const [sent, again] = wire.packets('client', 'publish');
      expect(sent).toMatchObject({ qos: 1, dup: false });
      expect(again).toMatchObject({ qos: 1, dup: true, messageId: sent?.messageId });
      await until('both copies', () => peer.texts(`${id}/out`).length === 2);
      expect(peer.texts(`${id}/out`)).toEqual(['seven', 'seven']);
      expect(client.received.map(({ text }) => text)).toEqual(['first', 'second']);
    }),
  );

  test(
    `what we did not acknowledge is sent again ${traits.sendsAgain}`,
    play(async (scene) => {
      const { id, peer, wire } = scene;
      const subscriptions = [{ filter: `${id}/in`, qos: 1 }] as const;
      const client = scene.client({ protocol: version, subscriptions });
      await until('subscribed', () => client.subscribedCount === 1);
      wire.mute('client');
      const sentMs = performance.now();
      await peer.publish(`${id}/in`, 'unheard');
      await until('sent', () => wire.packets('broker', 'publish').length === 1);
      wire.cut();
      await until('resumed', () => client.resumed.length === 2);
      await peer.publish(`${id}/in`, 'after');
      // Ours saw both copies: at least once is what QoS 1 promises.
      await until('all arrive', () => client.received.length === 3);
      const texts = client.received.map(({ text }) => text);
      if (traits.sendsAgain === 'on resume') {
        expect(texts).toEqual(['unheard', 'unheard', 'after']);
      } else {
        expect(texts.sort()).toEqual(['after', 'unheard', 'unheard']);
        expect(performance.now() - sentMs).toBeGreaterThan(NATS_ACK_WAIT_MS);
      }
      const copies = wire
        .packets('broker', 'publish')
        .filter(({ payload }) => payload.toString() === 'unheard');
      expect(copies.map(({ dup }) => dup)).toEqual([false, traits.setsDup]);
    }),
  );
}

/** A keep-alive that the machine can keep, as busy as it is: whole seconds, in ms. */
async function keepAliveOf({ id, peer }: Scene): Promise<number> {
  const topic = `${id}/there-and-back`;
  await peer.subscribe(topic);
  const startMs = performance.now();
  for (let count = 1; count <= ROUND_TRIP_COUNT; count += 1) {
    await peer.publish(topic, '');
    await until('the message', () => peer.texts(topic).length === count);
  }
  const ms = Math.ceil((performance.now() - startMs) / 1000) * 1000;
  return Math.min(KEEP_ALIVE_MS_MAX, Math.max(KEEP_ALIVE_MS_MIN, ms));
}

function checkKeepAlive({ traits, version, play }: Subject): void {
  test(
    'keep-alive holds an idle connection, and a client that falls silent is gone',
    play(async (scene) => {
      const { id, peer, wire } = scene;
      await peer.subscribe(`${id}/gone`);
      const keepAliveMs = await keepAliveOf(scene);
      const client = scene.client({ protocol: version, keepAliveMs });
      await until('two answers', () => wire.packets('broker', 'pingresp').length === 2);
      // Two pings take longer than the broker would have waited without any.
      expect(client.resumed).toEqual([false]);
      // Counts the keep-alives by its own: on a busy machine all are late together.
      const witness = await scene.anotherWire();
      const own = { id: `${id}-witness`, port: witness.port, will: undefined };
      scene.client({ ...own, protocol: version, keepAliveMs });
      const pings = () => witness.packets('broker', 'pingresp').length;
      await until('the witness', () => pings() === 1);
      client.staysAway = true;
      wire.mute('client');
      await until('the will', () => peer.texts(`${id}/gone`).length === 1);
      const keepAlives = (pings() - 1) / PINGS_PER_KEEP_ALIVE;
      expect(keepAlives).toBeLessThan(traits.silentKeepAlivesMax + LATE_KEEP_ALIVES);
      await until('told', () => !client.isConnected);
    }),
  );
}

function checkTakeover({ traits, version, play }: Subject): void {
  test(
    'a second client of the same id takes over, and the first is told to go',
    play(async (scene) => {
      const { id, peer, wire } = scene;
      const topic = `${id}/gone`;
      await peer.subscribe(topic);
      const first = scene.client({ protocol: version });
      await until('connected', () => first.isConnected);
      first.staysAway = true;
      const second = scene.client({ protocol: version, port: scene.brokerPort });
      await until('the second is connected', () => second.isConnected);
      // NATS closes a connection for whose id it has another in work; the next one is taken.
      const attempts = second.disconnectReasons.length;
      await until('the first is gone', () => !first.isConnected);
      await until('the broker closed', () => wire.isIdle);
      await peer.publish(topic, 'marker');
      await until('the marker', () => peer.texts().includes('marker'));
      expect(peer.texts()).toEqual(
        traits.willAtTakeover.includes(version) ? ['gone', 'marker'] : ['marker'],
      );
      expect(second.isConnected).toBe(true);
      expect(second.disconnectReasons.slice(attempts)).toEqual([]);
    }),
  );
}
