// The observer: sees what comes out of the broker, in a process of its own. It checks that each
// device's messages are all there and in order, with other people's MQTT parser and CBOR, and
// as cheaply as it can: what it takes from the machine is missing to those who are measured.

import { connect, type Socket } from 'node:net';
import { Decoder } from 'cbor-x';
import { generate, type IPublishPacket, type Packet, parser } from 'mqtt-packet';
import { answerParent } from '../child.ts';

export type ObserverRequest =
  | { readonly kind: 'open'; readonly port: number }
  | { readonly kind: 'count' };

export interface Counts {
  /** Devices that said that they are online, and diagnostics. */
  readonly births: number;
  readonly diagnostics: number;
  /** Telemetry: messages that followed the one before of their device, and all others. */
  readonly messages: number;
  readonly misplaced: number;
  readonly payloadBytes: number;
}

const TOPICS = ['telemetry', 'status', 'diagnostics'].map((name) => `devices/+/${name}`);

const decoder = new Decoder({ mapsAsObjects: true });
const nextSequences = new Map<string, number>();
const counts = { births: 0, diagnostics: 0, messages: 0, misplaced: 0, payloadBytes: 0 };

/** First record of a pack: label 2 is the value, here the sequence; -2 the base name. */
interface FirstRecord {
  readonly 2: number;
  readonly '-2': string;
}

function takeTelemetry(id: string, payload: Buffer): void {
  const [first] = decoder.decode(payload) as readonly [FirstRecord];
  const expected = nextSequences.get(id) ?? 0;
  const right = first[2] === expected && first['-2'].startsWith(`${id}/`);
  counts[right ? 'messages' : 'misplaced'] += 1;
  counts.payloadBytes += payload.length;
  nextSequences.set(id, first[2] + 1);
}

function takePublish({ topic, payload }: IPublishPacket): void {
  const [, id, name] = topic.split('/');
  if (name === 'telemetry') takeTelemetry(id!, payload as Buffer);
  else if (name === 'diagnostics') counts.diagnostics += 1;
  else if (payload.includes('online')) counts.births += 1;
}

/** Subscribes; resolves when the broker has said so. */
function open(port: number): Promise<void> {
  const socket = connect({ host: '127.0.0.1', port });
  const { promise, resolve } = Promise.withResolvers<void>();
  const reader = parser({ protocolVersion: 4 });
  reader.on('packet', (packet: Packet) => {
    if (packet.cmd === 'publish') takePublish(packet);
    else if (packet.cmd === 'connack') subscribe(socket);
    else if (packet.cmd === 'suback') resolve();
  });
  reader.on('error', fail);
  socket.on('data', (chunk) => reader.parse(chunk));
  socket.on('error', fail);
  socket.on('close', () => fail(new Error('the observer lost its connection')));
  // Clean, and no keep-alive: there is nothing to say but this.
  const clientId = 'observer';
  socket.write(generate({ cmd: 'connect', clientId, protocolVersion: 4, clean: true }));
  return promise;
}

function subscribe(socket: Socket): void {
  // Over TCP nothing is lost at QoS 0 either, and a loss would show; acknowledging would only
  // keep the broker from its work.
  const subscriptions = TOPICS.map((topic) => ({ topic, qos: 0 as const }));
  socket.write(generate({ cmd: 'subscribe', messageId: 1, subscriptions }));
}

function fail(error: Error): never {
  throw error;
}

answerParent<ObserverRequest>((request) =>
  request.kind === 'open' ? open(request.port) : { ...counts },
);
