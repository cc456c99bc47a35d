// A device on XS as it is on a chip, with nothing of a test around it: three sensors, a shadow, a
// buffer of 4 KB, a platform whose server is a few lines. What it takes is read between the commands.

import {
  Device,
  DeviceProfile,
  type Platform,
  type Stream,
  type StreamHandlers,
  type Timer,
  type TimerTarget,
} from '../../../sdk/src/index.ts';
import { CONNECT, Packet, PUBACK, PUBLISH, SUBSCRIBE } from '../../../sdk/src/mqtt/packet.ts';
import { readPacket } from '../../../sdk/src/mqtt/read.ts';
import { writeAck, writePublish } from '../../../sdk/src/mqtt/write.ts';
import { writeConnack, writeSuback } from '../../../sdk/src/mqtt/write-server.ts';
import { cborCodec } from '../../../sdk/src/shadow/shadow-codec.ts';
import { member } from '../../../sdk/src/shadow/shadow-value.ts';

const ROOM = 1024;
const INTERVAL_MS = 10_000;
/** Bytes of each of the three buffers that the devices of a platform share. */
const SHARED_BUFFER_SIZE = 512;
/** What the device subscribes to: shadow and commands. */
const FILTER_COUNT = 7;
const SHADOW_GET = 'shadow/get';

/** A server that takes everything, on the one stream. */
class Server implements Stream {
  target: unknown;
  handlers: StreamHandlers | undefined = undefined;
  publishCount = 0;
  connectCount = 0;
  private shadowVersion = 0;
  private readonly packet = new Packet();
  private readonly answers = new Uint8Array(512);
  private answersEnd = 0;

  read(into: Uint8Array, size: number): number {
    const count = Math.min(size, this.answersEnd);
    for (let index = 0; index < count; index += 1) into[index] = this.answers[index] as number;
    this.answersEnd = 0;
    return count;
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    const { answers, answersEnd, packet } = this;
    const type = (bytes[start] as number) >> 4;
    if (type === CONNECT) {
      this.connectCount += 1;
      this.answersEnd = writeConnack(answers, answersEnd, 5, false, 0, {});
    } else if (type === SUBSCRIBE) {
      // Of a remaining length, all bytes but the last have their high bit set (MQTT 5 §1.5.5).
      let at = start + 1;
      while (((bytes[at] as number) & 0x80) !== 0) at += 1;
      const packetId = ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number);
      const codes = new Uint8Array(FILTER_COUNT).fill(1);
      this.answersEnd = writeSuback(answers, answersEnd, 5, packetId, codes);
    } else {
      const code = readPacket(packet, bytes, start, end, 5);
      if (code !== 0) throw new Error(`packet of type ${type}: code ${code}`);
      if (type === PUBLISH && packet.qos === 1) {
        this.publishCount += 1;
        this.answersEnd = writeAck(answers, answersEnd, PUBACK, packet.packetId, 5, 0);
      } else if (type === PUBLISH) {
        this.answerShadow(bytes);
      }
    }
    return ROOM;
  }

  /** The shadow service: one value is desired, and what is reported is taken. */
  private answerShadow(bytes: Uint8Array): void {
    const { answers, packet } = this;
    const { payloadEnd, payloadStart, topicEnd, topicStart } = packet;
    let topic = '';
    for (let at = topicStart; at < topicEnd; at += 1) {
      topic += String.fromCharCode(bytes[at] as number);
    }
    if (topic.indexOf('/shadow/') < 0) return;
    const request = cborCodec.read(bytes, payloadStart, payloadEnd, 512);
    const clientToken = member(request, 'clientToken') as string;
    const isGet = topic.substring(topic.length - SHADOW_GET.length) === SHADOW_GET;
    const state = isGet
      ? { desired: { reportingInterval: INTERVAL_MS / 1000 } }
      : { reported: member(member(request, 'state'), 'reported') };
    this.shadowVersion += 1;
    const timestamp = 1_767_225_600;
    const document = { state, version: this.shadowVersion, timestamp, clientToken };
    const payload = new Uint8Array(256);
    const size = cborCodec.write(payload, 0, document as never);
    this.answersEnd = writePublish(answers, this.answersEnd, 5, {
      topic: `${topic}/accepted`,
      payload: payload.subarray(0, size),
      qos: 0,
      packetId: 0,
      dup: false,
      retain: false,
    });
  }

  close(): void {
    this.answersEnd = 0;
  }

  deliver(): void {
    const handlers = this.handlers as StreamHandlers;
    while (this.answersEnd > 0) handlers.onReadable.call(this, this.answersEnd);
  }
}

