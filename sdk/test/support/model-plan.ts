// What happens in one sequence of the model test: a setup and a list of steps, as plain data, so
// that a failing one can be printed, repeated and made smaller.

import type { ProtocolVersion, Qos } from '../../src/mqtt/packet.ts';
import type { VersionRefusal } from './broker-model.ts';
import { Random, seedOf } from './random.ts';

export interface Setup {
  /** For all that is random while the sequence runs. */
  readonly seed: number;
  readonly protocol: ProtocolVersion | 0;
  /** 5 is spoken by the broker, or refused in this way. */
  readonly refusal: VersionRefusal | 'none';
  readonly inflightMax: number;
  readonly receiveMax: number;
  readonly packetSizeMax: number;
  readonly keepAliveS: number;
  readonly sessionExpiryS: number;
  readonly transmitSize: number;
  readonly receiveSize: number;
  /** Bytes that the stream takes; at least the transmit buffer's size. */
  readonly roomMax: number;
  /** Largest delivery of each direction; 0 = all that waits. */
  readonly chunkUpMax: number;
  readonly chunkDownMax: number;
  readonly delayMsMax: number;
  /** How late the client may hear of room that came back. */
  readonly announceMsMax: number;
  readonly ackDelayMsMax: number;
  readonly acksInOrder: boolean;
  readonly passOnAt: 'publish' | 'pubrel';
  readonly sendMax: number;
  readonly hasWill: boolean;
}

/** Who notices that a connection broke: one side may learn of it late or never. */
export type Notice = 'both' | 'device-late' | 'server-late' | 'device-never' | 'server-never';

/** Answers that a broker may owe for ever on a connection that lives. */
export type LostAnswer = 'puback' | 'pubrec' | 'pubcomp' | 'suback' | 'pingresp';

export type Step =
  | { kind: 'publish'; qos: Qos; size: number; topic: string; retain: boolean }
  | { kind: 'send'; qos: Qos; size: number }
  | { kind: 'wait'; ms: number }
  | { kind: 'cut'; direction: 'up' | 'down'; after: number; notice: Notice }
  | { kind: 'crash'; keeps: boolean }
  | { kind: 'forget' }
  | {
      kind: 'limits';
      receiveMaximum: number;
      maximumQos: Qos;
      retainAvailable: boolean;
      maximumPacketSize: number;
      topicAliasMaximum: number;
      serverKeepAliveS: number;
    }
  | { kind: 'refuse'; code: number; count: number }
  | { kind: 'stall'; ms: number }
  | { kind: 'silence'; ms: number }
  | { kind: 'disconnect'; code: number }
  | { kind: 'reject'; code: number; ms: number }
  | { kind: 'outage'; ms: number; mute: boolean }
  | { kind: 'lose'; cmd: LostAnswer; count: number }
  | { kind: 'garbage'; bytes: readonly number[] }
  | { kind: 'oversize'; qos: Qos; size: number }
  | { kind: 'reset' }
  | { kind: 'restart' };

export interface Plan {
  readonly setup: Setup;
  readonly steps: readonly Step[];
}

const NOTICES: readonly Notice[] = [
  'both',
  'both',
  'device-late',
  'server-late',
  'device-never',
  'server-never',
];
/** Not authorized, and three that ask to come again. */
const REFUSALS = [0x87, 0x80, 0x83, 0x97];
const LOST_ANSWERS = ['puback', 'puback', 'pubrec', 'pubcomp', 'suback', 'pingresp'] as const;
/** What a server must not send: each ends the connection. */
const GARBAGE: readonly (readonly number[])[] = [
  [0x00, 0x00],
  [0x30, 0xff, 0xff, 0xff, 0xff, 0x7f],
  [0x36, 0x05, 0x00, 0x01, 0x61, 0x00, 0x01],
  [0xc0, 0x00],
  [0x40, 0x02, 0x00, 0x00],
  [0x20, 0x03, 0x00, 0x00, 0x00],
  [0x32, 0x80, 0x80, 0x80, 0x80],
];

function anySetup(random: Random, seed: number): Setup {
  const protocol = random.pick<ProtocolVersion | 0>([0, 5, 5, 5, 4, 4]);
  const transmitSize = random.pick([192, 256, 512]);
  const byBytes = random.oneIn(4);
  const chunks = byBytes ? [1, 1, 2, 3] : [0, 0, 5, 20, 60];
  return {
    seed,
    protocol,
    refusal:
      protocol === 0
        ? random.pick([
            'none',
            'none',
            'return-code-1',
            'reason-0x84',
            'reason-0x84-short',
            'close',
          ] as const)
        : 'none',
    inflightMax: random.pick([1, 2, 3, 8]),
    receiveMax: random.pick([1, 2, 4, 16]),
    packetSizeMax: random.pick([128, 256, 2048]),
    keepAliveS: random.pick([0, 5, 10, 30, 60]),
    sessionExpiryS: random.pick([0, 3600, 3600, 3600, 3600]),
    transmitSize,
    receiveSize: random.pick([16, 64, 512]),
    roomMax: transmitSize + random.pick([0, 0, 7, 100, 2000]),
    chunkUpMax: random.pick(chunks),
    chunkDownMax: random.pick(chunks),
    delayMsMax: random.pick([0, 1, 20]),
    announceMsMax: random.pick([0, 0, 5, 200]),
    ackDelayMsMax: random.pick([0, 0, 5, 100, 2000]),
    acksInOrder: random.oneIn(2),
    passOnAt: random.pick(['publish', 'pubrel'] as const),
    sendMax: random.pick([1, 3, 20]),
    hasWill: random.oneIn(2),
  };
}

