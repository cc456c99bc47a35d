import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readImage } from '@flotilla/bootloader-sim/images/mcuboot';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readRelease } from '../../src/releases/inspect.ts';
import { readPrivateKeyPem, readPublicKeyPem } from '../../src/releases/keys.ts';
import { signRelease } from '../../src/releases/sign.ts';
import { flotillaOta } from './command-line.ts';

let folder: string;
const ota = (...args: readonly string[]) => flotillaOta(folder, ...args);

/** Runs a command that has to succeed, and returns what it prints. */
async function run(...args: readonly string[]): Promise<string> {
  const { code, stderr, stdout } = await ota(...args);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  return stdout;
}

const read = (name: string) => readFileSync(join(folder, name));
const write = (name: string, bytes: Uint8Array | string) =>
  writeFileSync(join(folder, name), bytes);
const hash = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const releaseOf = (name: string, key = 'release.pub.pem') => {
  const result = readRelease(read(name), [readPublicKeyPem(String(read(key)))]);
  if (!result.ok) throw new Error(result.message);
  return result.release;
};
const PRODUCT = ['--vendor', 'example.com', '--class', 'sensor', '--key', '@release.pem'];
const BOOT = ['--image-key', '@boot.pem', '--security-counter'];
const signed = (out: string, firmware: string, version: string, ...more: readonly string[]) =>
  ota('sign', firmware, '--version', version, '--out', out, ...PRODUCT, ...more);

const APP_1 = Buffer.from(Array.from({ length: 30_000 }, (_, index) => (index * index) >> 4));
const APP_2 = Buffer.from(APP_1);
APP_2.write('another firmware', 9000);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'flotilla-ota-'));
  write('app1.bin', APP_1);
  write('app2.bin', APP_2);
  await run('keygen', '@release');
  await run('keygen', '@boot');
  await run('keygen', '@es', '--es256');
  const first = await signed('@dist', '@app1.bin', '1.0.0', ...BOOT, '1', '--sequence', '100');
  expect(first.code).toBe(0);
});

afterAll(() => rmSync(folder, { recursive: true }));

describe('keygen', () => {
  test('writes a pair, the private one for its owner alone', async () => {
    expect(await run('keygen', '@pair.pem')).toMatch(
      /^pair\.pem: private key, keep it secret\npair\.pub\.pem: its public key, [0-9a-f]{16}$/,
    );
    expect(statSync(join(folder, 'pair.pem')).mode & 0o777).toBe(0o600);
    const report = JSON.parse(await run('keygen', '@json', '--es256', '--json'));
    expect(report).toEqual({
      privateKey: 'json.pem',
      publicKey: 'json.pub.pem',
      algorithm: 'es256',
      id: expect.stringMatching(/^[0-9a-f]{16}$/),
    });
  });

  test('overwrites neither of them', async () => {
    const before = read('release.pem');
    const { code, stderr } = await ota('keygen', '@release');
    expect([code, stderr]).toEqual([
      1,
      'flotilla-ota: release.pem: is there already; it is not overwritten',
    ]);
    expect(read('release.pem')).toEqual(before);
    write('half.pub.pem', 'somebody else');
    expect((await ota('keygen', '@half')).code).toBe(1);
    expect(existsSync(join(folder, 'half.pem'))).toBe(false);
  });
});

