// What is published can rot unseen, because nothing here runs it: so build it, pack it, install it
// into an empty folder, and use it as its users do.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, posix, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Built, build, type ExportTargets, publishedPackage } from '../scripts/build.ts';
import { importsOf } from './layer-rules.ts';

const INSTALL_MS_MAX = 120_000;
const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * The environment of somebody who has none of this repository: without its programs on the PATH,
 * and without what an outer npm tells its scripts.
 */
function strangersEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name));
  const folders = (process.env.PATH ?? '').split(delimiter);
  const others = folders.filter((folder) => !folder.includes(join('node_modules', '.bin')));
  return { ...Object.fromEntries(entries), PATH: others.join(delimiter) };
}

function run(program: string, args: readonly string[], cwd: string): string {
  const options = { cwd, env: strangersEnvironment(), encoding: 'utf8', stdio: 'pipe' } as const;
  return execFileSync(program, args, options);
}

/**
 * The specifiers behind an exports map that Node can import, its patterns spelt out by the files
 * that are there.
 */
function specifiersOf({ package: { name, exports = {} }, folder }: Built): string[] {
  return Object.entries(exports as ExportTargets).flatMap(([subpath, target]) => {
    const specifier = posix.join(name, subpath);
    if (target.default === undefined) return [];
    if (!subpath.includes('*')) return [specifier];
    const [before = '', after = ''] = target.default.split('*');
    return readdirSync(join(folder, dirname(`${before}_`)))
      .filter((file) => file.endsWith(after))
      .map((file) => specifier.replace('*', file.slice(0, -after.length)));
  });
}

describe('a published package.json', () => {
  const source = {
    name: '@flotilla/a',
    version: '2.0.0',
    private: true,
    license: 'Apache-2.0',
    scripts: { test: 'vitest' },
    exports: {
      '.': './src/index.ts',
      './codec/*': './src/codec/*.ts',
      './board': { moddable: './ports/board/index.ts' },
    },
    dependencies: { '@flotilla/sdk': '*', yaml: '^2.0.0' },
    devDependencies: { vitest: '1.0.0' },
  };
  test('names compiled files with their types, and exact versions of our own packages', () => {
    expect(publishedPackage(source, { '@flotilla/sdk': '1.2.3' }, ['src'])).toEqual({
      name: '@flotilla/a',
      version: '2.0.0',
      license: 'Apache-2.0',
      exports: {
        '.': { types: './src/index.d.ts', default: './src/index.js' },
        './codec/*': { types: './src/codec/*.d.ts', default: './src/codec/*.js' },
        './board': { types: './ports/board/index.d.ts', moddable: './ports/board/index.js' },
      },
      dependencies: { '@flotilla/sdk': '1.2.3', yaml: '^2.0.0' },
      files: ['src'],
    });
  });
});

describe('the packages, installed into an empty folder', () => {
  let folder: string;
  let built: Built[];

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'flotilla-packaging-'));
    built = build(root, join(folder, 'built'));
    const tarballs = built.map((each) => {
      const packed = run('npm', ['pack', '--json', '--pack-destination', folder], each.folder);
      return join(folder, JSON.parse(packed)[0].filename);
    });
    writeFileSync(join(folder, 'package.json'), '{"private": true, "type": "module"}');
    const quiet = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
    // What a device's program adds for updates.
    const peers = ['@noble/ed25519@3.2.0', '@noble/hashes@2.4.0'];
    run('npm', ['install', ...quiet, '--omit=dev', ...tarballs, ...peers], folder);
  }, INSTALL_MS_MAX);

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('every export can be imported', () => {
    const specifiers = built.flatMap(specifiersOf);
    expect(specifiers.length).toBeGreaterThan(built.length);
    const lines = specifiers.map((specifier) => `await import('${specifier}');`);
    writeFileSync(join(folder, 'imports.js'), `${lines.join('\n')}\nconsole.log('all');\n`);
    expect(run(process.execPath, ['imports.js'], folder)).toBe('all\n');
  });

  test('their types reach a TypeScript program', () => {
    // An error must be reported here: were the types not found, `any` would take everything.
    writeFileSync(
      join(folder, 'user.ts'),
      `import type { Platform } from '@flotilla/sdk';
       // @ts-expect-error
       export const platform: Platform = 1;`,
    );
    const strict = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022'];
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    expect(run(process.execPath, [tsc, ...strict, '--types', '', 'user.ts'], folder)).toBe('');
  });

  test('no import leads out of a package, and none is of TypeScript', () => {
    for (const each of built) {
      const paths = readdirSync(each.folder, { recursive: true, encoding: 'utf8' })
        .filter((path) => /\.m?js$/.test(path))
        .map((path) => path.split(sep).join('/'));
      expect(paths.length).toBeGreaterThan(0);
      for (const path of paths) {
        const text = readFileSync(join(each.folder, path), 'utf8');
        for (const { specifier = '' } of importsOf({ path, text })) {
          if (!specifier.startsWith('.')) continue;
          expect(posix.join(posix.dirname(path), specifier)).not.toMatch(/^\.\./);
          if (!path.startsWith('bin/')) expect(specifier).not.toMatch(/\.ts$/);
        }
      }
    }
  });

  test('flotilla --help', () => {
    expect(run('npx', ['--no', 'flotilla', '--', '--help'], folder)).toContain('flotilla run');
  });
});
