import {
  chmodSync,
  copyFileSync,
  existsSync,
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
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createPartitionTable } from '../src/images/partition-table.ts';
import { nodeCrypto } from '../src/node-crypto.ts';
import { flotillaBoot, type Outcome } from './support/command-line.ts';

const VECTORS = fileURLToPath(new URL('./vectors/mcuboot/', import.meta.url));
let folder: string;

function boot(...args: readonly string[]): Promise<Outcome> {
  return flotillaBoot(folder, ...args);
}

/** Runs a command that has to succeed, and returns what it prints. */
async function run(...args: readonly string[]): Promise<string> {
  const { code, stderr, stdout } = await boot(...args);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  return stdout;
}

async function runJson(...args: readonly string[]) {
  return JSON.parse(await run(...args, '--json'));
}

function read(name: string): Buffer {
  return readFileSync(join(folder, name));
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'flotilla-boot-'));
  copyFileSync(`${VECTORS}key.pem`, join(folder, 'key.pem'));
  copyFileSync(`${VECTORS}pub.pem`, join(folder, 'pub.pem'));
  copyFileSync(`${VECTORS}other-key.pem`, join(folder, 'other.pem'));
  writeFileSync(join(folder, 'app.bin'), Buffer.alloc(5000, 'application '));
  const signed = ['--key', 'key.pem', '--security-counter'];
  await Promise.all([
    run('image', 'create', 'app.bin', '--out', 'v1.img', '--version', '1.0.0', ...signed, '1'),
    run('image', 'create', 'app.bin', '--out', 'v2.img', '--version', '2.0.0', ...signed, '2'),
    run('image', 'create', 'app.bin', '--out', 'rescue.img', '--version', '0.1.0', ...signed, '9'),
    ...['1', '2'].map((major) => {
      const esp = ['--format', 'esp-idf', '--security-counter', major, '--version', `${major}.0.0`];
      return run('image', 'create', 'app.bin', '--out', `e${major}.img`, ...esp);
    }),
  ]);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('help', () => {
  test('names the commands, and every command has an example', async () => {
    const commands = ['keygen', 'image create', 'image sign', 'image verify', 'image info'].concat([
      'flash create',
      'flash info',
      'flash boot',
      'flash dump',
      'campaign',
    ]);
    const [top, ...pages] = await Promise.all(
      ['', ...commands].map((command) => run(...command.split(' ').filter(Boolean), '--help')),
    );
    for (const name of ['image', 'flash', 'keygen', 'campaign']) expect(top).toContain(name);
    for (const [index, page] of pages.entries()) {
      expect(page).toContain('Examples:');
      expect(page).toContain(`flotilla-boot ${commands[index]}`);
      expect(page).toContain('--json');
    }
  });
});

