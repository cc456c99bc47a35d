// Credentials: all kinds of them reach the broker, and none reaches an output.

import { execFileSync, spawn } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasMosquitto, type Mosquitto, startMosquitto } from '../support/mosquitto.ts';

const FIXTURES = fileURLToPath(new URL('./fixtures/', import.meta.url));
const LAUNCHER = fileURLToPath(new URL('../../bin/flotilla.mjs', import.meta.url));
/** Planted: neither may show up in anything that a run prints or writes. */
const PASSWORD = 'planted-Pa55word/with+odd=signs';
const KEY_LINE = readFileSync(join(FIXTURES, 'client.key.pem'), 'utf8').split('\n')[1]!;

const folder = mkdtempSync(join(tmpdir(), 'flotilla-credentials-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function hasPasswordTool(): boolean {
  try {
    execFileSync('mosquitto_passwd', ['-c', '-b', join(folder, 'passwords'), 'load', PASSWORD], {
      stdio: 'ignore',
    });
    return true;
  } catch {
    return false;
  }
}

function writeScenario(url: string, members: Record<string, string>): string {
  const file = join(folder, 'scenario.yaml');
  const broker = Object.entries({ url, username: 'load', ...members })
    .map(([name, value]) => `  ${name}: ${value}`)
    .join('\n');
  writeFileSync(
    file,
    `name: credentials
fleets:
  - name: meters
    count: 20
    interval: 500ms
    sensors: [{ name: x, model: constant, value: 1 }]
broker:
${broker}
duration: 3s
connect: { timeout: 5m }
settle: 5m
thresholds: { messages_lost: ['count == 0'], devices_connected: ['value == 20'] }
`,
  );
  return file;
}

/** Runs the CLI; `all` is everything that it printed or wrote. */
async function run(file: string, password: string, ...flags: string[]) {
  const [summary, junit] = [join(folder, 'summary.json'), join(folder, 'junit.xml')];
  for (const output of [summary, junit]) rmSync(output, { force: true });
  const child = spawn(
    process.execPath,
    [LAUNCHER, 'run', file, '--summary-export', summary, '--junit', junit, ...flags],
    { env: { ...process.env, BROKER_PASSWORD: password } },
  );
  let printed = '';
  child.stdout.on('data', (chunk) => (printed += String(chunk)));
  child.stderr.on('data', (chunk) => (printed += String(chunk)));
  const { promise, resolve } = Promise.withResolvers<number | null>();
  child.on('close', resolve);
  const code = await promise;
  const written = [summary, junit].filter(existsSync).map((path) => readFileSync(path, 'utf8'));
  return { code, printed, all: [printed, ...written].join('\n'), writtenCount: written.length };
}

describe.skipIf(!hasMosquitto('credentials of brokers'))('credentials', () => {
  let broker: Mosquitto;
  const secure = () => `mqtts://localhost:${broker.port}`;
  const files = {
    ca: join(FIXTURES, 'ca.pem'),
    certificate: join(FIXTURES, 'client.pem'),
    key: join(FIXTURES, 'client.key.pem'),
  };
  // biome-ignore lint/suspicious/noTemplateCurlyInString: this is what a scenario says.
  const password = "'${BROKER_PASSWORD}'";

  beforeAll(async () => {
    const hasPasswords = hasPasswordTool();
    for (const name of ['ca.pem', 'server.pem', 'server.key.pem']) {
      copyFileSync(join(FIXTURES, name), join(folder, name));
    }
    broker = await startMosquitto({
      config: [
        `cafile ${join(folder, 'ca.pem')}`,
        `certfile ${join(folder, 'server.pem')}`,
        `keyfile ${join(folder, 'server.key.pem')}`,
        'require_certificate true',
        ...(hasPasswords ? [`password_file ${join(folder, 'passwords')}`] : []),
      ].join('\n'),
    });
  });
  afterAll(() => broker?.stop());

  it('CA, client certificate, user name and password get through, and none is printed', async () => {
    const file = writeScenario(secure(), { ...files, password });
    const { all, code, printed, writtenCount } = await run(file, PASSWORD);
    expect(printed).toContain('PASSED');
    expect(code).toBe(0);
    expect(writtenCount).toBe(2);
    expect(all).not.toContain(PASSWORD);
    expect(all).not.toContain(KEY_LINE);
  });

  it('a password in --broker or --set is masked in the reproduce command too', async () => {
    const file = writeScenario(secure(), { ...files, password });
    const encoded = encodeURIComponent(PASSWORD);
    // Crossed, and the end of the run, as soon as there is a message.
    const threshold = "{ threshold: 'count < 1', abortOnFail: true }";
    const broken = ['--set', `thresholds.messages_produced=[${threshold}]`];
    const flags = [
      ...broken,
      '--broker',
      `mqtts://load:${encoded}@localhost:${broker.port}`,
      ...Object.entries(files).flatMap(([name, path]) => ['--set', `broker.${name}=${path}`]),
    ];
    const { all, code, printed } = await run(file, 'unused', ...flags);
    expect(printed).toContain('reproduce:');
    expect(code).toBe(99);
    for (const secret of [PASSWORD, encoded, KEY_LINE]) expect(all).not.toContain(secret);
  });

  it('a wrong CA, no client certificate: one clear line, no secret', async () => {
    const cases: [Record<string, string>, RegExp][] = [
      [{ password, certificate: files.certificate, key: files.key }, /TLS: its CA is not trusted/],
      [{ password, ca: files.ca }, /TLS|closed|reset|alert|certificate required/],
    ];
    for (const [members, expected] of cases) {
      const { all, code, printed } = await run(writeScenario(secure(), members), PASSWORD);
      expect(code).toBe(1);
      expect(printed).toMatch(expected);
      expect(printed).not.toMatch(/\n\s+at /);
      expect(all).not.toContain(PASSWORD);
    }
  });

  it('a wrong password is refused in words', async () => {
    if (!existsSync(join(folder, 'passwords'))) return expect(process.env.CI).toBeUndefined();
    const { all, code, printed } = await run(
      writeScenario(secure(), { ...files, password }),
      `${PASSWORD}-wrong`,
    );
    expect(code).toBe(1);
    expect(printed).toMatch(/connection refused: Not authorized|Bad User Name or Password/i);
    expect(all).not.toContain(PASSWORD);
  });
});
