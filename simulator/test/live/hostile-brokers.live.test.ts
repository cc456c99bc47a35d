// Brokers that are none, or not for us: one clear message and exit code 1, before anything begins.

import { type AddressInfo, createServer, type Socket } from 'node:net';
import mqttPacket from 'mqtt-packet';
import { afterAll, describe, expect, test } from 'vitest';
import { LiveRun } from '../../src/live/live-run.ts';
import { RunError } from '../../src/live/preflight.ts';
import { flotilla } from '../support/command-line.ts';
import { freePort } from '../support/mosquitto.ts';
import { loadedScenario, type ScenarioOptions, writeScenario } from '../support/scenario.ts';

const servers: { close(): void }[] = [];

afterAll(() => {
  for (const server of servers) server.close();
});

/** A server that does `act` with every connection; its URL. */
async function serve(act: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    act(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  servers.push({
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  });
  return `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A server that answers each packet. */
function answer(
  reply: (packet: mqttPacket.Packet, version: number) => mqttPacket.Packet | undefined,
): (socket: Socket) => void {
  return (socket) => {
    const parser = mqttPacket.parser();
    let version = 4;
    parser.on('packet', (packet) => {
      if (packet.cmd === 'connect') version = packet.protocolVersion ?? 4;
      const sent = reply(packet, version);
      if (sent !== undefined) socket.write(mqttPacket.generate(sent, { protocolVersion: version }));
    });
    socket.on('data', (chunk) => parser.parse(chunk));
  };
}

const CONNACK = { cmd: 'connack', sessionPresent: false, returnCode: 0, reasonCode: 0 } as const;

/** Silence, which only time tells from an answer. */
const SILENT: readonly string[] = ['says nothing', 'nobody answers'];

function scenario(name: string, broker: string): ScenarioOptions {
  const more = [`connect: { timeout: ${SILENT.includes(name) ? '2s' : '5m'} }`];
  return { name: name.replaceAll(' ', '-'), broker, count: 5, duration: '1h', more };
}

/** Why a run there does not begin. */
async function failureOf(name: string, url: string): Promise<RunError> {
  const loaded = loadedScenario(scenario(name, url));
  const run = new LiveRun(loaded, { workers: 1, onProgress: () => undefined });
  const error = await run.execute().then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(RunError);
  return error as RunError;
}

const HOSTILE: readonly [name: string, act: (socket: Socket) => void, reason: RegExp][] = [
  ['says nothing', () => undefined, /: no CONNACK in time/],
  ['closes at once', (socket) => socket.end(), /: closed by the server/],
  ['resets', (socket) => socket.resetAndDestroy(), /: connection reset/],
  [
    'speaks another protocol',
    (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'),
    /: what answers there does not speak MQTT/,
  ],
  [
    'sends garbage',
    (socket) => socket.write(Buffer.from([0x20, 0xff, 0xff, 0xff, 0xff, 0xff])),
    /: server violated MQTT: Malformed Packet/,
  ],
  [
    'sends garbage once it was asked',
    answer(({ cmd }) => (cmd === 'connect' ? CONNACK : { cmd: 'pingreq' })),
    /: server violated MQTT: Protocol Error/,
  ],
  [
    'refuses the connection',
    answer((_packet, version) => ({
      ...CONNACK,
      returnCode: 5,
      reasonCode: version === 5 ? 135 : 5,
    })),
    /: connection refused: Not authorized/,
  ],
  [
    'refuses the subscription',
    answer((packet) => {
      if (packet.cmd === 'connect') return CONNACK;
      if (packet.cmd !== 'subscribe') return undefined;
      return { cmd: 'suback', messageId: packet.messageId!, granted: [135, 135] };
    }),
    /: the broker refused a subscription to devices\/\+\/telemetry/,
  ],
];

describe('a run against a broker', () => {
  test.concurrent.each(HOSTILE)('that %s ends with the reason', async (name, act, reason) => {
    const url = await serve(act);
    const { message } = await failureOf(name, url);
    expect(message).toMatch(reason);
    expect(message.startsWith(url)).toBe(true);
  });

  test.concurrent('that is not there ends with the reason', async () => {
    const { message } = await failureOf('absent', await nowhere());
    expect(message).toMatch(/: connection refused\nIs a broker listening there\?/);
  });

  test.concurrent('whose host is unknown ends with the reason', async () => {
    const { message } = await failureOf('unknown', 'mqtt://no-such-host.invalid');
    expect(message).toMatch(/: host not found: no-such-host.invalid/);
  });
});

/** The URL of a server that is not there any more. */
async function nowhere(): Promise<string> {
  return `mqtt://127.0.0.1:${await freePort()}`;
}

describe('the command', () => {
  test.concurrent.each<[string, () => Promise<string>, RegExp]>([
    ['nobody listens', nowhere, /^flotilla: mqtt:\S+: connection refused\nIs a broker .*$/],
    [
      'nobody answers',
      () => serve(() => undefined),
      /^flotilla: mqtt:\S+: no CONNACK in time\n.*nothing was started\.$/,
    ],
  ])('where %s prints the reason, no stack trace, and exits with 1', async (name, url, text) => {
    const file = writeScenario({
      ...scenario(name, await url()),
      name: `command-${name.replaceAll(' ', '-')}`,
    });
    const { code, stderr, stdout } = await flotilla('run', file);
    expect(stderr.trim()).toMatch(text);
    expect(code).toBe(1);
    // And no summary of a run that was none.
    expect(stdout).not.toContain('LEDGER');
  });
});