describe('sign', () => {
  test('opaque bytes stay as they are', async () => {
    const startS = Math.floor(Date.now() / 1000);
    expect((await signed('@opaque', '@app1.bin', '1.2.3')).code).toBe(0);
    expect(readdirSync(join(folder, 'opaque')).sort()).toEqual(
      ['1.2.3.suit', `${hash(APP_1)}.bin`].sort(),
    );
    expect(read(`opaque/${hash(APP_1)}.bin`)).toEqual(APP_1);
    const release = releaseOf('opaque/1.2.3.suit');
    expect(release).toMatchObject({ version: '1.2.3', size: APP_1.length, expiresS: 0 });
    expect(release.sequence).toBeGreaterThanOrEqual(startS);
    expect(release.sequence).toBeLessThanOrEqual(Date.now() / 1000);
  });

  test('with a delta and a way back', async () => {
    const back = ['--from', '1.0.0', '--rollback-to', '1.0.0', '--sequence', '200', '--json'];
    const outcome = await signed('@dist', '@app2.bin', '2.0.0', ...BOOT, '3', ...back);
    expect(outcome.stderr).toBe('');
    const { rollback, ...report } = JSON.parse(outcome.stdout);
    const [old, now, again] = ['1.0.0', '2.0.0', '2.0.0-rollback-to-1.0.0'].map((name) =>
      releaseOf(`dist/${name}.suit`),
    );
    expect(now).toMatchObject({ version: '2.0.0', sequence: 200, rollbackFrom: undefined });
    expect(again).toMatchObject({ version: '1.0.0', sequence: 201, rollbackFrom: '2.0.0' });
    expect(again!.requires).toEqual({ comparison: 'equal', version: '2.0.0' });
    expect(report.deltas).toHaveLength(1);
    expect(rollback.deltas).toHaveLength(1);
    expect(report.deltas[0].base).toBe(Buffer.from(old!.digest).toString('hex'));
    expect(rollback.deltas[0].base).toBe(Buffer.from(now!.digest).toString('hex'));
    for (const { file, size } of [...report.deltas, ...rollback.deltas]) {
      expect(read(file)).toHaveLength(size);
      expect(size).toBeLessThan(3000);
    }
    const images = [old, now, again].map((release) => {
      const result = readImage(read(`dist/${release!.images[0].uri}`));
      if (!result.ok) throw new Error(result.reason);
      return result.image;
    });
    expect(images.map(({ securityCounter }) => securityCounter)).toEqual([1, 3, 3]);
    expect(images.map(({ version }) => version.major)).toEqual([1, 2, 1]);
    const bytes = read(`dist/${again!.images[0].uri}`);
    const { payloadEnd, payloadStart } = images[2]!;
    expect(bytes.subarray(payloadStart, payloadEnd)).toEqual(APP_1);
  });

  test('an image for each slot', async () => {
    const outcome = await signed('@slots', '@app1.bin', '1.0.0', '--slot1', '@app2.bin');
    expect(outcome.code).toBe(0);
    const { images } = releaseOf('slots/1.0.0.suit');
    expect(images.map(({ uri }) => uri)).toEqual([`${hash(APP_1)}.bin`, `${hash(APP_2)}.bin`]);
  });

  test('with ES256, an expiry and a minimum version', async () => {
    const more = ['--expires', '30d', '--min-version', '1.1.0'];
    const args = [...PRODUCT.slice(0, 4), '--key', '@es.pem', '--out', '@es', ...more];
    const startS = Math.floor(Date.now() / 1000);
    await run('sign', '@app1.bin', '--version', '1.2.0', ...args);
    const { expiresS, requires } = releaseOf('es/1.2.0.suit', 'es.pub.pem');
    expect(expiresS - 30 * 86400).toBeGreaterThanOrEqual(startS);
    expect(expiresS - 30 * 86400).toBeLessThanOrEqual(Date.now() / 1000);
    expect(requires).toEqual({ comparison: 'greater-equal', version: '1.1.0' });
  });

  test('releases of the same second still have an order', async () => {
    for (const version of ['1.0.0', '1.0.1', '1.0.2']) {
      expect((await signed('@quick', '@app1.bin', version)).code).toBe(0);
    }
    const sequences = ['0', '1', '2'].map((n) => releaseOf(`quick/1.0.${n}.suit`).sequence);
    expect(sequences[1]).toBeGreaterThan(sequences[0]!);
    expect(sequences[2]).toBeGreaterThan(sequences[1]!);
  });

  test.each([
    ['a version that is none', ['@app1.bin', '2.0'], 2, '--version: expected 1.2.3, got 2.0'],
    ['no counter', ['@app1.bin', '2.0.0', '--image-key', '@boot.pem'], 2, '--security-counter:'],
    ['an expiry that is none', ['@app1.bin', '2.0.0', '--expires', 'soon'], 2, '--expires:'],
    ['an expiry that has been', ['@app1.bin', '2.0.0', '--expires', '2020-01-01'], 2, '--expires:'],
    ['a day that is none', ['@app1.bin', '2.0.0', '--expires', '2099-02-30'], 2, '--expires:'],
    ['a sequence that was', ['@app1.bin', '3.0.0', '--sequence', '100'], 2, '--sequence: dist'],
    ['a negative one', ['@app1.bin', '3.0.0', '--sequence=-1'], 2, '--sequence:'],
    ['a minimum that is none', ['@app1.bin', '2.0.0', '--min-version', '1'], 2, '--min-version:'],
    ['two keys', ['@app1.bin', '2.0.0', '--key', '@boot.pem'], 2, '--key: one key signs'],
    ['twice the same', ['@app1.bin', '2.0.0', '--version', '3.0.0'], 2, '--version: given more'],
    ['an unknown option', ['@app1.bin', '2.0.0', '--fast'], 2, 'Unknown option: --fast'],
    ['no such file', ['@none.bin', '3.0.0'], 1, 'none.bin: no such file or folder'],
    ['a release that is there', ['@app2.bin', '1.0.0'], 1, 'dist/1.0.0.suit: is there already'],
    ['a newer way back', ['@app2.bin', '0.9.0', '--rollback-to', '1.0.0'], 1, 'is not older'],
    ['no way back', ['@app2.bin', '3.0.0', '--rollback-to', '0.1.0'], 1, '0.1.0.suit: no such'],
    ['an image as a way back', ['@app2.bin', '3.0.0', '--rollback-to', '@app1.bin'], 1, 'app1.bin'],
    [
      'a way back that no bootloader takes',
      ['@app2.bin', '3.0.0', '--rollback-to', '1.0.0'],
      1,
      'it needs --image-key and --security-counter',
    ],
    [
      'a boot key of the wrong kind',
      ['@app2.bin', '3.0.0', '--image-key', '@es.pem', '--security-counter', '1'],
      1,
      'the bootloader checks Ed25519 signatures only',
    ],
    [
      'a counter of 33 bits',
      ['@app2.bin', '3.0.0', '--security-counter', '4294967296'],
      2,
      '--security-counter: expected a whole number from 0 to 4294967295',
    ],
  ])('refuses %s', async (_, [firmware = '', version = '', ...more], code, message) => {
    const before = readdirSync(join(folder, 'dist'));
    const outcome = await signed('@dist', firmware, version, ...more);
    expect(outcome.stderr).toContain(message);
    expect(outcome).toMatchObject({ code, stdout: '' });
    expect(readdirSync(join(folder, 'dist'))).toEqual(before);
  });

  test('an image that was signed before says its own version', async () => {
    const image = join('dist', releaseOf('dist/1.0.0.suit').images[0].uri);
    const counter = ['--security-counter', '2'];
    const version = await signed('@again', `@${image}`, '1.0.1');
    expect(version.stderr).toContain('is an image of version 1.0.0, not 1.0.1');
    const other = await signed('@again', `@${image}`, '1.0.0', ...counter);
    expect(other.stderr).toContain('its security counter is 1, not 2');
    const twice = await signed('@again', `@${image}`, '1.0.0', ...BOOT, '1');
    expect(twice.stderr).toContain('leave out --image-key');
    expect((await signed('@again', `@${image}`, '1.0.0')).code).toBe(0);
  });

  test('a way back whose image was changed is not signed', async () => {
    mkdirSync(join(folder, 'forged'));
    const { uri } = releaseOf('dist/1.0.0.suit').images[0];
    copyFileSync(join(folder, 'dist/1.0.0.suit'), join(folder, 'forged/1.0.0.suit'));
    write(`forged/${uri}`, Buffer.from(read(`dist/${uri}`)).fill(0, 500, 501));
    const back = ['--rollback-to', '1.0.0'];
    const outcome = await signed('@forged', '@app2.bin', '2.0.0', ...BOOT, '3', ...back);
    expect(outcome.stderr).toContain('is not the image that was signed');
    expect(outcome.code).toBe(1);
  });
});

