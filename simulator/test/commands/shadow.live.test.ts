// `flotilla shadow`: as people and scripts use it.

import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ShadowService } from '@flotilla/ota-server/shadow';
import { decode, encode } from 'cbor-x';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { main } from '../../src/cli.ts';
import { BROKERS, type Broker, hasBroker } from '../support/brokers.ts';
import { CommandLine } from '../support/command-line.ts';
import { hasMosquitto, type Mosquitto, startMosquitto } from '../support/mosquitto.ts';
import { ShadowClient } from '../support/shadow-client.ts';

interface Printed {
  readonly code: number;
  readonly output: string;
  readonly errors: string;
}

beforeEach(() => {
  vi.spyOn(console, 'log').mockImplementation(() => undefined);
  vi.spyOn(console, 'error').mockImplementation(() => undefined);
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

/** Runs `flotilla shadow …` in this process, which keeps its own exit code. */
async function shadow(...args: readonly string[]): Promise<Printed> {
  const exitCode = process.exitCode;
  process.exitCode = undefined;
  vi.mocked(console.log).mockClear();
  try {
    await main(['shadow', ...args]);
    const lines = (calls: readonly (readonly unknown[])[]) => calls.map(String).join('\n');
    return {
      code: Number(process.exitCode ?? 0),
      output: lines(vi.mocked(console.log).mock.calls),
      errors: lines(vi.mocked(console.error).mock.calls),
    };
  } finally {
    process.exitCode = exitCode;
  }
}

/** Keeps timers of exactly `ms` from running: those that were started; each runs when called. */
function holdTimers(ms: number): (() => void)[] {
  const held: (() => void)[] = [];
  const start = globalThis.setTimeout;
  vi.spyOn(globalThis, 'setTimeout').mockImplementation(((act: () => void, delayMs?: number) => {
    if (delayMs === ms) held.push(act);
    return start(act, delayMs);
  }) as typeof setTimeout);
  return held;
}

const NOWHERE = 'mqtt://127.0.0.1:1';

describe('a wrong command line', () => {
  const tls = ['--broker', 'mqtts://127.0.0.1:1'];
  test.each<[string, readonly string[], string]>([
    ['no command', [], 'Which command? flotilla shadow --help lists them.'],
    ['no device', ['get', '--broker', NOWHERE], '<device> is missing: flotilla shadow get'],
    ['no broker', ['get', 'd1'], '--broker is missing'],
    ['no values', ['set', 'd1', '--broker', NOWHERE], '<values> is missing: flotilla shadow set'],
    ['a value without key', ['set', 'd1', '=1', '--broker', NOWHERE], 'expected key=value, got =1'],
    ['a value that is none', ['set', 'd1', 'a', '--broker', NOWHERE], 'expected key=value, got a'],
    ['a wildcard', ['get', '+', '--broker', NOWHERE], 'expected the id of a device'],
    [
      'no broker URL',
      ['get', 'd', '--broker', 'http://x'],
      '--broker: expected mqtt://host[:port]',
    ],
    ['a wrong URL with password', ['get', 'd', '--broker', 'http://u:geheim@x'], 'u:***@x'],
    ['no duration', ['get', 'd', '--broker', NOWHERE, '--timeout', 'soon'], '--timeout: expected'],
    [
      'no template',
      ['get', 'd', '--broker', NOWHERE, '--topics', 'a/b'],
      '--topics: topic template',
    ],
    [
      'two topics',
      ['get', 'd', '--broker', NOWHERE, '--aws', '--topics', '{id}/{topic}'],
      '--aws:',
    ],
    [
      'TLS files without TLS',
      ['get', 'd', '--broker', NOWHERE, '--ca', 'x'],
      '--ca: is for TLS only',
    ],
    ['half a certificate', ['get', 'd', ...tls, '--key', 'x'], '--certificate and --key'],
    [
      'a variable that is not set',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: as it is typed.
      ['get', 'd', '--broker', NOWHERE, '--password', '${NOT_SET_HERE}'],
      '--password: the environment variable NOT_SET_HERE is not set',
    ],
  ])('with %s is told, with 2', async (_what, args, message) => {
    const { code, errors, output } = await shadow(...args);
    expect(errors).toContain(message);
    expect(errors).not.toContain('geheim');
    expect(errors).not.toMatch(/\n\s+at /);
    expect([code, output]).toEqual([2, '']);
  });
});

test('a broker that is not there is told, with 1', async () => {
  const { code, errors } = await shadow('get', 'd', '--broker', NOWHERE);
  expect(errors).toContain(`${NOWHERE}: connection refused`);
  expect(code).toBe(1);
});

test('a PEM file that is not there is told, with 1', async () => {
  const { code, errors } = await shadow(
    'get',
    'd',
    '--broker',
    'mqtts://127.0.0.1:1',
    '--ca',
    '/no.pem',
  );
  expect(errors).toContain('/no.pem: no such file or folder');
  expect(code).toBe(1);
});

const embedded = BROKERS.find(({ name }) => name === 'aedes')!;

describe.skipIf(!hasBroker(embedded, 'flotilla shadow'))('with a service', () => {
  let broker: Broker;
  let service: ShadowService;
  beforeAll(async () => {
    broker = await embedded.start();
    service = new ShadowService({
      broker: { host: '127.0.0.1', port: broker.port },
      clientId: 'service',
    });
    await service.start();
  });
  afterAll(async () => {
    await service.stop();
    await broker.stop();
  });
  const at = () => ['--broker', broker.url];

  test.each([
    ['own topics', []],
    ['AWS topics', ['--aws']],
  ])('set and get by %s', async (_what, more) => {
    const values = ['interval=2', 'mode=eco', 'led={"on":true,"rgb":[1,2]}', 'eq=a=b', 'gone=null'];
    expect(await shadow('set', 'd1', ...values, ...at(), ...more)).toEqual({
      code: 0,
      output: 'd1: accepted, version 1',
      errors: '',
    });
    const { code, output } = await shadow('get', 'd1', ...at(), ...more, '--json');
    const desired = { interval: 2, mode: 'eco', led: { on: true, rgb: [1, 2] }, eq: 'a=b' };
    expect(JSON.parse(output)).toMatchObject({
      device: 'd1',
      version: 1,
      state: { desired, delta: desired },
      metadata: { desired: { led: { rgb: [{ timestamp: expect.any(Number) }, {}] } } },
    });
    expect([code, output.includes('\n')]).toEqual([0, false]);
    await shadow('set', 'd1', 'led=null', ...at(), ...more);
    const again = await shadow('get', 'd1', ...at(), ...more);
    expect(JSON.parse(again.output).state.desired).not.toHaveProperty('led');
    expect(again.output).toContain('\n  "version": 2,');
  });

  test('other topics are another shadow', async () => {
    const late = holdTimers(3_600_000);
    const topics = ['--topics', 'plants/{id}/x/{topic}', '--timeout', '1h'];
    const asked = shadow('get', 'd1', ...at(), ...topics);
    // One for the subscription, one for the request, and then for the answer.
    await expect.poll(() => late.length).toBe(3);
    for (const fire of late) fire();
    const { code, errors } = await asked;
    expect(errors).toContain(
      `no shadow service answered at plants/d1/x/shadow at ${broker.url} within 3600000 ms`,
    );
    expect(code).toBe(1);
  });

  test('what the service refuses is told, with 1', async () => {
    const none = await shadow('get', 'nobody', ...at());
    expect(none.errors).toContain(`nobody has no shadow at devices/nobody/shadow at ${broker.url}`);
    const bad = await shadow('set', 'd2', 'a=[null]', ...at());
    expect(bad.errors).toContain('d2: rejected with 400: State contains an invalid node');
    const deep = await shadow('set', 'd2', `a=${'['.repeat(40)}${']'.repeat(40)}`, ...at());
    expect(deep.errors).toContain('nested too deep');
    expect([none.code, bad.code, deep.code]).toEqual([1, 1, 1]);
  });

  test('an answer to somebody else is none', async () => {
    await service.stop();
    const { client } = await ShadowClient.open(broker.url, 'd3');
    await client.subscribeAsync('devices/d3/shadow/get');
    client.on('message', (topic, payload) => {
      if (topic !== 'devices/d3/shadow/get') return;
      const { clientToken } = decode(payload) as { clientToken: string };
      // One without the token, one that is no document, one of another question, and its own.
      const strangers = [encode({ version: 1 }), Buffer.from('ff', 'hex')];
      const other = encode({ version: 2, clientToken: `${clientToken}x` });
      const own = encode({ version: 3, clientToken, state: {} });
      for (const answer of [...strangers, other, own]) {
        client.publish('devices/d3/shadow/get/accepted', answer, { qos: 1 });
      }
    });
    const { code, output } = await shadow('get', 'd3', ...at(), '--timeout', '1h', '--json');
    expect([code, JSON.parse(output)]).toEqual([0, { device: 'd3', version: 3, state: {} }]);
    await client.endAsync();
    await service.start();
  });

  test('watch prints changes until Ctrl-C, and ends well', async () => {
    const command = new CommandLine(['shadow', 'watch', 'd4', ...at()]);
    await command.printed('watching devices/d4/shadow');
    const device = await ShadowClient.open(broker.url, 'd4');
    await device.ask('update', { state: { desired: { a: 1 } } });
    await device.ask('update', { state: { reported: { a: 1 } } });
    await device.ask('delete');
    await device.close();
    await command.printed('deleted');
    command.process.kill('SIGINT');
    const { code, stderr, stdout } = await command.ended();
    expect(stdout.split('\n').slice(1)).toEqual([
      'delta    1: {"a":1}',
      'document 1: {"desired":{"a":1}}',
      'document 2: {"desired":{"a":1},"reported":{"a":1}}',
      'deleted at version 2',
      '',
    ]);
    expect([code, stderr]).toEqual([0, '']);
  });
});

describe.skipIf(!hasMosquitto('flotilla shadow with credentials'))('with credentials', () => {
  const PASSWORD = 'planted-Pa55word/with+odd=signs';
  const folder = mkdtempSync(join(tmpdir(), 'flotilla-shadow-'));
  const at = (name: string) => join(folder, name);
  let broker: Mosquitto;
  let service: ShadowService;

  beforeAll(async () => {
    for (const name of ['ca.pem', 'server.pem', 'server.key.pem', 'client.pem', 'client.key.pem']) {
      copyFileSync(join(import.meta.dirname, '../live/fixtures', name), at(name));
    }
    execFileSync('mosquitto_passwd', ['-c', '-b', at('passwords'), 'me', PASSWORD]);
    const lines = [
      `cafile ${at('ca.pem')}`,
      `certfile ${at('server.pem')}`,
      `keyfile ${at('server.key.pem')}`,
      'require_certificate true',
      `password_file ${at('passwords')}`,
    ];
    broker = await startMosquitto({ config: lines.join('\n') });
    const pem = (name: string) => readFileSync(at(name), 'utf8');
    service = new ShadowService({
      broker: {
        host: 'localhost',
        port: broker.port,
        username: 'me',
        password: PASSWORD,
        tls: {
          ca: pem('ca.pem'),
          certificate: pem('client.pem'),
          key: pem('client.key.pem'),
          verify: true,
        },
      },
      clientId: 'service',
    });
    await service.start();
  });
  afterAll(async () => {
    await service?.stop();
    await broker?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const get = (...more: readonly string[]) => {
    return shadow('get', 'd1', '--broker', `mqtts://localhost:${broker.port}`, ...more);
  };
  const files = ['--certificate', at('client.pem'), '--key', at('client.key.pem')];

  test('all of them get through, and none is printed', async () => {
    vi.stubEnv('SHADOW_PASSWORD', PASSWORD);
    // biome-ignore lint/suspicious/noTemplateCurlyInString: as it is typed.
    const login = ['--username', 'me', '--password', '${SHADOW_PASSWORD}'];
    const right = await get('--ca', at('ca.pem'), ...files, ...login);
    expect(right.errors).toContain('d1 has no shadow');
    expect(right.errors).not.toContain(PASSWORD);
    const inUrl = `mqtts://me:${encodeURIComponent(PASSWORD)}@localhost:${broker.port}`;
    const set = ['set', 'd1', 'a=1', '--broker', inUrl, '--no-verify', ...files];
    expect((await shadow(...set)).output).toBe('d1: accepted, version 1');
  });

  test.each<[string, readonly string[], RegExp]>([
    ['a wrong password', ['--ca', at('ca.pem'), ...files, '--password', 'no'], /not authorized/i],
    ['an unknown CA', [...files, '--password', PASSWORD], /TLS: its CA is not trusted/],
  ])('%s is told in a line, with 1', async (_what, more, message) => {
    const { code, errors } = await get('--username', 'me', ...more);
    expect(errors).toMatch(message);
    expect(errors).not.toMatch(/\n\s+at /);
    expect(errors).not.toContain(PASSWORD);
    expect(code).toBe(1);
  });
});
