import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { FileSettings, MemorySettings } from '../../../ports/node/settings.ts';
import { SETTINGS_KEY_LENGTH_MAX, type Settings } from '../../../src/platform.ts';

const MODULE = new URL('../../../ports/node/settings.ts', import.meta.url).href;

const root = mkdtempSync(join(tmpdir(), 'flotilla-settings-'));
let folder = '';
let folderCount = 0;

beforeEach(() => {
  folderCount += 1;
  folder = join(root, String(folderCount), 'deep');
});

afterAll(() => rmSync(root, { recursive: true }));

const KINDS: readonly [string, () => Settings][] = [
  ['files', () => new FileSettings(folder)],
  ['memory', () => new MemorySettings()],
];

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));

describe.each(KINDS)('settings in %s', (kind, open) => {
  test('hold what was set last', () => {
    const keys = ['a', 'a.new', 'b', 'mqtt.version', 'a-b', '9'];
    const step = fc.record({
      act: fc.constantFrom('set', 'get', 'delete', 'reopen'),
      key: fc.constantFrom(...keys),
      value: fc.uint8Array({ maxLength: 20 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        let settings = open();
        const model = new Map<string, Uint8Array>();
        for (const key of keys) settings.delete(key);
        for (const { act, key, value } of steps) {
          if (act === 'set') {
            settings.set(key, value);
            model.set(key, new Uint8Array(value));
            value.fill(7); // A copy was taken.
          } else if (act === 'delete') {
            settings.delete(key);
            model.delete(key);
          } else if (act === 'reopen' && kind === 'files') {
            settings = open();
          }
          for (const each of keys) expect(settings.get(each)).toEqual(model.get(each));
        }
      }),
      { numRuns: 20 },
    );
  });

  test('of like names do not meet', () => {
    const settings = open();
    settings.set('a.new', bytes('1'));
    settings.set('a', bytes('2'));
    expect(settings.get('a.new')).toEqual(bytes('1'));
  });

  test('give copies', () => {
    const settings = open();
    settings.set('a', bytes('old'));
    settings.get('a')!.fill(0);
    expect(settings.get('a')).toEqual(bytes('old'));
    settings.set('a', new Uint8Array(0));
    expect(settings.get('a')).toEqual(new Uint8Array(0));
  });

  test.each([
    ['', 'empty'],
    ['a'.repeat(SETTINGS_KEY_LENGTH_MAX + 1), 'too long'],
    ['a.', 'a on Windows'],
    ['.', 'the folder'],
    ['..', 'the folder above'],
    ['../a', 'a path'],
    ['a/b', 'a path'],
    ['a\\b', 'a path elsewhere'],
    ['A', 'not told from a by some file systems'],
    ['ä', 'no ASCII'],
    ['a b', 'a space'],
    ['a\0', 'NUL'],
  ])('refuse the key %j: %s', (key) => {
    const settings = open();
    const message = `settings key '${key}'`;
    expect(() => settings.get(key)).toThrow(message);
    expect(() => settings.set(key, bytes('x'))).toThrow(message);
    expect(() => settings.delete(key)).toThrow(message);
    expect(() => settings.get(key)).toThrow(RangeError);
  });

  test('take a key of the full length', () => {
    const settings = open();
    const key = 'a'.repeat(SETTINGS_KEY_LENGTH_MAX);
    settings.set(key, bytes('x'));
    expect(settings.get(key)).toEqual(bytes('x'));
  });
});

describe('settings in files', () => {
  test('keep the old value when power goes before the rename', () => {
    const settings = new FileSettings(folder);
    settings.set('a', bytes('old'));
    // The file of the value that was being written is found by its not being the setting's.
    const before = readdirSync(folder);
    const code = `
      import { FileSettings } from '${MODULE}';
      import fs from 'node:fs';
      import { syncBuiltinESMExports } from 'node:module';
      const settings = new FileSettings(process.argv[1]);
      fs.renameSync = () => process.kill(process.pid, 'SIGKILL');
      syncBuiltinESMExports();
      settings.set('a', Buffer.from('the new value'));`;
    const { signal } = spawnSync(process.execPath, ['--input-type=module', '-e', code, folder]);
    expect(signal).toBe('SIGKILL');
    const left = readdirSync(folder).filter((name) => !before.includes(name));
    expect(left.length).toBe(1);
    const reopened = new FileSettings(folder);
    expect(reopened.get('a')).toEqual(bytes('old'));
    // What was left is in nobody's way, not even half-written.
    writeFileSync(join(folder, left[0]!), 'the new v');
    reopened.set('a', bytes('newer'));
    expect(reopened.get('a')).toEqual(bytes('newer'));
    expect(readdirSync(folder)).toEqual(['a']);
  });

  test('throw what the file system says', () => {
    const file = join(root, 'file');
    writeFileSync(file, '');
    expect(() => new FileSettings(file)).toThrow('EEXIST');
    const settings = new FileSettings(folder);
    mkdirSync(join(folder, 'a'));
    expect(() => settings.get('a')).toThrow('EISDIR');
    expect(() => settings.set('a', bytes('x'))).toThrow('EISDIR');
  });
});