describe('keygen', () => {
  test('writes a private key for its owner alone, and a public one', async () => {
    expect(await runJson('keygen', '--out', 'new.pem')).toEqual({
      privateKey: 'new.pem',
      publicKey: 'new.pub.pem',
      keyDigest: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(statSync(join(folder, 'new.pem')).mode & 0o777).toBe(0o600);
    expect(read('new.pem').toString()).toMatch(/^-----BEGIN PRIVATE KEY-----/);
    expect(read('new.pub.pem').toString()).toMatch(/^-----BEGIN PUBLIC KEY-----/);
    await run('image', 'create', 'app.bin', '--out', 'n.img', '--key', 'new.pem', '--version', '1');
    expect(await run('image', 'verify', 'n.img', '--key', 'new.pub.pem')).toContain('n.img: ok');
  });

  test('overwrites neither', async () => {
    writeFileSync(join(folder, 'half.pub.pem'), 'mine');
    writeFileSync(join(folder, 'whole'), 'mine');
    const outcomes = await Promise.all([
      boot('keygen', '--out', 'half.pem'),
      boot('keygen', '--out', 'whole'),
    ]);
    for (const { code, stderr } of outcomes) {
      expect(code).toBe(1);
      expect(stderr).toContain('is there already');
    }
    expect(existsSync(join(folder, 'half.pem'))).toBe(false);
    expect(read('half.pub.pem').toString() + read('whole').toString()).toBe('minemine');
  });
});

describe('image', () => {
  test('create writes the bytes that imgtool writes', async () => {
    const vectors: [string, ...string[]][] = [
      ['sha256-seccnt7.bin', '--version', '1.2.3+4', '--security-counter', '7'],
      ['pure.bin', '--version', '2.1.0', '--pure'],
      ['padded.bin', '--version', '3.0.0', '--pad-to', '16K'],
    ];
    const payload = `${VECTORS}payload.bin`;
    const common = ['--key', 'key.pem', '--header-size', '0x200'];
    await Promise.all(
      vectors.map(async ([name, ...args]) => {
        await run('image', 'create', payload, '--out', name, ...common, ...args);
        expect(read(name).equals(readFileSync(VECTORS + name))).toBe(true);
      }),
    );
  });

  test('verify tells imgtool’s images apart', async () => {
    const key = ['--key', 'pub.pem'];
    const [good, wrong, bare] = await Promise.all([
      runJson('image', 'verify', `${VECTORS}sha512.bin`, ...key),
      boot('image', 'verify', `${VECTORS}wrong-key.bin`, ...key),
      boot('image', 'verify', `${VECTORS}sha256.bin`),
    ]);
    expect(good).toMatchObject({ ok: true, version: '2.0.0' });
    expect(wrong).toMatchObject({ code: 1, stderr: '' });
    expect(wrong.stdout).toMatch(
      /wrong-key.bin: refused: signed with a key that is not trusted\n$/,
    );
    expect(bare.code).toBe(2);
  });

  test('verify refuses a flipped bit, with one line why', async () => {
    const bytes = read('v1.img');
    bytes[1000]! ^= 1;
    writeFileSync(join(folder, 'flipped.img'), bytes);
    const [text, json] = await Promise.all([
      boot('image', 'verify', 'flipped.img', '--key', 'pub.pem'),
      boot('image', 'verify', 'flipped.img', '--key', 'pub.pem', '--json'),
    ]);
    const reason = 'the digest does not match the image';
    expect(text).toMatchObject({ code: 1, stdout: `flipped.img: refused: ${reason}\n` });
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout)).toEqual({ file: 'flipped.img', ok: false, reason });
  });

  test('verify checks ESP-IDF images without a key, and none with one', async () => {
    const [ok, keyed] = await Promise.all([
      run('image', 'verify', 'e1.img'),
      boot('image', 'verify', 'e1.img', '--key', 'pub.pem'),
    ]);
    expect(ok).toBe('e1.img: ok, 1.0.0, security counter 1, not signed\n');
    expect(keyed.code).toBe(1);
  });

  test('info shows both formats, and images that nobody trusts', async () => {
    const [mcuboot, esp, padded] = await Promise.all([
      runJson('image', 'info', `${VECTORS}dependency.bin`),
      runJson('image', 'info', 'e2.img'),
      run('image', 'info', `${VECTORS}confirmed.bin`),
    ]);
    expect(mcuboot).toMatchObject({
      format: 'mcuboot',
      version: '1.2.3+4',
      securityCounter: 7,
      headerSize: 512,
      payloadSize: 4096,
      digestMatches: true,
      signature: 'Ed25519',
      dependencies: [{ imageId: 1, version: '1.0.0' }],
    });
    expect(esp).toMatchObject({ format: 'esp-idf', version: '2.0.0', segments: [{ size: 5256 }] });
    expect(padded).toMatch(/trailer +magic set, imageOk set, copyDone unset/);
  });

  test('sign changes key, version and counter, and nothing else', async () => {
    const dependency = `${VECTORS}dependency.bin`;
    const changes = ['--version', '1.2.4', '--security-counter', '8', '--key', 'other.pem'];
    const before = await runJson('image', 'info', dependency);
    const after = await runJson('image', 'sign', dependency, '--out', 's.img', ...changes);
    const { digest: _, file: _file, keyHash: _hash, ...same } = before;
    expect(after).toMatchObject({ ...same, version: '1.2.4', securityCounter: 8 });
    expect(after.keyHash).not.toBe(before.keyHash);
    const payload = readFileSync(`${VECTORS}payload.bin`);
    expect(
      read('s.img')
        .subarray(512, 512 + 4096)
        .equals(payload),
    ).toBe(true);
    const refused = await boot('image', 'verify', 's.img', '--key', 'pub.pem');
    expect(refused.code).toBe(1);
  });

  test('sign by the same key gives the same image, also without a counter', async () => {
    const names = ['sha256.bin', 'dependency.bin', 'pure.bin'];
    await Promise.all(
      names.map(async (name) => {
        await run('image', 'sign', VECTORS + name, '--out', `again-${name}`, '--key', 'key.pem');
        expect(read(`again-${name}`).equals(readFileSync(VECTORS + name))).toBe(true);
      }),
    );
  });

  test('sign refuses what is damaged, and what carries no signature', async () => {
    const bytes = read('v1.img');
    bytes[500]! ^= 1;
    writeFileSync(join(folder, 'damaged.img'), bytes);
    const rest = ['--out', 'refused.img', '--key', 'key.pem'];
    const [damaged, esp, bare] = await Promise.all([
      boot('image', 'sign', 'damaged.img', ...rest),
      boot('image', 'sign', 'e1.img', ...rest),
      boot('image', 'sign', 'app.bin', ...rest),
    ]);
    expect(damaged.stderr).toContain('the digest does not match');
    expect(esp.stderr).toContain('carry no signature');
    expect(bare.stderr).toContain('not an MCUboot image');
    expect([damaged.code, esp.code, bare.code]).toEqual([1, 1, 1]);
    expect(existsSync(join(folder, 'refused.img'))).toBe(false);
  });
});