describe('verify and inspect', () => {
  const verify = (...args: readonly string[]) =>
    ota('verify', '@dist/1.0.0.suit', '--key', '@release.pub.pem', ...args);

  test('say in one line why', async () => {
    const ok = await verify();
    expect(ok.stdout).toMatch(
      /^dist\/1\.0\.0\.suit: ok, 1\.0\.0, sequence 100, signed by key [0-9a-f]{16}$/,
    );
    const image = `@dist/${releaseOf('dist/1.0.0.suit').images[0].uri}`;
    expect((await verify('--image', image)).code).toBe(0);
    const wrong = await verify('--image', '@app1.bin');
    expect(wrong).toMatchObject({ code: 1, stderr: '' });
    expect(wrong.stdout).toMatch(/^dist\/1\.0\.0\.suit: refused: .*\(wrong-image\)$/);
    const foreign = await ota('verify', '@dist/1.0.0.suit', '--key', '@boot.pub.pem');
    expect(foreign.stdout).toBe(
      'dist/1.0.0.suit: refused: no trusted key made the signature (wrong-signature)',
    );
    const several = ['--key', '@boot.pub.pem', '--key', '@es.pub.pem'];
    expect((await verify(...several)).code).toBe(0);
    const json = JSON.parse((await verify('--json')).stdout);
    expect(json).toMatchObject({ ok: true, version: '1.0.0', sequence: 100 });
  });

  test('an altered file', async () => {
    const envelope = Buffer.from(read('dist/1.0.0.suit'));
    envelope[300]! ^= 1;
    write('altered.suit', envelope);
    const { code, stdout } = await ota('verify', '@altered.suit', '--key', '@release.pub.pem');
    expect([code, stdout]).toEqual([
      1,
      'altered.suit: refused: the manifest was changed after it was signed (wrong-digest)',
    ]);
    const report = JSON.parse(await run('inspect', '@altered.suit', '--json'));
    expect(report.digestMatches).toBe(false);
  });

  test('an expired release, and when that was', async () => {
    const key = readPrivateKeyPem(String(read('release.pem')));
    const options = { sequence: 1, version: '1.0.0', expiresS: 1_000_000_000 };
    const id = new Uint8Array(16);
    const images = [APP_1] as const;
    write('old.suit', signRelease({ ...options, vendorId: id, classId: id, images }, key).envelope);
    const { code, stdout } = await ota('verify', '@old.suit', '--key', '@release.pub.pem');
    expect([code, stdout]).toEqual([
      1,
      'old.suit: refused: the release has expired on 2001-09-09T01:46:40.000Z (expired)',
    ]);
  });

  test('show an envelope to people and machines', async () => {
    const text = await run('inspect', '@dist/1.0.0.suit');
    expect(text).toMatch(/^dist\/1\.0\.0\.suit, not verified\nversion +1\.0\.0\nsequence +100\n/);
    expect(text).toMatch(/\nclassId +57f55ecb-eaa3-5765-960e-e1e1418a661b\n/);
    expect(text).toMatch(/\nimage 1 +sha256 [0-9a-f]{64}, 30,188 bytes$/);
    const report = JSON.parse(await run('inspect', '@dist/1.0.0.suit', '--json'));
    expect(report).toMatchObject({ version: '1.0.0', algorithm: 'Ed25519', digestMatches: true });
    expect(report.images).toHaveLength(2);
  });

  test.each([
    ['inspect', ['@release.pem'], 'release.pem: no SUIT envelope'],
    ['inspect', ['@none.suit'], 'none.suit: no such file or folder'],
    ['inspect', ['@dist'], 'dist: is a folder'],
    ['verify', ['@dist/1.0.0.suit', '--key', '@release.pem'], 'keep it secret'],
    ['verify', ['@dist/1.0.0.suit', '--key', '@app1.bin'], 'not a PEM file'],
  ])('%s %j: one line', async (command, args, message) => {
    const { code, stderr } = await ota(command, ...args);
    expect(code).toBe(1);
    expect(stderr).toContain(message);
    expect(stderr).not.toContain('\n');
  });
});

test('the launcher runs it', () => {
  const bin = fileURLToPath(new URL('../../bin/flotilla-ota.mjs', import.meta.url));
  const { status, stdout } = spawnSync(process.execPath, [bin, 'sign', '--help']);
  expect(status).toBe(0);
  expect(String(stdout)).toContain('--rollback-to');
  expect(spawnSync(process.execPath, [bin]).status).toBe(2);
});
