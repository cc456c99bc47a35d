import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseFuses } from '../src/commands/flash-file.ts';
import { flotillaBoot } from './support/command-line.ts';

const VECTORS = fileURLToPath(new URL('./vectors/mcuboot/', import.meta.url));
const LAUNCHER = fileURLToPath(new URL('../bin/flotilla-boot.mjs', import.meta.url));
let folder: string;

/** Runs a command that has to fail with this code and one clear line; returns the line. */
async function fail(expected: number, ...args: readonly string[]): Promise<string> {
  const { code, stderr, stdout } = await flotillaBoot(folder, ...args);
  expect(`${stdout}${stderr}`).not.toMatch(/\n {4}at /);
  expect([code, stdout]).toEqual([expected, '']);
  const lines = stderr.trimEnd().split('\n');
  expect(lines).toHaveLength(expected === 2 ? 2 : 1);
  return lines[0]!;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'flotilla-hostile-'));
  const image = readFileSync(`${VECTORS}sha256.bin`);
  writeFileSync(join(folder, 'good.img'), image);
  writeFileSync(join(folder, 'pub.pem'), readFileSync(`${VECTORS}pub.pem`));
  writeFileSync(join(folder, 'key.pem'), readFileSync(`${VECTORS}key.pem`));
  writeFileSync(join(folder, 'empty'), '');
  writeFileSync(join(folder, 'text'), 'hello');
  writeFileSync(join(folder, 'cut.img'), image.subarray(0, 2000));
  writeFileSync(join(folder, 'cut.pem'), readFileSync(`${VECTORS}key.pem`).subarray(0, 60));
  writeFileSync(join(folder, 'zeros.bin'), Buffer.alloc(65_536));
  writeFileSync(join(folder, 'huge'), '');
  truncateSync(join(folder, 'huge'), 65 * 1024 * 1024);
  mkdirSync(join(folder, 'folder'));
  symlinkSync('loop', join(folder, 'loop'));
  execFileSync('mkfifo', [join(folder, 'pipe')]);
  const chip = ['--slot0', 'good.img', '--key', 'pub.pem', '--chip', '192K'];
  const { stderr } = await flotillaBoot(folder, 'flash', 'create', '--out', 'chip.bin', ...chip);
  expect(stderr).toBe('');
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a file that is not what it should be: one line and exit code 1', () => {
  const sign = ['--out', 'out', '--key', 'key.pem'];
  const create = ['flash', 'create', '--out', 'out', '--key', 'pub.pem', '--slot0'];
  const cases: [string, RegExp][] = [
    ['image info nowhere', /nowhere: no such file or folder/],
    ['image info folder', /folder: is a folder/],
    ['image info empty', /empty: neither an MCUboot nor an ESP-IDF image/],
    ['image info /dev/zero', /not a regular file/],
    ['image info huge', /huge: 68157440 bytes are too many/],
    ['image info loop', /links lead in a circle/],
    ['image info text/x', /not a folder/],
    ['image info cut.img', /cut.img: header and payload of 4608 bytes do not fit/],
    ['image verify good.img --key text', /text: not a PEM file/],
    ['image verify good.img --key key.pem', /this is a private key/],
    ['image verify good.img --key huge', /huge: 68157440 bytes are too many/],
    [`image create empty --version 1 ${sign.join(' ')}`, /empty: payload.length: expected 1/],
    ['image create text --version 1 --out out --key pub.pem', /this is a public key/],
    ['image create text --version 1 --out out --key cut.pem', /the PEM file is cut off/],
    ['image create text --version 1 --out folder --key key.pem', /folder: is a folder/],
    ['image create text --version 1 --out pipe --key key.pem', /pipe: is not a regular file/],
    ['image create text --version 1 --out no/out --key key.pem', /no such file or folder/],
    [
      'image create text --version 1 --pad-to 64 --out out --key key.pem',
      /--pad-to: .* do not fit/,
    ],
    [`image sign cut.img ${sign.join(' ')}`, /do not fit/],
    [`${create.join(' ')} nowhere`, /nowhere: no such file/],
    [`${create.join(' ')} empty`, /empty: is empty/],
    [`${create.join(' ')} huge`, /huge: 68157440 bytes are too many/],
    [`${create.join(' ')} zeros.bin --slot1 zeros.bin --chip 100K`, /has no room for two slots/],
    [`${create.join(' ')} zeros.bin --chip 4097`, /4097 bytes are no size of a flash chip/],
    ['flash info good.img', /4752 bytes are no size of a flash chip/],
    ['flash boot zeros.bin', /zeros.bin: no partition table/],
    ['flash dump folder', /folder: is a folder/],
    ['flash boot chip.bin --stage folder', /folder: is a folder/],
    ['keygen --out no/key.pem', /no such file or folder/],
    ['keygen --out text/key.pem', /not a folder/],
  ];

  test.each(cases)('%s', { concurrent: true }, async (command, message) => {
    expect(await fail(1, ...command.split(' '))).toMatch(message);
    expect(existsSync(join(folder, 'out'))).toBe(false);
  });

  test('what was no file is still none', () => {
    expect(statSync(join(folder, 'pipe')).isFIFO()).toBe(true);
  });
});

