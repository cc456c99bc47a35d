// A whole device: birth, telemetry, a command and its result; and its status after a takeover.

import { decode, encode } from 'cbor-x';
import { expect, test } from 'vitest';
import { until } from './scene.ts';
import type { Subject } from './subject.ts';

/** Labels of SenML in CBOR (RFC 8428 §6). */
const BASE_NAME = -2;
const NAME = 0;
const VALUE = 2;
/** A will that must not come has this long to come, where nothing else wants the CPU. */
const SETTLE_MS = 500;

const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, SETTLE_MS));

export function checkDevice({ traits, version, play }: Subject): void {
  test(
    'a device end to end: birth, telemetry, and a command that it answers',
    play(async (scene) => {
      const { id, peer, wire } = scene;
      for (const topic of ['status', 'telemetry', 'commands/+/result']) {
        await peer.subscribe(`devices/${id}/${topic}`);
      }
      const device = scene.device(wire.port, { protocol: version });
      const of = (topic: string) => {
        return peer.received.filter((message) => message.topic === `devices/${id}/${topic}`);
      };
      const sequences = () =>
        of('telemetry').map(({ payload }) => {
          const [seq, sample] = decode(payload) as Record<number, unknown>[];
          expect(seq?.[BASE_NAME]).toMatch(`${id}/`);
          expect(sample).toMatchObject({ [NAME]: 'temperature', [VALUE]: 21.5 });
          return seq?.[VALUE];
        });
      // Not in order: what was sampled before the connection lets live messages pass.
      await until('telemetry', () => [0, 1, 2].every((seq) => sequences().includes(seq)));
      expect(new Set(sequences()).size).toBe(sequences().length);
      expect(decode(of('status')[0]!.payload)).toMatchObject({ state: 'online' });

      // Telemetry that waited for the connection can be here before the subscription is.
      await until('subscribed', () => wire.packets('broker', 'suback').length > 0);
      const request = encode({ cid: 'c1', command: 'ping' });
      await peer.publish(`devices/${id}/commands`, request);
      await until('the result', () => of('commands/c1/result').length === 1);
      const [result] = of('commands/c1/result');
      expect(decode(result!.payload)).toEqual({ ok: true, value: 'pong' });

      const [birth] = await scene.retained(`devices/${id}/status`);
      expect(decode(birth!.payload)).toMatchObject({ state: 'online' });
      device.retire();
      await until('gone', () => wire.isIdle);
      const late = await scene.anotherPeer();
      await late.subscribe(`devices/${id}/status`);
      await settle();
      expect(late.received).toEqual([]);
    }),
  );

  test(
    'after a takeover by the same device the retained status is online and stays so',
    play(async (scene) => {
      const { id, peer, wire } = scene;
      const topic = `devices/${id}/status`;
      await peer.subscribe(topic);
      const old = scene.device(wire.port, {
        protocol: version,
        events: { onDisconnected: (device) => device.stop() },
      });
      await until('its birth', () => peer.received.length === 1);
      // A reset or a lost link: the broker does not know yet that this connection is dead.
      wire.mute('client');
      scene.device(scene.brokerPort, { protocol: version });
      await until('the old one is gone', () => old.client.state === 'idle');
      // MQTT 5 delays the will until after it does not matter any more.
      const expectsWill = version === 4 && traits.willAtTakeover.includes(version);
      const states = () => peer.received.map(({ payload }) => decode(payload).state as string);
      if (expectsWill) await until('the will', () => states().includes('offline'));
      await until('the birth', () => states().at(-1) === 'online');
      await settle();
      expect(states().includes('offline')).toBe(expectsWill);
      expect(states().at(-1)).toBe('online');
      const [status] = await scene.retained(topic);
      expect(decode(status!.payload)).toMatchObject({ state: 'online' });
    }),
  );

  if (version === 5) return;
  test(
    'a will of its own that comes after its birth is put right',
    play(async (scene) => {
      const { id, peer, wire } = scene;
      const topic = `devices/${id}/status`;
      scene.device(wire.port, { protocol: version });
      const [birth] = await scene.retained(topic);
      expect(decode(birth!.payload)).toMatchObject({ state: 'online' });
      await peer.subscribe(topic);
      await until('the retained birth', () => peer.received.length === 1);
      await peer.publish(topic, encode({ state: 'offline' }), 1, true);
      await until('the correction', () => peer.received.length === 3);
      const states = peer.received.map(({ payload }) => decode(payload).state as string);
      expect(states).toEqual(['online', 'offline', 'online']);
      const [status] = await scene.retained(topic);
      expect(decode(status!.payload)).toMatchObject({ state: 'online' });
    }),
  );
}
