// The commands that talk to a server, and the one that is it.

import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { generateKeys } from '@flotilla/command-line/keys';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { main } from '../../src/cli.ts';
import { parseBroker } from '../../src/commands/serve.ts';
import { imageOf, release, World } from './harness.ts';

const BIN = fileURLToPath(new URL('../../bin/flotilla-ota.mjs', import.meta.url));

let folder: string;
let world: World;
let out: string[];
let errors: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'commands-'));
  world = new World();
  out = [];
  errors = [];
  // Each command listens for a closed output; here they share a process.
  process.stdout.setMaxListeners(100);
  vi.spyOn(console, 'log').mockImplementation((line: string) => void out.push(line));
  vi.spyOn(console, 'error').mockImplementation((line: string) => void errors.push(line));
});
afterEach(async () => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
  await world.close();
  await rm(folder, { recursive: true });
});

/** Runs a command against the server; gives its exit code. */
async function run(...argv: string[]): Promise<number> {
  out.length = 0;
  errors.length = 0;
  process.exitCode = undefined;
  const { adminKey, url } = world.server;
  await main([...argv, '--server', url, '--api-key', adminKey!]);
  return Number(process.exitCode ?? 0);
}

test('a release is added and rolled out by commands', async () => {
  await world.start();
  const [device] = await world.devices(1);
  const base = imageOf(30_000, 3);
  const target = imageOf(30_000, 3);
  target.fill(1, 100, 200);
  const signed = release('2.0.0', 2, target, { bases: [base] });
  for (const file of [...signed.images, ...signed.deltas]) {
    await writeFile(join(folder, file.name), file.bytes);
  }
  const envelope = join(folder, '2.0.0.suit');
  await writeFile(envelope, signed.envelope);
  expect(await run('release', 'add', envelope)).toBe(0);
  expect(out[0]).toMatch(/^added 2\.0\.0-[0-9a-f]{8}: sequence 2, 30,000 bytes, 1 deltas$/);
  expect(await run('release', 'list', '--json')).toBe(0);
  expect(JSON.parse(out[0]!)).toMatchObject([{ version: '2.0.0', ready: true }]);

  const waves = ['--waves', '50,100', '--soak', '1s', '--sample-min', '1', '--approval'];
  expect(await run('rollout', 'create', '2.0.0', ...waves)).toBe(0);
  expect(out[0]).toContain('2.0.0-r1: 2.0.0');
  for (const type of ['pause', 'resume']) expect(await run('rollout', type, '2.0.0-r1')).toBe(0);
  for (let round = 0; round < 3; round += 1) {
    world.advance(3000);
    await device!.follow('confirmed');
    await run('rollout', 'approve', '2.0.0-r1');
  }
  world.advance(3000);
  expect(await run('rollout', 'status', '2.0.0-r1', '--json')).toBe(0);
  expect(JSON.parse(out[0]!)).toMatchObject({ status: 'completed', version: '2.0.0' });
  const written: string[] = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => written.push(String(text)) > 0);
  expect(await run('rollout', 'status', '2.0.0-r1', '--watch')).toBe(0);
  expect(written.join('')).toContain('completed');
});

test('mistakes are one line and an exit code', async () => {
  await world.start();
  const cases: [number, string, ...string[]][] = [
    [1, 'no release 9.9.9', 'rollout', 'create', '9.9.9'],
    [1, 'no rollout nope', 'rollout', 'status', 'nope'],
    [2, '--waves', 'rollout', 'create', '1.0.0', '--waves', 'a,b'],
    [2, '--soak', 'rollout', 'create', '1.0.0', '--soak', '1 hour'],
    [1, 'no such file', 'release', 'add', join(folder, 'none.suit')],
    [2, 'Which command?', 'rollout'],
  ];
  for (const [code, text, ...argv] of cases) {
    expect([argv, await run(...argv)]).toEqual([argv, code]);
    expect(errors[0]).toContain(text);
  }
  await main(['release', 'list', '--server', world.server.url, '--api-key', 'wrong']);
  expect(process.exitCode).toBe(1);
  await main(['release', 'list', '--server', 'http://127.0.0.1:1', '--api-key', 'x']);
  expect(errors.at(-1)).toContain('is flotilla-ota serve running?');
});

test('serve prints its address, refuses a second one, and ends at Ctrl-C', async () => {
  const keys = join(folder, 'release.pub.pem');
  await writeFile(keys, generateKeys('ed25519').publicPem);
  const data = join(folder, 'data');
  const argv = [BIN, 'serve', '--port', '0', '--data', data, '--key', keys, '--json'];
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const line = await new Promise<string>((resolve) =>
    child.stdout.once('data', (chunk) => resolve(String(chunk))),
  );
  const { adminKeyFile, url } = JSON.parse(line) as { adminKeyFile: string; url: string };
  expect(await (await fetch(`${url}/healthz`)).json()).toEqual({ status: 'ok' });
  const authorization = `Bearer ${(await readFile(adminKeyFile, 'utf8')).trim()}`;
  expect((await fetch(`${url}/v1/rollouts`, { headers: { authorization } })).status).toBe(200);
  await main(['serve', '--port', '0', '--data', data, '--key', keys]);
  expect(errors.at(-1)).toContain('another flotilla-ota is using it');
  child.kill('SIGINT');
  expect(await ended).toBe(0);
});

test('brokers are read as people write them', () => {
  expect(parseBroker('mqtt://u:p%40@h')).toEqual({
    host: 'h',
    port: 1883,
    username: 'u',
    password: 'p@',
  });
  expect(parseBroker('mqtts://[::1]:1')).toEqual({ host: '::1', port: 1, tls: { verify: true } });
  for (const text of ['h', 'http://h', 'mqtt://', 'mqtt://h/x']) {
    expect(parseBroker(text)).toBeUndefined();
  }
});