function anyStep(random: Random): Step {
  const dice = random.below(100);
  if (dice < 32) {
    return {
      kind: 'publish',
      qos: random.pick<Qos>([0, 1, 1, 2, 2]),
      size: random.pick([5, 9, 20, 60, 110]),
      topic: random.pick(['telemetry', 'telemetry', 'events']),
      retain: random.oneIn(6),
    };
  }
  if (dice < 50) {
    const size = random.pick([5, 12, 40, 80]);
    return { kind: 'send', qos: random.pick<Qos>([0, 1, 1, 2, 2]), size };
  }
  if (dice < 66) return { kind: 'wait', ms: random.pick([1, 3, 10, 30, 200, 3000, 20000, 90000]) };
  if (dice < 80) {
    return {
      kind: 'cut',
      direction: random.pick(['up', 'down'] as const),
      after: random.pick([0, random.below(12), random.below(120), random.below(400)]),
      notice: random.pick(NOTICES),
    };
  }
  if (dice < 83) return { kind: 'crash', keeps: random.oneIn(2) };
  if (dice < 85) return { kind: 'forget' };
  if (dice < 88) return anyLimits(random);
  if (dice < 90) {
    return { kind: 'refuse', code: random.pick(REFUSALS), count: random.between(1, 3) };
  }
  if (dice < 92) return { kind: 'stall', ms: random.pick([20, 1000, 30000]) };
  return rareStep(random);
}

function anyLimits(random: Random): Step {
  return {
    kind: 'limits',
    receiveMaximum: random.pick([1, 2, 3, 65535]),
    maximumQos: random.pick<Qos>([0, 1, 1, 2, 2, 2]),
    retainAvailable: !random.oneIn(3),
    maximumPacketSize: random.pick([0, 0, 100, 300]),
    topicAliasMaximum: random.pick([0, 1, 10]),
    serverKeepAliveS: random.pick([-1, -1, 0, 4, 20]),
  };
}

function rareStep(random: Random): Step {
  switch (random.below(9)) {
    case 0:
      return { kind: 'silence', ms: random.pick([500, 20000, 100000]) };
    case 1:
      return { kind: 'disconnect', code: random.pick([0x8b, 0x8e, 0x98]) };
    case 2:
      return { kind: 'reject', code: random.pick([0x88, 0x89]), ms: random.pick([50, 5000]) };
    case 3:
      return { kind: 'outage', ms: random.pick([50, 5000, 40000]), mute: random.oneIn(3) };
    case 4:
      return { kind: 'garbage', bytes: random.pick(GARBAGE) };
    case 5:
      return { kind: 'reset' };
    case 6:
      return { kind: 'restart' };
    case 7:
      return { kind: 'lose', cmd: random.pick(LOST_ANSWERS), count: random.pick([1, 1, 3, 40]) };
    default:
      return { kind: 'oversize', qos: random.pick<Qos>([0, 1, 2]), size: 400 };
  }
}

/** The `index`th sequence of `seed`. */
export function planOf(seed: number, index: number): Plan {
  const own = seedOf(seed, index);
  const random = new Random(own);
  const setup = anySetup(random, seedOf(own, 1));
  // Mostly the first connection is left in peace.
  const steps: Step[] = random.oneIn(4) ? [] : [{ kind: 'wait', ms: 200 }];
  const count = random.pick([4, 8, 16, 30]);
  for (let at = 0; at < count; at += 1) steps.push(anyStep(random));
  return { setup, steps };
}

/** The sequence that is cut at every byte: each QoS both ways, before and after a pause. */
const CUT_STEPS: readonly Step[] = [
  { kind: 'publish', qos: 1, size: 9, topic: 'telemetry', retain: false },
  { kind: 'publish', qos: 2, size: 9, topic: 'telemetry', retain: false },
  { kind: 'wait', ms: 30 },
  { kind: 'send', qos: 2, size: 9 },
  { kind: 'send', qos: 1, size: 9 },
  { kind: 'publish', qos: 0, size: 5, topic: 'events', retain: false },
  { kind: 'publish', qos: 2, size: 5, topic: 'events', retain: false },
  { kind: 'wait', ms: 30 },
  { kind: 'send', qos: 0, size: 5 },
  { kind: 'send', qos: 2, size: 5 },
  { kind: 'publish', qos: 1, size: 5, topic: 'events', retain: false },
];

/** The sequence above with one cut after `after` bytes; negative = none. */
export function cutPlan(
  protocol: ProtocolVersion | 0,
  direction: 'up' | 'down',
  after: number,
  notice: Notice,
): Plan {
  const setup: Setup = {
    seed: after,
    protocol,
    refusal: protocol === 0 ? 'return-code-1' : 'none',
    inflightMax: 3,
    receiveMax: 4,
    packetSizeMax: 2048,
    keepAliveS: 10,
    sessionExpiryS: 3600,
    transmitSize: 256,
    receiveSize: 64,
    roomMax: 300,
    chunkUpMax: 0,
    chunkDownMax: 0,
    delayMsMax: 1,
    announceMsMax: 3,
    ackDelayMsMax: 0,
    acksInOrder: true,
    passOnAt: after % 2 === 0 ? 'publish' : 'pubrel',
    sendMax: 20,
    hasWill: true,
  };
  const cut: Step = { kind: 'cut', direction, after, notice };
  return { setup, steps: after < 0 ? CUT_STEPS : [cut, ...CUT_STEPS] };
}