describe('flash', () => {
  const create = (out: string, ...args: readonly string[]) => {
    const image = ['--key', 'pub.pem', '--slot0', 'v1.img', '--chip', '256K'];
    return run('flash', 'create', '--out', out, ...image, ...args);
  };

  test('create writes the chip as a chip reader would give it', async () => {
    const image = ['--key', 'pub.pem', '--slot0', 'v1.img'];
    await run('flash', 'create', '--out', 'plain.bin', ...image);
    const bytes = read('plain.bin');
    expect(bytes.length).toBe(4 * 1024 * 1024);
    expect([...bytes.subarray(0x8000, 0x8002)]).toEqual([0xaa, 0x50]);
    expect(bytes.subarray(0x10000, 0x10000 + read('v1.img').length).equals(read('v1.img'))).toBe(
      true,
    );
    expect(bytes.subarray(0xd004, 0xd008).toString()).toBe('ABM1');
    expect(JSON.parse(read('plain.bin.fuses.json').toString())).toMatchObject({
      secureBoot: true,
      rollbackBits: 0,
    });
    const info = await runJson('flash', 'info', 'plain.bin');
    expect(info).toMatchObject({ chip: 'W25Q32', profile: 'hardened' });
    expect(info.record[0]).toContain('slot 0 is active (confirmed)');
    const regions = Object.fromEntries(
      info.regions.map(({ content, name }: { content: string; name: string }) => [name, content]),
    );
    expect(regions).toMatchObject({
      stage2: expect.stringContaining('the one that the fuses name'),
      slot0: '1.0.0, security counter 1',
      slot1: 'erased',
    });
  });

  test('boot carries out a whole update', async () => {
    await create('update.bin');
    const text = await run(
      'flash',
      'boot',
      'update.bin',
      '--stage',
      'v2.img',
      '--times=3',
      '--confirm',
    );
    expect(text).toBe(
      [
        'power-on  slot 0 1.0.0, selected: confirmed',
        '          staged v2.img in slot 1',
        'restart   slot 1 2.0.0, trial: staged',
        '          confirmed',
        'restart   slot 1 2.0.0, selected: confirmed',
        'written: update.bin, update.bin.fuses.json',
        '',
      ].join('\n'),
    );
    const { boots, changed } = await runJson('flash', 'boot', 'update.bin', '--reset', 'restart');
    expect(boots).toMatchObject([{ reset: 'restart', slot: 1, version: '2.0.0', reverted: false }]);
    expect(changed).toEqual({ flash: false, fuses: false });
    const info = await run('flash', 'info', 'update.bin');
    expect(info).toContain('rollback counter 2 of 32');
    expect(info).toContain('1.0.0, security counter 1, refused: the rollback counter is 2');
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  test('boot shows a revert, and one that was asked for', async () => {
    await Promise.all([create('revert.bin'), create('reject.bin')]);
    const watchdog = ['--stage', 'v2.img', '--times', '6', '--reset', 'watchdog'];
    const reject = ['--stage', 'v2.img', '--times', '3', '--reject'];
    const [reverted, rejected] = await Promise.all([
      runJson('flash', 'boot', 'revert.bin', ...watchdog),
      runJson('flash', 'boot', 'reject.bin', ...reject),
    ]);
    const words = ({ boots }: { boots: { slot: number; decision: string; reason: string }[] }) =>
      boots.map(({ decision, reason, slot }) => `${slot} ${decision}: ${reason}`);
    expect(words(reverted).slice(-3)).toEqual([
      '1 trial: staged',
      '0 reverted: tries used up',
      '0 selected: tries used up',
    ]);
    expect(words(rejected)).toEqual([
      '0 selected: confirmed',
      '1 trial: staged',
      '0 selected: rejected by the application',
    ]);
  });

  test('boot tells recovery, and ends with 1 on a halt', async () => {
    await create('broken.bin', '--recovery', 'rescue.img');
    const bytes = read('broken.bin');
    bytes[0x10000 + 100]! ^= 1;
    writeFileSync(join(folder, 'broken.bin'), bytes);
    const recovery = await runJson('flash', 'boot', 'broken.bin');
    expect(recovery.boots).toMatchObject([{ outcome: 'recovery', slot: -1, version: '0.1.0' }]);
    const damaged = read('broken.bin');
    damaged[20]! ^= 1;
    writeFileSync(join(folder, 'broken.bin'), damaged);
    const halt = await boot('flash', 'boot', 'broken.bin', '--json');
    expect(halt.code).toBe(1);
    expect(JSON.parse(halt.stdout).boots).toMatchObject([{ haltCode: 'stage2-not-trusted' }]);
    const info = await run('flash', 'info', 'broken.bin');
    expect(info).toContain('not the one that the fuses name');
  });

  test('boot writes nothing when it fails', async () => {
    await create('kept.bin');
    const before = read('kept.bin');
    writeFileSync(join(folder, 'large.img'), Buffer.alloc(0x10001));
    const trial = ['--stage', 'v2.img', '--times', '2'];
    const failed = await boot('flash', 'boot', 'kept.bin', '--stage', 'large.img');
    expect(failed.stderr).toContain('large.img: does not fit');
    expect(read('kept.bin').equals(before)).toBe(true);
    await run('flash', 'boot', 'kept.bin', ...trial);
    const again = await boot('flash', 'boot', 'kept.bin', '--stage', 'v2.img');
    expect(again).toMatchObject({ code: 1 });
    expect(again.stderr).toContain('no program ran that may stage it');
  });

  test('dump takes regions out, and prints them in hex', async () => {
    await create('dump.bin');
    const [copied, hex, whole] = await Promise.all([
      runJson('flash', 'dump', 'dump.bin', '--region', 'slot0', '--out', 'slot0.bin'),
      run('flash', 'dump', 'dump.bin', '--region', 'record'),
      runJson('flash', 'dump', 'dump.bin'),
    ]);
    expect(copied).toMatchObject({ offset: 0x10000, size: 0x10000, out: 'slot0.bin' });
    expect(read('slot0.bin').equals(read('dump.bin').subarray(0x10000, 0x20000))).toBe(true);
    expect(hex).toMatch(/^0000d000 {2}01 00 00 00 41 42 4d 31 .* {2}\.\.\.\.ABM1/);
    expect(hex).toContain('erased');
    expect(whole).toMatchObject({ offset: 0, size: 256 * 1024, region: null });
    const wrong = await boot('flash', 'dump', 'dump.bin', '--region', 'slot9');
    expect(wrong.stderr).toContain(
      'has no region slot9; it has stage2, record, slot0, slot1, table',
    );
  });

  test('without its fuses file a chip has no fuse burnt, and says so', async () => {
    await create('blank.bin');
    rmSync(join(folder, 'blank.bin.fuses.json'));
    const text = await run('flash', 'boot', 'blank.bin');
    expect(text).toContain('blank.bin.fuses.json: is not there: no fuse is burnt');
  });

  test('create says what will not boot, and writes it all the same', async () => {
    await run('image', 'create', 'app.bin', '--out', 'x.img', '--key=other.pem', '--version=1');
    const text = await create('mixed.bin', '--slot1', 'x.img');
    expect(text).toContain('will not boot: signed with a key that is not trusted');
    const { boots } = await runJson('flash', 'boot', 'mixed.bin');
    expect(boots).toMatchObject([{ slot: 0 }]);
  });

  test('the esp-idf profile: one try, and no signature', async () => {
    const chip = ['--profile', 'esp-idf', '--chip', '1M', '--anti-rollback', '--slot0', 'e1.img'];
    await run('flash', 'create', '--out', 'esp.bin', ...chip);
    const update = ['--stage', 'e2.img', '--times', '3', '--confirm'];
    const { boots } = await runJson('flash', 'boot', 'esp.bin', ...update);
    expect(boots).toMatchObject([
      { slot: 0, reason: 'no otadata' },
      { slot: 1, decision: 'trial' },
      { slot: 1, decision: 'selected' },
    ]);
    const info = await run('flash', 'info', 'esp.bin');
    expect(info).toContain('rollback counter 2 of 32');
    expect(info).toContain('1.0.0, security counter 1, refused: the rollback counter is 2');
    expect(info).toContain('record 0: sequence 2: slot 1 of ESP-IDF, valid');
  });

  test('a dump of a real chip is shown and booted by its partition table', async () => {
    const row = (name: string, type: number, subtype: number, offset: number, size: number) => {
      return { name, type, subtype, offset, size, flags: 0 };
    };
    const partitions = [
      row('nvs', 1, 2, 0x9000, 0x4000),
      row('otadata', 1, 0, 0xd000, 0x2000),
      row('ota_0', 0, 0x10, 0x10000, 0x10000),
      row('ota_1', 0, 0x11, 0x20000, 0x10000),
    ];
    const bytes = Buffer.alloc(0x40000, 0xff);
    bytes[0] = 0xe9;
    bytes.set(createPartitionTable(partitions, nodeCrypto), 0x8000);
    bytes.set(read('e1.img'), 0x20000);
    writeFileSync(join(folder, 'dump-esp.bin'), bytes);
    const [info, text, dump] = await Promise.all([
      runJson('flash', 'info', 'dump-esp.bin'),
      run('flash', 'boot', 'dump-esp.bin'),
      runJson('flash', 'dump', 'dump-esp.bin', '--region', 'nvs'),
    ]);
    expect(info).toMatchObject({ profile: 'esp-idf', fuses: null });
    expect(text).toContain('power-on  slot 1 1.0.0, reverted: no otadata');
    expect(text).toContain('nothing was written');
    expect(dump).toMatchObject({ offset: 0x9000, size: 0x4000 });
  });

  test('keeps the permissions of a file that it replaces', async () => {
    await create('mode.bin');
    chmodSync(join(folder, 'mode.bin'), 0o640);
    await run('flash', 'boot', 'mode.bin');
    expect(statSync(join(folder, 'mode.bin')).mode & 0o777).toBe(0o640);
  });
});
