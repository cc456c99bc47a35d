// The session against an ordered list, through random sequences of what can happen to it.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AWAIT_PUBACK, AWAIT_PUBCOMP, AWAIT_PUBREC, Session } from '../../src/mqtt/session.ts';

const INFLIGHT_MAX = 5;
const INCOMING_MAX = 3;
const START = 7;

function newSession(inflightMax = INFLIGHT_MAX, incomingMax = INCOMING_MAX): Session {
  const size = Session.size(inflightMax, incomingMax);
  return new Session(new Uint8Array(START + size + 9).fill(0xaa), START, inflightMax, incomingMax);
}

interface Entry {
  packetId: number;
  state: number;
  reference: number;
}

interface Incoming {
  packetId: number;
  doubtful: boolean;
}

/** The session as lists. */
class Model {
  entries: Entry[] = [];
  incoming: Incoming[] = [];
}

interface Real {
  session: Session;
}

class Add implements fc.Command<Model, Real> {
  readonly qos: 1 | 2;
  readonly reference: number;
  constructor(qos: 1 | 2, reference: number) {
    this.qos = qos;
    this.reference = reference;
  }
  check(model: Model): boolean {
    return model.entries.length < INFLIGHT_MAX;
  }
  run(model: Model, { session }: Real): void {
    const packetId = session.nextPacketId(0);
    expect(packetId).toBeGreaterThan(0);
    expect(packetId).toBeLessThan(65536);
    expect(model.entries.map((one) => one.packetId)).not.toContain(packetId);
    session.add(packetId, this.qos, this.reference);
    const state = this.qos === 2 ? AWAIT_PUBREC : AWAIT_PUBACK;
    model.entries.push({ packetId, state, reference: this.reference });
  }
  toString(): string {
    return `add(${this.qos}, ${this.reference})`;
  }
}

class Remove implements fc.Command<Model, Real> {
  readonly nth: number;
  constructor(nth: number) {
    this.nth = nth;
  }
  check(model: Model): boolean {
    return model.entries.length > 0;
  }
  run(model: Model, { session }: Real): void {
    const index = this.nth % model.entries.length;
    session.remove(index);
    model.entries.splice(index, 1);
  }
  toString(): string {
    return `remove(${this.nth})`;
  }
}

class SetReceived implements fc.Command<Model, Real> {
  readonly nth: number;
  constructor(nth: number) {
    this.nth = nth;
  }
  check(model: Model): boolean {
    return model.entries.some((one) => one.state === AWAIT_PUBREC);
  }
  run(model: Model, { session }: Real): void {
    const waiting = model.entries.filter((one) => one.state === AWAIT_PUBREC);
    const entry = waiting[this.nth % waiting.length] as Entry;
    const index = model.entries.indexOf(entry);
    model.entries.splice(index, 1);
    // Behind those that the server owns already, in front of all others.
    const to = model.entries.filter((one) => one.state === AWAIT_PUBCOMP).length;
    model.entries.splice(to, 0, { ...entry, state: AWAIT_PUBCOMP });
    expect(session.setReceived(index)).toBe(to);
  }
  toString(): string {
    return `setReceived(${this.nth})`;
  }
}

class Receive implements fc.Command<Model, Real> {
  readonly packetId: number;
  readonly dup: boolean;
  constructor(packetId: number, dup: boolean) {
    this.packetId = packetId;
    this.dup = dup;
  }
  check(): boolean {
    return true;
  }
  run(model: Model, { session }: Real): void {
    const at = model.incoming.findIndex((one) => one.packetId === this.packetId);
    const isOther = at >= 0 && !this.dup && (model.incoming[at] as Incoming).doubtful;
    if (isOther) model.incoming.splice(at, 1);
    const known = at >= 0 && !isOther;
    expect(session.isIncoming(this.packetId, this.dup)).toBe(known);
    if (known) return;
    const full = model.incoming.length === INCOMING_MAX;
    if (full && model.incoming[0]?.doubtful === true) model.incoming.shift();
    const room = model.incoming.length < INCOMING_MAX;
    expect(session.addIncoming(this.packetId)).toBe(room);
    if (room) model.incoming.push({ packetId: this.packetId, doubtful: false });
  }
  toString(): string {
    return `receive(${this.packetId}${this.dup ? ', dup' : ''})`;
  }
}

class Release implements fc.Command<Model, Real> {
  readonly nth: number;
  constructor(nth: number) {
    this.nth = nth;
  }
  check(model: Model): boolean {
    return model.incoming.length > 0;
  }
  run(model: Model, { session }: Real): void {
    const at = this.nth % model.incoming.length;
    const { packetId } = model.incoming[at] as Incoming;
    session.removeIncoming(session.incomingIndexOf(packetId));
    model.incoming.splice(at, 1);
    expect(session.incomingIndexOf(packetId)).toBe(-1);
  }
  toString(): string {
    return `release(${this.nth})`;
  }
}

class Doubt implements fc.Command<Model, Real> {
  check(): boolean {
    return true;
  }
  run(model: Model, { session }: Real): void {
    session.doubtIncoming();
    for (const one of model.incoming) one.doubtful = true;
  }
  toString(): string {
    return 'doubt';
  }
}

class Clear implements fc.Command<Model, Real> {
  check(): boolean {
    return true;
  }
  run(model: Model, { session }: Real): void {
    session.clear();
    model.entries = [];
    model.incoming = [];
  }
  toString(): string {
    return 'clear';
  }
}

