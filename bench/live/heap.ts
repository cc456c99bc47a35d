// V8 heap that a device of ours costs by itself, connected and at rest.
//
// Counted: the device with client, session and outbox, its strings, and the view of its ring.
// Not counted: the bytes of the ring (they are in an ArrayBuffer outside the heap) and the
// stream, which is one for all here. The platform is one for all too, so a second figure has
// the platform of a simulated device in it.

import {
  Device,
  DeviceProfile,
  type Platform,
  type Stream,
  type StreamHandlers,
} from '@flotilla/sdk';
import { CONNECT, Packet, PUBACK, PUBLISH, SUBSCRIBE } from '@flotilla/sdk/mqtt/packet';
import { readPacket } from '@flotilla/sdk/mqtt/read';
import { writeAck } from '@flotilla/sdk/mqtt/write';
import { writeConnack, writeSuback } from '@flotilla/sdk/mqtt/write-server';
import { MemorySettings, NodeMemory, nodeCrypto, StreamBuffers } from '@flotilla/sdk/node';
import { answerParent } from '../child.ts';
import {
  BUFFER_SIZE,
  deviceId,
  INTERVAL_MS,
  KEEP_ALIVE_S,
  PACKET_SIZE_MAX,
  SENSORS,
  sensorValue,
} from './fleet.ts';
import { loadSimulator } from './simulator.ts';

export interface HeapRequest {
  readonly devices: number;
}

export interface HeapReading {
  /** Per device, bytes. */
  readonly bytes: number;
  /** The same with the simulator's platform. */
  readonly simulatedBytes: number;
}

const ROOM = 16384;
/** Messages of each device before it is weighed: whatever is made at first use is made then. */
const MESSAGE_COUNT = 3;

/** A server that takes everything, on the one stream of all devices. */
class HeapStream implements Stream {
  target: unknown;
  handlers: StreamHandlers | undefined = undefined;
  /** QoS 1 messages taken. */
  publishCount = 0;
  private readonly packet = new Packet();
  private readonly answers = new Uint8Array(4096);
  private answersEnd = 0;

  read(into: Uint8Array, size: number): number {
    const count = Math.min(size, this.answersEnd);
    into.set(this.answers.subarray(0, count));
    this.answersEnd = 0;
    return count;
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    const { answers, answersEnd, packet } = this;
    const type = bytes[start]! >> 4;
    // The one packet that the SDK's reader for clients does not take.
    if (type === CONNECT) {
      this.answersEnd = writeConnack(answers, answersEnd, 5, false, 0, {});
      return ROOM;
    }
    if (type === SUBSCRIBE) {
      const packetId = (bytes[start + 2]! << 8) | bytes[start + 3]!;
      this.answersEnd = writeSuback(answers, answersEnd, 5, packetId, [1]);
      return ROOM;
    }
    const code = readPacket(packet, bytes, start, end, 5);
    if (code !== 0) throw new Error(`packet of type ${type}: code ${code}`);
    if (type === PUBLISH && packet.qos === 1) {
      this.publishCount += 1;
      this.answersEnd = writeAck(answers, answersEnd, PUBACK, packet.packetId, 5, 0);
    }
    return ROOM;
  }

  close(): void {
    throw new Error('a device left');
  }

  /** Hands over what was answered, and what is answered to that. */
  deliver(): void {
    while (this.answersEnd > 0) this.handlers!.onReadable.call(this, this.answersEnd);
  }
}

const stream = new HeapStream();
const memory = new NodeMemory(new StreamBuffers(4096));
const idleTimer = { start: () => undefined, stop: () => undefined };
let nowMs = 0;
const clock = {
  monotonicMs: () => nowMs,
  epochMs: () => 1_767_225_600_000 + nowMs,
  epochUncertaintyMs: () => 100,
  adjust: () => undefined,
};

const sharedPlatform: Platform = {
  clock,
  memory,
  settings: new MemorySettings(),
  crypto: nodeCrypto,
  createTimer: () => idleTimer,
  random: () => Math.floor(Math.random() * 4294967296),
  connect(_options, handlers, target) {
    stream.handlers = handlers;
    stream.target = target;
    return stream;
  },
  partition: () => undefined,
  feedWatchdog: () => undefined,
  battery: () => undefined,
};

const profile = new DeviceProfile({
  broker: { host: '127.0.0.1', port: 1883 },
  protocol: 5,
  keepAliveMs: KEEP_ALIVE_S * 1000,
  packetSizeMax: PACKET_SIZE_MAX,
  bufferSize: BUFFER_SIZE,
  intervalMs: INTERVAL_MS,
  sensors: SENSORS.map((sensor) => ({
    name: sensor.name,
    unit: sensor.unit,
    read: () => sensorValue(sensor, nowMs),
  })),
});

/** Connects a device and lets it publish. */
function settle(device: Device): void {
  stream.publishCount = 0;
  device.start();
  stream.handlers!.onWritable.call(stream, ROOM);
  stream.deliver();
  for (let count = 0; count < MESSAGE_COUNT; count += 1) {
    nowMs += INTERVAL_MS;
    device.onTimer();
    stream.deliver();
  }
  // Its birth, and at least one message: the first comes at a random time within one interval.
  const { client, pendingCount } = device;
  if (client.state !== 'connected' || pendingCount > 0 || stream.publishCount < 2) {
    throw new Error(`a device did not settle: ${client.state}, ${pendingCount} pending`);
  }
}

/** Bytes of heap per device; `platformOf` makes the platform of each. */
function weigh(count: number, platformOf: (index: number) => Platform): number {
  const devices: Device[] = [];
  const build = (index: number) => {
    const device = new Device({ platform: platformOf(index), id: deviceId(0, index), profile });
    settle(device);
    devices.push(device);
  };
  // Code and shared tables of the engine are there before the first reading.
  for (let index = 0; index < count; index += 1) build(index);
  const before = heapUsed();
  for (let index = count; index < 2 * count; index += 1) build(index);
  const bytes = (heapUsed() - before) / count;
  if (devices.length !== 2 * count) throw new Error('a device is missing');
  return bytes;
}

function heapUsed(): number {
  for (let count = 0; count < 3; count += 1) globalThis.gc!();
  return process.memoryUsage().heapUsed;
}

answerParent<HeapRequest>(async ({ devices }): Promise<HeapReading> => {
  const { SimulatedPlatform } = await loadSimulator('fleet/simulated-platform.ts');
  const world = {
    seed: 1,
    clock,
    memory,
    startTimer: () => undefined,
    stopTimer: () => undefined,
    connect: (_platform: unknown, _options: unknown, handlers: StreamHandlers, target: unknown) =>
      sharedPlatform.connect({ host: '', port: 0 }, handlers, target),
  };
  return {
    bytes: weigh(devices, () => sharedPlatform),
    simulatedBytes: weigh(devices, (index) => new SimulatedPlatform(world, index, index, 0)),
  };
});
