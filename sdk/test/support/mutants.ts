// Clients broken on purpose, one way each: the model test must find every one of them, or it
// shows nothing about the client that is not broken.

import { Client } from '../../src/mqtt/client.ts';
import { Connection } from '../../src/mqtt/connection.ts';
import { Delivery } from '../../src/mqtt/delivery.ts';
import { type Packet, PUBACK, PUBREC, PUBREL } from '../../src/mqtt/packet.ts';
import { Receiver } from '../../src/mqtt/receiver.ts';
import { Session } from '../../src/mqtt/session.ts';

export interface Mutant {
  readonly name: string;
  /** Breaks the client; returns what mends it. */
  readonly apply: () => () => void;
}

// biome-ignore lint/suspicious/noExplicitAny: private methods are broken too.
type Anything = any;

/** Replaces a method by what `make` makes of it. */
function replace(
  owner: { prototype: object },
  name: string,
  make: (
    original: (...args: Anything[]) => Anything,
  ) => (this: Anything, ...args: Anything) => unknown,
): () => void {
  const target = owner.prototype as Record<string, Anything>;
  const original = target[name];
  if (typeof original !== 'function') throw new Error(`mutant: no method ${name}`);
  target[name] = make(original);
  return () => {
    target[name] = original;
  };
}

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'packet ids are used again while in flight',
    apply: () =>
      replace(Session, 'nextPacketId', () => {
        let last = 0;
        return () => {
          last = (last % 3) + 1;
          return last;
        };
      }),
  },
  {
    name: 'DUP is forgotten',
    apply: () =>
      replace(Delivery, 'writePublish', (original) => {
        return function (flags: number, ...rest: unknown[]) {
          return original.call(this, flags & ~8, ...rest);
        };
      }),
  },
  {
    name: 'PUBREL is not sent again',
    apply: () => {
      let pumping = false;
      const mends = [
        replace(Delivery, 'pump', (original) => {
          return function () {
            pumping = true;
            const done = original.call(this);
            pumping = false;
            return done;
          };
        }),
        replace(Connection, 'acknowledge', (original) => {
          return function (type: number, ...rest: unknown[]) {
            if (!pumping || type !== PUBREL) original.call(this, type, ...rest);
          };
        }),
      ];
      return () => {
        for (const mend of mends) mend();
      };
    },
  },
  {
    name: 'a message is acknowledged before it is handled',
    apply: () => {
      let early = false;
      const mends = [
        replace(Delivery, 'receive', (original) => {
          return function (packet: Packet, source: Uint8Array) {
            const { packetId, qos } = packet;
            if (qos > 0) this.connection.acknowledge(qos === 1 ? PUBACK : PUBREC, packetId, 0);
            early = true;
            const taken = original.call(this, packet, source);
            early = false;
            return taken;
          };
        }),
        replace(Connection, 'acknowledge', (original) => {
          return function (type: number, ...rest: unknown[]) {
            if (!early || type === PUBREL) original.call(this, type, ...rest);
          };
        }),
      ];
      return () => {
        for (const mend of mends) mend();
      };
    },
  },
  {
    name: 'PUBLISH is not sent again',
    apply: () => replace(Delivery, 'resume', () => () => undefined),
  },
  {
    name: 'an exchange that ends leaves its place to the last one',
    apply: () =>
      replace(Session, 'remove', () => {
        return function (index: number) {
          const last = this.start + (this.inflightCount - 1) * 8;
          this.bytes.copyWithin(this.start + index * 8, last, last + 8);
          this.inflightCount -= 1;
        };
      }),
  },
  {
    name: 'a session is trusted although a CONNACK was lost',
    apply: () => replace(Client, 'doubtSession', () => () => undefined),
  },
  {
    name: "the server's Receive Maximum is exceeded",
    apply: () =>
      replace(Connection, 'accepted', (original) => {
        return function (packet: Packet) {
          original.call(this, packet);
          this.receiveMaximum = 65535;
        };
      }),
  },
  {
    name: 'QoS 2 ends at PUBREC',
    apply: () =>
      replace(Session, 'setReceived', () => {
        return function (index: number) {
          this.remove(index);
          return 0;
        };
      }),
  },
  {
    name: 'a QoS 2 message that comes again is handled again',
    apply: () =>
      replace(Session, 'incomingIndexOf', () => {
        return () => -1;
      }),
  },
  {
    name: 'a session that the server lost is kept',
    apply: () => replace(Session, 'clear', () => () => undefined),
  },
  {
    name: 'PUBRELs are sent again in the order of the PUBLISHes',
    apply: () =>
      replace(Session, 'setReceived', () => {
        return function (index: number) {
          this.bytes[this.start + index * 8 + 2] = 3;
          return index;
        };
      }),
  },
  {
    name: 'half a packet outlives its connection',
    apply: () => replace(Receiver, 'reset', () => () => undefined),
  },
  {
    name: 'half a packet is never released',
    apply: () =>
      replace(Receiver, 'releaseHeld', () => {
        return function () {
          this.held = undefined;
          this.heldCount = 0;
        };
      }),
  },
  {
    name: 'no room is kept for acknowledgements',
    apply: () =>
      replace(Connection, 'hasRoom', () => {
        return function (size: number) {
          return size <= this.room;
        };
      }),
  },
  {
    name: 'an acknowledgement that never comes is waited for',
    apply: () => replace(Delivery, 'overdue', () => () => 0),
  },
  {
    name: 'PINGREQ is not sent',
    apply: () => replace(Connection, 'keepAlive', () => () => true),
  },
  {
    name: 'subscriptions are not restored',
    apply: () =>
      replace(Client, 'subscribe', (original) => {
        return function () {
          return this.connection.epoch < 2 ? original.call(this, true) : true;
        };
      }),
  },
  {
    name: 'a session from before a reset is kept on 3.1.1',
    apply: () =>
      replace(Client, 'start', (original) => {
        return function () {
          this.wipe = 'done';
          original.call(this);
        };
      }),
  },
  {
    name: 'what the server takes no more is sent again',
    apply: () =>
      replace(Delivery, 'pump', (original) => {
        return function () {
          const { qosMax } = this.connection;
          if (this.resendIndex < this.resendCount) this.connection.qosMax = 2;
          const done = original.call(this);
          this.connection.qosMax = qosMax;
          return done;
        };
      }),
  },
];
