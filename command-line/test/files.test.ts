import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CommandError } from '../src/errors.ts';
import {
  checkOutput,
  createFile,
  filesIn,
  makeFolder,
  readBytes,
  readText,
  replaceFile,
  writeOutput,
} from '../src/files.ts';
import { createKeyFiles, readKey } from '../src/key-files.ts';
import { parsePrivateKey, parsePublicKey } from '../src/keys.ts';

let folder: string;
const at = (name: string) => join(folder, name);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'flotilla-files-'));
  writeFileSync(at('file'), 'text');
  mkdirSync(at('folder'));
  symlinkSync('loop', at('loop'));
  execFileSync('mkfifo', [at('pipe')]);
});
afterEach(() => rmSync(folder, { recursive: true }));

/** The message of the CommandError that it has to end with, without the folder. */
function failureOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return error.message.replaceAll(`${folder}/`, '');
  }
  throw new Error('it did not fail');
}

test.each([
  ['none', 'none: no such file or folder'],
  ['folder', 'folder: is a folder'],
  ['pipe', 'pipe: is not a regular file'],
  ['loop', 'loop: its symbolic links lead in a circle'],
  ['file/x', 'file/x: a part of its path is not a folder'],
  ['x'.repeat(300), `${'x'.repeat(300)}: the name is too long`],
])('reading %s fails in one line', (name, message) => {
  expect(failureOf(() => readBytes(at(name)))).toBe(message);
});

test('a file is read whole, or not at all', () => {
  expect(readText(at('file'))).toBe('text');
  expect(readBytes(at('file'), 4)).toHaveLength(4);
  const message = 'file: 4 bytes are too many, at most 3 are read';
  expect(failureOf(() => readText(at('file'), 3))).toBe(message);
});

test('folders are made and listed', () => {
  makeFolder(at('a/b'));
  makeFolder(at('a/b'));
  expect(filesIn(at('a'))).toEqual(['b']);
  expect(filesIn(at('nowhere'))).toEqual([]);
  expect(failureOf(() => makeFolder(at('file')))).toBe('file: is not a folder');
  expect(failureOf(() => filesIn(at('file')))).toContain('not a folder');
});

test('a file that is there is not overwritten', () => {
  createFile(at('new'), 'a', 0o600);
  expect(statSync(at('new')).mode & 0o777).toBe(0o600);
  const message = 'new: is there already; it is not overwritten';
  expect(failureOf(() => createFile(at('new'), 'b'))).toBe(message);
  expect(readText(at('new'))).toBe('a');
});

test('a file is replaced behind its link, with its mode, and nothing is left beside it', () => {
  chmodSync(at('file'), 0o640);
  symlinkSync('file', at('link'));
  const before = readdirSync(folder);
  replaceFile(at('link'), Buffer.from('other'));
  expect(readFileSync(at('file'), 'utf8')).toBe('other');
  expect(statSync(at('file')).mode & 0o777).toBe(0o640);
  expect(failureOf(() => replaceFile(at('pipe'), Buffer.from('x')))).toContain('not a regular');
  expect(readdirSync(folder)).toEqual(before);
});

test('an output goes into a new folder, and into a device as it is', () => {
  writeOutput(at('deep/er/out'), 'one');
  writeOutput(at('deep/er/out'), 'two');
  expect(readText(at('deep/er/out'))).toBe('two');
  writeOutput('/dev/null', 'x');
  expect(statSync('/dev/null').isCharacterDevice()).toBe(true);
  const full = failureOf(() => writeOutput('/dev/full', 'x'));
  expect(full).toBe('/dev/full: no space left');
  expect(failureOf(() => writeOutput(at('folder'), 'x'))).toBe('folder: is a folder');
  expect(failureOf(() => writeOutput(at('file/x'), 'x'))).toBe(
    'file/x: a part of its path is not a folder',
  );
});

test('an output is tried before the work, which leaves nothing of it', () => {
  checkOutput(at('deep/out'));
  expect(filesIn(at('deep'))).toEqual([]);
  checkOutput(at('file'));
  expect(readText(at('file'))).toBe('text');
  expect(filesIn(folder).sort()).toEqual(['deep', 'file', 'folder', 'loop', 'pipe']);
  checkOutput('/dev/null');
  expect(failureOf(() => checkOutput(at('folder')))).toBe('folder: is a folder');
  expect(failureOf(() => checkOutput(at('loop')))).toBe(
    'loop: its symbolic links lead in a circle',
  );
  expect(failureOf(() => checkOutput(at('file/x')))).toBe(
    'file/x: a part of its path is not a folder',
  );
  // Nobody, root neither, makes a file there.
  expect(failureOf(() => checkOutput('/proc/out'))).toMatch(/^\/proc\/out: /);
});

describe('key files', () => {
  const files = () => ({ privateKey: at('key.pem'), publicKey: at('key.pub.pem') });

  test('are made as a pair, the private one for its owner alone', () => {
    const publicPem = createKeyFiles(files(), 'es256');
    expect(readText(at('key.pub.pem'))).toBe(publicPem);
    expect(statSync(at('key.pem')).mode & 0o777).toBe(0o600);
    const own = readKey(at('key.pem'), (text) => parsePrivateKey(text, ['es256']));
    const trusted = readKey(at('key.pub.pem'), (text) => parsePublicKey(text, ['es256']));
    expect(own.publicKey).toEqual(trusted.publicKey);
  });

  test('are never overwritten, neither of them', () => {
    createFile(at('key.pub.pem'), 'mine');
    const message = 'key.pub.pem: is there already; it is not overwritten';
    expect(failureOf(() => createKeyFiles(files(), 'ed25519'))).toBe(message);
    expect(filesIn(folder)).not.toContain('key.pem');
  });

  test('are named with what is wrong with them', () => {
    const read = () => readKey(at('file'), (text) => parsePublicKey(text, ['ed25519']));
    expect(failureOf(read)).toBe('file: not a PEM file: it has no -----BEGIN line');
    const bug = () => {
      throw new TypeError('bug');
    };
    expect(() => readKey(at('file'), bug)).toThrow(TypeError);
  });
});