describe('arguments that are wrong: exit code 2', () => {
  const cases: [string, RegExp][] = [
    ['', /Which command/],
    ['nothing', /Unknown command: nothing/],
    ['image', /Which command\? flotilla-boot image --help/],
    ['image info', /<file> is missing: flotilla-boot image info <file>/],
    ['image info good.img --color', /Unknown option: --color/],
    ['image verify good.img', /--key/],
    ['image create text --version 1 --out out', /--key/],
    ['image create text --version one --out out --key key.pem', /--version: expected 1.2.3/],
    [
      'image create text --version 1 --out out --out o --key key.pem',
      /--out: given more than once/,
    ],
    ['image create text --version 1 --out out --key key.pem --key key.pem', /one key signs/],
    ['image create text --version 1 --out out --key key.pem --pure --digest sha256', /--pure/],
    ['image create text --version 1 --out out --key key.pem --header-size 4', /32 to 65535/],
    ['image create text --version 1 --out out --key key.pem --pad-to 1G', /--pad-to/],
    ['image create text --version 1 --out out --key key.pem --security-counter -1', /counter/],
    ['image create text --version 1 --out out --format esp-idf --pure', /--pure: not with/],
    ['flash create --out out --slot0 good.img', /needs a trusted key/],
    ['flash create --out out --slot0 good.img --key pub.pem --chip W25Q999', /--chip: expected/],
    ['flash create --out out --slot0 good.img --profile esp-idf --key pub.pem', /not signed/],
    ['flash create --out out --slot0 good.img --key pub.pem --no-rollback', /--rollback/],
    ['flash boot chip.bin --times 0', /--times: expected a whole number from 1 to 1000/],
    ['flash boot chip.bin --confirm --reject', /--confirm and --reject: one or the other/],
    ['flash boot chip.bin --reset earthquake', /--reset: expected power-on, .* got earthquake/],
    ['keygen', /--out is missing/],
  ];

  test.each(cases)('%s', { concurrent: true }, async (command, message) => {
    const { code, stderr } = await flotillaBoot(folder, ...command.split(' ').filter(Boolean));
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n {4}at /);
    expect(code).toBe(2);
    expect(existsSync(join(folder, 'out'))).toBe(false);
  });
});