/** As large as that of the port, which has to hand the engine a function. */
class PortTimer implements Timer {
  readonly fire: () => void;
  handle: unknown = undefined;

  constructor(target: TimerTarget) {
    this.fire = () => target.onTimer();
  }

  start(): void {
    this.handle = undefined;
  }

  stop(): void {
    this.handle = undefined;
  }
}

/** The world, made before anything is read; its members are what a port keeps besides. */
const world = {
  nowMs: 0,
  server: new Server(),
  buffers: undefined as Uint8Array[] | undefined,
  profile: undefined as DeviceProfile | undefined,
  device: undefined as Device | undefined,
};

const platform: Platform = {
  clock: {
    monotonicMs: () => world.nowMs,
    epochMs: () => 1_767_225_600_000 + world.nowMs,
    epochUncertaintyMs: () => 100,
    adjust: () => undefined,
  },
  memory: {
    get transmit() {
      return (world.buffers as Uint8Array[])[0] as Uint8Array;
    },
    get receive() {
      return (world.buffers as Uint8Array[])[1] as Uint8Array;
    },
    get scratch() {
      return (world.buffers as Uint8Array[])[2] as Uint8Array;
    },
    allocate: (size) => new Uint8Array(size),
    release: () => undefined,
    heapUsed: () => undefined,
  },
  settings: { get: () => undefined, set: () => undefined, delete: () => undefined },
  crypto: {
    sha256: () => {
      throw new Error('not here');
    },
    verify: () => false,
  },
  createTimer: (target) => new PortTimer(target),
  random: () => 0x12345678,
  connect(_options, handlers, target) {
    world.server.handlers = handlers;
    world.server.target = target;
    return world.server;
  },
  partition: () => undefined,
  feedWatchdog: () => undefined,
  battery: () => undefined,
};

const STEPS: Readonly<Record<string, () => void>> = {
  buffers() {
    world.buffers = [0, 1, 2].map(() => new Uint8Array(SHARED_BUFFER_SIZE));
  },
  profile() {
    world.profile = new DeviceProfile({
      broker: { host: 'broker.example.com', port: 1883 },
      protocol: 5,
      packetSizeMax: SHARED_BUFFER_SIZE,
      bufferSize: 4096,
      intervalMs: INTERVAL_MS,
      sensors: [
        { name: 'temperature', unit: 'Cel', read: () => 21.5 },
        { name: 'humidity', unit: '%RH', read: () => 40.25 },
        { name: 'battery', unit: 'V', read: () => 3.7 },
      ],
      shadow: { handlers: { reportingInterval: () => undefined } },
    });
  },
  device() {
    const { profile, server } = world;
    const id = 'thermometer-0001';
    world.device = new Device({ platform, id, profile: profile as DeviceProfile });
    world.device.start();
    (server.handlers as StreamHandlers).onWritable.call(server, ROOM);
    server.deliver();
    publish(3);
  },
  /** A day of samples, each published and acknowledged. */
  day: () => publish((24 * 3600 * 1000) / INTERVAL_MS),
};

function publish(count: number): void {
  const { device, server } = world;
  const before = server.publishCount;
  for (let index = 0; index < count; index += 1) {
    world.nowMs += INTERVAL_MS;
    (device as Device).onTimer();
    server.deliver();
  }
  const published = server.publishCount - before;
  if (published < count - 1) throw new Error(`${published} of ${count} were published`);
  if ((device as Device).pendingCount > 0) throw new Error('something still waits');
  if (device?.shadow?.isSettled !== true) throw new Error('the shadow is not settled');
  if (device.shadow.valueOf('reportingInterval') === undefined) throw new Error('nothing applied');
}

function handleCommand(bytes: ArrayBuffer): ArrayBufferLike {
  let name = '';
  const view = new Uint8Array(bytes);
  for (let index = 0; index < view.length; index += 1) {
    name += String.fromCharCode(view[index] as number);
  }
  (STEPS[name] as () => void)();
  return new Uint8Array(0).buffer;
}

// The worker looks for it among the globals.
Object.assign(globalThis, { handleCommand });
