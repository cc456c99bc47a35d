import { createServer, type Server } from 'node:net';
import { afterAll, describe, expect, test } from 'vitest';
import {
  checkDuration,
  checkOpenFiles,
  RunError,
  resolveTarget,
} from '../../src/live/preflight.ts';
import type { Broker } from '../../src/scenario/schema.ts';
import { CommandLine } from '../support/command-line.ts';
import { freePort } from '../support/mosquitto.ts';
import { writeScenario } from '../support/scenario.ts';

const servers: Server[] = [];

afterAll(() => {
  for (const server of servers) server.close();
});

async function listen(): Promise<number> {
  const server = createServer((socket) => socket.on('error', () => undefined));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as { port: number }).port;
}

function broker(host: string, port: number, more: Partial<Broker> = {}): Broker {
  return { url: `mqtt://${host}:${port}`, host, port, ...more };
}

async function failureOf(target: Broker): Promise<string> {
  const error = await resolveTarget(target).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(RunError);
  return (error as RunError).message;
}

describe('the target of a run', () => {
  test('is the address of its host that accepts', async () => {
    const port = await listen();
    expect(await resolveTarget(broker('127.0.0.1', port))).toEqual({ host: '127.0.0.1', port });
    // The name may also stand for ::1, where nobody listens.
    expect(await resolveTarget(broker('localhost', port))).toEqual({ host: '127.0.0.1', port });
  });

  test('keeps credentials, and over TLS the name that the certificate is for', async () => {
    const port = await listen();
    const secrets = { username: 'u', password: 'p', tls: { ca: 'PEM', verify: true } };
    expect(await resolveTarget(broker('localhost', port, secrets))).toEqual({
      host: '127.0.0.1',
      port,
      username: 'u',
      password: 'p',
      tls: { ca: 'PEM', verify: true, serverName: 'localhost' },
    });
    const byAddress = await resolveTarget(broker('127.0.0.1', port, secrets));
    expect(byAddress.tls).toEqual({ ca: 'PEM', verify: true });
  });

  test('that refuses, or is unknown, ends the run with the reason', async () => {
    const port = await freePort();
    expect(await failureOf(broker('127.0.0.1', port))).toBe(
      `mqtt://127.0.0.1:${port}: connection refused\n` +
        'Is a broker listening there? Without --broker a run brings its own.',
    );
    expect(await failureOf(broker('localhost', port))).toContain('connection refused');
    expect(await failureOf(broker('no-such-host.invalid', 1883))).toBe(
      'mqtt://no-such-host.invalid:1883: host not found: no-such-host.invalid',
    );
  });

  test('may be forbidden before anything is sent to it', async () => {
    const port = await listen();
    let connections = 0;
    servers.at(-1)!.on('connection', () => {
      connections += 1;
    });
    const forbid = () => {
      throw new RunError('not there');
    };
    await expect(resolveTarget(broker('127.0.0.1', port), forbid)).rejects.toThrow('not there');
    expect(connections).toBe(0);
  });
});

test('a run in real time is no longer than a timer can be', () => {
  checkDuration(24 * 86_400_000);
  expect(() => checkDuration(25 * 86_400_000)).toThrow('a live run lasts 24 days at most');
});

describe('the limit of open files', () => {
  test('that is too low ends the run before it starts, with the limit and the remedy', async () => {
    const file = writeScenario({ name: 'many', count: 250 });
    const { code, stderr } = await new CommandLine(['run', file], 'ulimit -n 300').ended();
    expect(code).toBe(1);
    expect(stderr).toBe(
      'flotilla: 250 devices need as many sockets, and this process may open 300 files.\n' +
        'Raise the limit (ulimit -n 350) or run fewer devices (--devices 200).\n',
    );
  });

  test('that is high enough is not spoken of', () => {
    expect(() => checkOpenFiles(10)).not.toThrow();
  });
});