describe('a chip that was tampered with', () => {
  function chip(name: string, change: (bytes: Buffer) => void): string {
    const bytes = readFileSync(join(folder, 'chip.bin'));
    change(bytes);
    writeFileSync(join(folder, name), bytes);
    const fuses = readFileSync(join(folder, 'chip.bin.fuses.json'));
    writeFileSync(join(folder, `${name}.fuses.json`), fuses);
    return name;
  }

  test('a damaged partition table is no table', async () => {
    const name = chip('table.bin', (bytes) => {
      bytes[0x8004]! ^= 1;
    });
    expect(await fail(1, 'flash', 'info', name)).toContain('the MD5 does not match the table');
  });

  test('another stage 2 does not run where the fuses name one', async () => {
    const name = chip('stage2.bin', (bytes) => {
      bytes.fill(0xff, 0, 0x1000);
      bytes.write('{"stage2": [1');
    });
    const { code, stdout } = await flotillaBoot(folder, 'flash', 'boot', name);
    expect(stdout).toContain('halt: stage 2 is not the one that the fuses name');
    expect(code).toBe(1);
    rmSync(join(folder, `${name}.fuses.json`));
    expect(await fail(1, 'flash', 'boot', name)).toContain('none that can be simulated');
  });

  test('a record of garbage is no record', async () => {
    const name = chip('record.bin', (bytes) => {
      for (let at = 0xd000; at < 0xf000; at += 1) bytes[at] = (at * 89) & 0xff;
    });
    const { code, stdout } = await flotillaBoot(folder, 'flash', 'boot', name);
    expect(code).toBe(0);
    expect(stdout).toContain('slot 0 1.0.0, trial: provisioned');
  });

  test.each([
    ['', 'not JSON'],
    ['{', 'not JSON'],
    ['null', 'expected an object'],
    ['[]', 'secureBoot'],
    ['{"secureBoot": 1}', 'secureBoot'],
  ])('fuses of %j are refused', async (text, reason) => {
    expect(parseFuses(text)).toContain(reason);
  });

  test('fuses out of their range are refused, each', async () => {
    const state = JSON.parse(readFileSync(join(folder, 'chip.bin.fuses.json'), 'utf8'));
    expect(parseFuses(JSON.stringify(state))).toEqual(state);
    const digest = 'a'.repeat(64);
    for (const [field, value] of Object.entries({
      secureBoot: 'yes',
      keyDigests: [digest, digest, digest, digest],
      revokedKeys: 8,
      stage2Digest: 'A',
      rollbackBits: 2 ** 32,
      rollbackBitCount: 33,
    })) {
      expect(parseFuses(JSON.stringify({ ...state, [field]: value }))).toContain(field);
    }
    expect(parseFuses(JSON.stringify({ ...state, keyDigests: [7] }))).toContain('keyDigests');
    expect(parseFuses(JSON.stringify({ ...state, rollbackBits: -1 }))).toContain('rollbackBits');
    writeFileSync(join(folder, 'fused.bin'), readFileSync(join(folder, 'chip.bin')));
    writeFileSync(join(folder, 'fused.bin.fuses.json'), '{}');
    expect(await fail(1, 'flash', 'boot', 'fused.bin')).toContain(
      'fused.bin.fuses.json: secureBoot',
    );
  });
});

test('a reader that stops early is no failure', () => {
  const command = 'set -o pipefail; "$0" "$1" flash dump chip.bin | head -n 1';
  const args = ['-c', command, process.execPath, LAUNCHER];
  const { status, stderr, stdout } = spawnSync('bash', args, { cwd: folder, encoding: 'utf8' });
  expect(stdout).toMatch(/^00000000 .*\n$/);
  expect([status, stderr]).toEqual([0, '']);
});

test('a link to a chip stays a link, and the chip behind it is written', async () => {
  symlinkSync('chip.bin', join(folder, 'link.bin'));
  symlinkSync('chip.bin.fuses.json', join(folder, 'link.bin.fuses.json'));
  const before = readFileSync(join(folder, 'chip.bin'));
  await flotillaBoot(folder, 'flash', 'boot', 'link.bin');
  expect(readFileSync(join(folder, 'chip.bin')).equals(before)).toBe(false);
});