/** All that a session tells equals the lists; runs after every command. */
class Compare implements fc.Command<Model, Real> {
  check(): boolean {
    return true;
  }
  run(model: Model, { session }: Real): void {
    expect(session.inflightCount).toBe(model.entries.length);
    expect(session.full).toBe(model.entries.length === INFLIGHT_MAX);
    for (const [index, { packetId, reference, state }] of model.entries.entries()) {
      expect(session.indexOf(packetId)).toBe(index);
      expect([
        session.packetIdAt(index),
        session.stateAt(index),
        session.referenceAt(index),
      ]).toEqual([packetId, state, reference]);
    }
    expect(session.indexOf(0)).toBe(-1);
    expect(session.incomingCount).toBe(model.incoming.length);
    for (const { packetId } of model.incoming) {
      expect(session.incomingIndexOf(packetId)).toBeGreaterThanOrEqual(0);
    }
  }
  toString(): string {
    return '=';
  }
}

const nth = fc.nat(9);
const reference = fc.oneof(fc.integer({ min: 0, max: 4294967295 }), fc.constant(4294967295));
/** Few, so that they meet. */
const packetId = fc.constantFrom(1, 2, 3, 4, 255, 256, 65535);

const COMMANDS: fc.Arbitrary<fc.Command<Model, Real>>[] = [
  fc.tuple(fc.constantFrom<1 | 2>(1, 2), reference).map(([qos, value]) => new Add(qos, value)),
  fc.tuple(fc.constantFrom<1 | 2>(1, 2), reference).map(([qos, value]) => new Add(qos, value)),
  nth.map((value) => new Remove(value)),
  nth.map((value) => new SetReceived(value)),
  fc.tuple(packetId, fc.boolean()).map(([value, dup]) => new Receive(value, dup)),
  nth.map((value) => new Release(value)),
  fc.constant(new Doubt()),
  fc.constant(new Clear()),
];

describe('session', () => {
  test('is an ordered list of exchanges, whatever happens', () => {
    const commands = fc
      .commands(COMMANDS, { maxCommands: 40 })
      .map((list) => [...list].flatMap((one) => [one, new Compare()]));
    fc.assert(
      fc.property(commands, (list) => {
        fc.modelRun(() => ({ model: new Model(), real: { session: newSession() } }), list);
      }),
      { numRuns: 300 },
    );
  });

  test('touches only its own bytes', () => {
    const size = Session.size(3, 2);
    const bytes = new Uint8Array(START + size + 9).fill(0xaa);
    const session = new Session(bytes, START, 3, 2);
    for (let count = 0; count < 3; count += 1) session.add(session.nextPacketId(0), 2, 0xffffffff);
    session.setReceived(2);
    session.setReceived(2);
    session.addIncoming(65535);
    session.addIncoming(1);
    session.removeIncoming(0);
    session.remove(0);
    expect([...bytes.subarray(0, START)]).toEqual(new Array(START).fill(0xaa));
    expect([...bytes.subarray(START + size)]).toEqual(new Array(9).fill(0xaa));
  });

  test('needs its bytes and its room', () => {
    const size = Session.size(2, 2);
    expect(() => new Session(new Uint8Array(size), 1, 2, 2)).toThrow('session past its bytes');
    const session = newSession(1, 1);
    session.add(1, 1, 1);
    expect(() => session.add(2, 1, 2)).toThrow('inflight table full');
  });

  test('packet ids go round from 65535 to 1 and pass over those in use', () => {
    const session = newSession(3, 1);
    session.add(session.nextPacketId(0), 1, 10);
    session.add(session.nextPacketId(0), 1, 11);
    let last = 0;
    for (let count = 3; count <= 65535; count += 1) last = session.nextPacketId(0);
    expect(last).toBe(65535);
    expect(session.nextPacketId(0)).toBe(3);
    for (let count = 4; count <= 65534; count += 1) session.nextPacketId(0);
    expect(session.nextPacketId(65535)).toBe(3);
  });

  test('packet ids go on counting after the session was lost', () => {
    const session = newSession();
    session.add(session.nextPacketId(0), 1, 1);
    session.clear();
    expect(session.nextPacketId(0)).toBe(2);
  });
});

describe('found by the model test', () => {
  test('PUBRELs come first, in the order of the PUBRECs (MQTT-4.6.0-4)', () => {
    const session = newSession();
    for (const id of [1, 2, 3, 4]) session.add(id, 2, id);
    expect(session.setReceived(2)).toBe(0);
    expect(session.setReceived(1)).toBe(1);
    const ids = [0, 1, 2, 3].map((index) => session.packetIdAt(index));
    expect(ids).toEqual([3, 1, 2, 4]);
  });

  test('a new session that went unnoticed may use an old packet id for another message', () => {
    const session = newSession();
    session.addIncoming(1);
    expect(session.isIncoming(1, false)).toBe(true);
    session.doubtIncoming();
    expect(session.isIncoming(1, true)).toBe(true);
    expect(session.isIncoming(1, false)).toBe(false);
  });

  test('ids of a session that is gone do not fill the table for ever', () => {
    const session = newSession(1, 2);
    session.addIncoming(10);
    session.addIncoming(11);
    expect(session.addIncoming(12)).toBe(false);
    session.doubtIncoming();
    expect(session.addIncoming(12)).toBe(true);
    expect(session.addIncoming(13)).toBe(true);
    expect(session.addIncoming(14)).toBe(false);
  });
});
