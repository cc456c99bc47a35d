// What is published can rot unseen, because nothing here runs it: so build it, pack it, install it
// into an empty folder, and use it as its users do.

import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, posix, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Built,
  build,
  type ExportTarget,
  type ExportTargets,
  publishedPackage,
  type RootPackage,
} from '../scripts/build.ts';
import { anchorsOf, isRelative, linksOf } from '../scripts/markdown.ts';
import { verifyEd25519 } from '../sdk/ports/noble/ed25519.ts';
import { KINDS, signatureCases } from '../sdk/test/ports/noble/signatures.ts';
import { importsOf } from './layer-rules.ts';

/** It takes 15 s, and one with other work at times ten times that. */
const root = fileURLToPath(new URL('..', import.meta.url));
const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));

interface SourcePackage extends RootPackage {
  readonly private?: boolean;
  readonly license: string;
  readonly version: string;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
}

function packageOf(folder: string): SourcePackage {
  return JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
}

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

/** What the compiler says about a program. */
function compile(tsc: string, args: readonly string[], cwd: string): string {
  const { stderr, stdout } = spawnSync(process.execPath, [tsc, ...args], { cwd, encoding: 'utf8' });
  return stdout + stderr;
}

/**
 * The specifiers behind an exports map, its patterns spelt out by the files that are there; without
 * those that only the named runtime can load, or with those alone.
 */
function specifiersOf({ package: { name, exports = {} }, folder }: Built, runtime?: 'moddable') {
  return Object.entries(exports as ExportTargets).flatMap(([subpath, target]) => {
    const specifier = posix.join(name, subpath);
    const file = (target as ExportTarget)[runtime ?? 'default'];
    if (file === undefined) return [];
    if (!subpath.includes('*')) return [specifier];
    const [before = '', after = ''] = file.split('*');
    return readdirSync(join(folder, dirname(`${before}_`)))
      .filter((each) => each.endsWith(after))
      .map((each) => specifier.replace('*', each.slice(0, -after.length)));
  });
}

/** Needs neither Node nor its types. */
function isForDevices(specifier: string): boolean {
  return specifier.startsWith('@flotilla/sdk') && specifier !== '@flotilla/sdk/node';
}

