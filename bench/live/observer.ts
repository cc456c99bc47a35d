// The observer: sees what comes out of the broker, in a process of its own. It checks that each
// device's messages are all there and in order, with other people's MQTT client and CBOR.

import { Decoder } from 'cbor-x';
import mqtt from 'mqtt';
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

function take(topic: string, payload: Buffer): void {
  const [, id, name] = topic.split('/');
  if (name === 'telemetry') takeTelemetry(id!, payload);
  else if (name === 'diagnostics') counts.diagnostics += 1;
  else if (payload.includes('online')) counts.births += 1;
}

async function open(port: number): Promise<void> {
  const url = `mqtt://127.0.0.1:${port}`;
  const client = await mqtt.connectAsync(url, { protocolVersion: 5, clientId: 'observer' });
  client.on('message', take);
  client.on('close', () => {
    throw new Error('the observer lost its connection');
  });
  const topics = ['telemetry', 'status', 'diagnostics'].map((name) => `devices/+/${name}`);
  // Over TCP nothing is lost at QoS 0 either, and a loss would show; acknowledging would only
  // keep the broker from its work.
  await client.subscribeAsync(topics, { qos: 0 });
}

answerParent<ObserverRequest>((request) =>
  request.kind === 'open' ? open(request.port) : { ...counts },
);
