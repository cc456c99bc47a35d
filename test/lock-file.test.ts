// The lock file serves every machine: `npm ci` refuses one in which the binary of any platform is
// missing, and a lock that is rewritten beside a filled node_modules keeps those of its own only.

import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

interface Locked {
  readonly version?: string;
  readonly integrity?: string;
  readonly link?: boolean;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly hasInstallScript?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly libc?: readonly string[];
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}
type Packages = Readonly<Record<string, Locked>>;

const PLATFORMS = [
  { os: 'linux', cpu: 'x64', libc: 'glibc' },
  { os: 'linux', cpu: 'x64', libc: 'musl' },
  { os: 'linux', cpu: 'arm64', libc: 'glibc' },
  { os: 'linux', cpu: 'arm64', libc: 'musl' },
  { os: 'darwin', cpu: 'x64' },
  { os: 'darwin', cpu: 'arm64' },
  { os: 'win32', cpu: 'x64' },
] as const;

/** What works without its binary too, by the package that asks for it. */
const WITHOUT_BINARY: Readonly<Record<string, string>> = {
  'node_modules/cbor-extract': 'cbor-x decodes in JavaScript where there is none',
};

const root = fileURLToPath(new URL('..', import.meta.url));

function packagesOf(path: string): Packages {
  return (JSON.parse(readFileSync(join(root, path), 'utf8')) as { packages: Packages }).packages;
}

/** The entry that `name` resolves to from the package at `path`. */
function resolve(packages: Packages, path: string, name: string): Locked | undefined {
  for (let from = path; ; from = from.slice(0, Math.max(0, from.lastIndexOf('/node_modules/')))) {
    const found = packages[`${from === '' ? '' : `${from}/`}node_modules/${name}`];
    if (found !== undefined || from === '') return found;
  }
}

function fits({ os, cpu, libc }: Locked, platform: (typeof PLATFORMS)[number]): boolean {
  const has = (list: readonly string[] | undefined, value: string | undefined) =>
    list === undefined || value === undefined || list.includes(value);
  const itsLibc = 'libc' in platform ? platform.libc : undefined;
  return has(os, platform.os) && has(cpu, platform.cpu) && has(libc, itsLibc);
}

/** Everything that is missing, one line each. */
function missingFrom(packages: Packages): string[] {
  return Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) => {
    const names = Object.keys(optionalDependencies);
    const entries = names.map((name) => resolve(packages, path, name));
    const absent = names.filter((_, index) => entries[index]?.integrity === undefined);
    const binaries = entries.filter((entry) => entry?.os !== undefined) as Locked[];
    // One alone is for one system only, as fsevents is.
    const lacking =
      binaries.length < 2 || path in WITHOUT_BINARY
        ? []
        : PLATFORMS.filter((each) => !binaries.some((entry) => fits(entry, each)));
    return [
      ...absent.map((name) => `${path}: ${name}`),
      ...lacking.map((each) => `${path}: nothing for ${Object.values(each).join('-')}`),
    ];
  });
}

describe.each(['package-lock.json', 'scripts/xs/engine-lock.json'])('%s', (path) => {
  const packages = packagesOf(path);

  test('names the binaries of every platform', () => {
    expect(missingFrom(packages)).toEqual([]);
  });

  test('pins everything by its content', () => {
    const loose = Object.entries(packages).filter(
      ([name, { integrity, link }]) =>
        name.includes('node_modules/') && link !== true && !integrity?.startsWith('sha512-'),
    );
    expect(loose.map(([name]) => name)).toEqual([]);
  });
});

test('a binary that is missing is found', () => {
  const packages = packagesOf('package-lock.json');
  const names = Object.keys(packages).filter((name) => /linux-(x64|arm64)/.test(name));
  expect(names.length).toBeGreaterThan(10);
  for (const name of names) {
    const { [name]: _, ...others } = packages;
    expect(missingFrom(others), name).not.toEqual([]);
  }
});

test('nothing that is installed needs a compiler', () => {
  const scripts = Object.entries(packagesOf('package-lock.json')).filter(
    ([, { hasInstallScript }]) => hasInstallScript,
  );
  // Both bring their binaries as optional packages; their scripts are for where that failed.
  expect(scripts.map(([name]) => name)).toEqual([
    'node_modules/cbor-extract',
    'node_modules/esbuild',
  ]);
  // npm compiles what has a binding.gyp, asked or not (npm/cli#9837).
  const compiled = globSync('node_modules/{*,@*/*}/binding.gyp', { cwd: root });
  expect(compiled).toEqual(['node_modules/cbor-extract/binding.gyp']);
});