/** What is left of `import 'specifier'` in a bundle whose author was told nothing of effects. */
async function effectsOf(specifier: string, folder: string): Promise<string> {
  const entry = join(folder, 'entry.js');
  const bundle = await rolldown({
    input: entry,
    cwd: folder,
    treeshake: { annotations: false, moduleSideEffects: (id) => id.includes('@flotilla') },
    external: (id) => id.startsWith('node:'),
    plugins: [
      {
        name: 'entry',
        resolveId: (id) => (id === entry ? id : undefined),
        load: (id) => (id === entry ? `import '${specifier}';` : undefined),
      },
    ],
  });
  const { output } = await bundle.generate();
  return output[0].code.replace('export {};', '').trim();
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
  const rootPackage = {
    workspaces: ['a'],
    repository: { type: 'git', url: 'git+https://example.org/owner/name.git' },
    engines: { node: '>=18' },
  };
  const origin = { root: rootPackage, workspace: 'a', versions: { '@flotilla/sdk': '1.2.3' } };

  test('names compiled files with their types, exact versions of our own, and its repository', () => {
    expect(publishedPackage(source, origin, ['src'])).toEqual({
      name: '@flotilla/a',
      version: '2.0.0',
      license: 'Apache-2.0',
      repository: {
        type: 'git',
        url: 'git+https://example.org/owner/name.git',
        directory: 'a',
      },
      homepage: 'https://example.org/owner/name/tree/main/a#readme',
      bugs: { url: 'https://example.org/owner/name/issues' },
      engines: { node: '>=18' },
      publishConfig: { access: 'public' },
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
    // What a device's program adds for updates: the oldest that will do. The newest is here.
    const peers = Object.entries(packageOf('sdk').peerDependencies).map(
      ([name, range]) => `${name}@${range.replace('^', '')}`,
    );
    run('npm', ['install', ...quiet, '--omit=dev', ...tarballs, ...peers], folder);
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('each says what it is, where it is from and who may use it', () => {
    const { engines, license, repository, version } = packageOf('');
    for (const { folder: from, package: published, workspace } of built) {
      // The source would publish TypeScript, which Node refuses in a package.
      expect(packageOf(workspace).private, workspace).toBe(true);
      expect(published).toMatchObject({
        name: `@flotilla/${workspace}`,
        // One for all, as links on their pages go by its tag.
        version,
        description: expect.stringMatching(/^[A-Z].{20,}\.$/),
        license,
        type: 'module',
        repository: { ...repository, directory: workspace },
        homepage: expect.stringContaining('://'),
        bugs: { url: expect.stringContaining('://') },
        engines,
        sideEffects: false,
        publishConfig: { access: 'public' },
      });
      expect(published).not.toHaveProperty('private');
      const { files, keywords } = published as unknown as Record<string, string[]>;
      expect(new Set(keywords).size, workspace).toBeGreaterThan(5);
      expect(files, workspace).toContain('src');
      const installed = join(folder, 'node_modules', published.name);
      const names = [...files!, 'LICENSE', 'README.md', 'package.json'].sort();
      expect(readdirSync(installed).sort()).toEqual(names);
      expect(readFileSync(join(installed, 'LICENSE'))).toEqual(readFileSync(join(root, 'LICENSE')));
      expect(readdirSync(from).sort()).toEqual(names);
    }
  });

  test('nothing comes with them that npm would compile or run', () => {
    const modules = join(folder, 'node_modules');
    const installed = readdirSync(modules, { recursive: true, encoding: 'utf8' });
    const lock = readFileSync(join(folder, 'package-lock.json'), 'utf8');
    const { packages } = JSON.parse(lock) as { packages: Record<string, object> };
    expect(Object.keys(packages).length).toBeGreaterThan(built.length);
    expect(installed.filter((path) => path.endsWith('binding.gyp'))).toEqual([]);
    const scripts = Object.entries(packages).filter(([, each]) => 'hasInstallScript' in each);
    expect(scripts.map(([path]) => path)).toEqual([]);
  });

  test('links on their pages lead to what is in the package, or in the repository', () => {
    let linkCount = 0;
    for (const { package: published, workspace } of built) {
      const installed = join(folder, 'node_modules', published.name);
      const url = published.bugs.url.replace(/\/issues$/, '');
      const pages = readdirSync(installed, { recursive: true, encoding: 'utf8' });
      for (const page of pages.filter((path) => path.endsWith('.md'))) {
        for (const { target } of linksOf(readFileSync(join(installed, page), 'utf8'))) {
          const [address = '', anchor] = target.split('#');
          const ours = new RegExp(`^${url}/(blob|tree)/v${published.version}/(.+)$`).exec(address);
          const file = ours
            ? join(root, ours[2]!)
            : join(installed, dirname(page), isRelative(target) ? address : '');
          const shown = `${workspace}/${page}: ${target}`;
          expect(existsSync(file), shown).toBe(true);
          if (ours) expect(statSync(file).isDirectory(), shown).toBe(ours[1] === 'tree');
          else expect(address.startsWith(url), shown).toBe(false);
          if (anchor !== undefined) {
            expect(anchorsOf(readFileSync(file, 'utf8')), shown).toContain(anchor);
          }
          linkCount += 1;
        }
      }
    }
    expect(linkCount).toBeGreaterThan(built.length);
  });

  test('every export can be imported, and does nothing to the program that imports it', () => {
    const specifiers = built.flatMap((each) => specifiersOf(each));
    expect(specifiers.length).toBeGreaterThan(built.length);
    writeFileSync(
      join(folder, 'imports.js'),
      `// Schemas of zod share two globals.
       const globals = Object.getOwnPropertyNames(globalThis).concat('__zod_globalConfig', '__zod_globalRegistry');
       const listeners = () => process.eventNames().map((name) => [name, process.listenerCount(name)]);
       const before = String(listeners());
       ${specifiers.map((specifier) => `await import('${specifier}');`).join('\n')}
       const added = Object.getOwnPropertyNames(globalThis).filter((name) => !globals.includes(name));
       console.log(...added, String(listeners()) === before ? 'all' : listeners());`,
    );
    expect(run(process.execPath, ['imports.js'], folder)).toBe('all\n');
  });

  test('a bundler leaves out what a device does not use', async () => {
    const specifiers = built.flatMap((each) => specifiersOf(each)).filter(isForDevices);
    expect(specifiers.length).toBeGreaterThan(50);
    for (const specifier of specifiers) {
      expect(await effectsOf(specifier, folder), specifier).toBe('');
    }
  });

  /** What a program imports, the types of its world, and its options beside. */
  const programs: readonly [
    name: string,
    of: (each: Built) => string[],
    types: string,
    options: readonly string[],
  ][] = [
    ['a device', (each) => specifiersOf(each).filter(isForDevices), '', []],
    [
      'a board with Moddable',
      (each) => specifiersOf(each, 'moddable'),
      '',
      ['--customConditions', 'moddable'],
    ],
    ['a program on Node', (each) => specifiersOf(each), 'node', []],
  ];
  const resolutions = [
    ['--module', 'nodenext'],
    ['--module', 'esnext', '--moduleResolution', 'bundler'],
  ];

  test.each(programs)('their types are whole in %s', (_name, of, types, options) => {
    const specifiers = built.flatMap(of);
    const imports = specifiers.map((name, index) => `export * as m${index} from '${name}';`);
    writeFileSync(
      join(folder, 'user.ts'),
      `${imports.join('\n')}
       import type { Platform } from '@flotilla/sdk';
       // An error must be reported here: were types not found, \`any\` would take everything.
       // @ts-expect-error
       export const platform: Platform = 1;`,
    );
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    // None of a browser's types, and everything is looked at that is named.
    const strict = '--noEmit --strict --skipLibCheck false --target es2022 --lib es2022'.split(' ');
    for (const resolution of resolutions) {
      const args = [...strict, ...resolution, ...options, '--types', types, 'user.ts'];
      expect(compile(tsc, args, folder), resolution.join(' ')).toBe('');
    }
  });

  test('the oldest noble that is allowed decides as the newest', () => {
    console.log(`SEED=${SEED} test/packaging.test.ts`);
    const cases = signatureCases(SEED, 6 * KINDS.length).map(
      ({ message, publicKey, signature }) => [publicKey, message, signature] as const,
    );
    const texts = cases.map((parts) => parts.map((bytes) => Buffer.from(bytes).toString('hex')));
    writeFileSync(join(folder, 'signatures.json'), JSON.stringify(texts));
    writeFileSync(
      join(folder, 'verify.js'),
      `import { readFileSync } from 'node:fs';
       import { verifyEd25519 } from '@flotilla/sdk/noble';
       const cases = JSON.parse(readFileSync('signatures.json', 'utf8'));
       const bytes = (text) => Uint8Array.from(Buffer.from(text, 'hex'));
       console.log(JSON.stringify(cases.map((parts) => verifyEd25519(...parts.map(bytes)))));`,
    );
    const verdicts = JSON.parse(run(process.execPath, ['verify.js'], folder));
    expect(verdicts).toEqual(cases.map((parts) => verifyEd25519(...parts)));
    expect(new Set(verdicts).size).toBe(2);
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
