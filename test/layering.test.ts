import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { importsOf, layerFindings, type PackageFile, type Repository } from './layer-rules.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

const PACKAGES: Record<string, PackageFile> = {
  '': { name: 'flotilla', devDependencies: { vitest: '1', mqtt: '1' } },
  sdk: { name: '@flotilla/sdk' },
  'command-line': {
    name: '@flotilla/command-line',
    dependencies: { '@flotilla/sdk': '1', yargs: '1', zod: '1' },
  },
  'bootloader-sim': {
    name: '@flotilla/bootloader-sim',
    dependencies: {
      '@flotilla/command-line': '1',
      '@flotilla/sdk': '1',
      yargs: '1',
      piscina: '1',
      zod: '1',
    },
  },
  'ota-server': {
    name: '@flotilla/ota-server',
    dependencies: {
      '@flotilla/command-line': '1',
      '@flotilla/sdk': '1',
      '@flotilla/bootloader-sim': '1',
      fastify: '1',
    },
  },
  simulator: {
    name: '@flotilla/simulator',
    dependencies: {
      '@flotilla/sdk': '1',
      '@flotilla/bootloader-sim': '1',
      '@flotilla/command-line': '1',
      '@flotilla/ota-server': '1',
      aedes: '1',
    },
  },
};

/** A file, a line that it may not hold, and one that it may. */
const RULES: readonly [path: string, bad: string, finding: string, clean: string][] = [
  // The SDK imports nothing.
  ['sdk/src/a.ts', "import 'node:fs';", 'may not import node:fs', "import './b.ts';"],
  [
    'sdk/src/a.ts',
    "import type { A } from 'node:net';",
    'may not',
    "import { A } from './m/b.ts';",
  ],
  ['sdk/src/m/a.ts', "import { A } from '@flotilla/sdk';", 'may not', "export * from '../b.ts';"],
  ['sdk/src/a.ts', "import '../ports/node/b.ts';", 'leaves its layer', "// import '../ports/b.ts'"],
  ['sdk/src/a.ts', "export { A } from '../test/b.ts';", 'leaves its layer', "'../test/b.ts';"],
  ['sdk/src/a.ts', "type A = import('zod').A;", 'may not', "type A = import('./b.ts').A;"],
  [
    'sdk/src/a.ts',
    'const f = (a: any) => import(a);',
    'computed import',
    'const f = (a: any) => a;',
  ],
  ['sdk/ports/noble/a.ts', "import 'timer';", 'may not import timer', "import '../../src/b.ts';"],
  ['sdk/ports/moddable/a.ts', "import 'node:net';", 'may not', "import 'embedded:io/socket/tcp';"],
  ['sdk/ports/moddable/a.ts', "import '../node/b.ts';", 'leaves its', "import '../noble/b.ts';"],
  ['sdk/ports/node/a.ts', "import 'timer';", 'may not import timer', "import 'node:net';"],
  ['sdk/ports/node/a.ts', "import 'ws';", 'may not import ws', "import 'node:net';"],
  [
    'sdk/ports/node/a.ts',
    "import '../moddable/b.ts';",
    'leaves its layer',
    "import '../../src/b.ts';",
  ],
  ['sdk/ports/node/a.ts', "import '../../test/b.ts';", 'leaves its layer', "import './b.ts';"],
  ['sdk/test/a.ts', "import 'aedes';", 'not in its package.json', "import 'vitest';"],
  ['sdk/test/a.ts', "import '@flotilla/simulator';", 'may not', "import '@flotilla/sdk/node';"],
  [
    'sdk/test/a.ts',
    "import '../../simulator/test/b.ts';",
    'leaves its workspace',
    "import '../src/b.ts';",
  ],
  ['sdk/examples/a.ts', "import '@flotilla/ota-server';", 'may not', "import '@flotilla/sdk';"],
  // The boot model: types of the platform, and libraries in its command alone.
  [
    'bootloader-sim/src/a.ts',
    "import { A } from '@flotilla/sdk';",
    'may not',
    "import type { A } from '@flotilla/sdk';",
  ],
  [
    'bootloader-sim/src/a.ts',
    "import { type A } from '@flotilla/sdk/platform';",
    'may not',
    "import type { A } from '@flotilla/sdk/platform';",
  ],
  [
    'bootloader-sim/src/a.ts',
    "import type { A } from '@flotilla/sdk/mqtt/a';",
    'may not',
    "export type { A } from '@flotilla/sdk';",
  ],
  [
    'bootloader-sim/src/a.ts',
    "import { Device, PowerLoss } from '@flotilla/sdk/platform';",
    'may not',
    "import { type Partition, PowerLoss } from '@flotilla/sdk/platform';",
  ],
  [
    'bootloader-sim/src/a.ts',
    "import { Device as PowerLoss } from '@flotilla/sdk';",
    'may not',
    "import { PowerLoss as Cut } from '@flotilla/sdk';",
  ],
  [
    'bootloader-sim/src/a.ts',
    "import * as PowerLoss from '@flotilla/sdk/platform';",
    'may not',
    "import { PowerLoss } from '@flotilla/sdk/platform';",
  ],
  ['bootloader-sim/src/a.ts', "import '@flotilla/sdk/platform';", 'may not', "import './b.ts';"],
  ['bootloader-sim/src/a.ts', "import 'node:crypto';", 'may not', "import './flash.ts';"],
  ['bootloader-sim/src/a.ts', "import 'yargs';", 'may not', "import './images/mcuboot.ts';"],
  ['bootloader-sim/src/a.ts', "import './cli.ts';", 'leaves its layer', "import './client.ts';"],
  [
    'bootloader-sim/src/a.ts',
    "import './node-crypto.ts';",
    'leaves its layer',
    "import type { A } from './crypto.ts';",
  ],
  ['bootloader-sim/src/node-crypto.ts', "import 'zod';", 'may not', "import 'node:crypto';"],
  [
    'bootloader-sim/bin/a.mjs',
    "import '../../scripts/build.ts';",
    'leaves its workspace',
    "import '../../scripts/launch.mjs';",
  ],
  ['bootloader-sim/src/cli.ts', "import 'yargs';", 'may not', "import '@flotilla/command-line';"],
  [
    'bootloader-sim/src/flash/a.ts',
    "import '@flotilla/command-line/columns';",
    'may not',
    "import '@flotilla/sdk/codec/bytes';",
  ],
  [
    'bootloader-sim/src/commands/a.ts',
    "import '@flotilla/ota-server';",
    'may not',
    "import 'piscina';",
  ],
  [
    'bootloader-sim/src/cli.ts',
    "import { A } from '@flotilla/sdk';",
    'may not',
    "import 'node:crypto';",
  ],
  // The frame of the commands.
  ['command-line/src/frame.ts', "import '@flotilla/sdk';", 'may not', "import 'yargs';"],
  ['command-line/src/frame.ts', "import 'zod';", 'may not', "import './nearest.ts';"],
  ['command-line/src/nearest.ts', "import 'node:fs';", 'may not', "import './columns.ts';"],
  ['command-line/src/columns.ts', "import './files.ts';", 'leaves its layer', '// none'],
  ['command-line/src/keys.ts', "import './files.ts';", 'leaves its', "import 'node:crypto';"],
  // The server.
  [
    'ota-server/src/http/a.ts',
    "import '@flotilla/command-line';",
    'may not',
    "import '@flotilla/bootloader-sim/node-crypto';",
  ],
  [
    'ota-server/src/rollout/a.ts',
    "import '@flotilla/command-line/columns';",
    'may not',
    "import '@flotilla/sdk/codec/bytes';",
  ],
  [
    'ota-server/src/releases/keys.ts',
    "import '@flotilla/command-line';",
    'may not',
    "import '@flotilla/command-line/keys';",
  ],
  [
    'ota-server/src/commands/a.ts',
    "import '@flotilla/simulator';",
    'may not',
    "import '@flotilla/command-line';",
  ],
  [
    'ota-server/src/a.ts',
    "import '@flotilla/bootloader-sim';",
    'may not',
    "import '@flotilla/bootloader-sim/images';",
  ],
  [
    'ota-server/src/a.ts',
    "import '@flotilla/simulator';",
    'may not',
    "import '@flotilla/sdk/codec/cbor';",
  ],
  ['ota-server/src/a.ts', "import 'kysely';", 'not in its package.json', "import 'fastify';"],
  // The simulator.
  [
    'simulator/src/commands/a.ts',
    "import '@flotilla/ota-server/store';",
    'may not',
    "import '@flotilla/command-line';",
  ],
  [
    'simulator/src/report/a.ts',
    "import '@flotilla/command-line';",
    'may not',
    "import '@flotilla/command-line/columns';",
  ],
  [
    'simulator/src/world/a.ts',
    "import '@flotilla/command-line/quantities';",
    'may not',
    "import '@flotilla/sdk/codec/bytes';",
  ],
  [
    'simulator/src/live/a.ts',
    "import '@flotilla/command-line';",
    'may not',
    "import '@flotilla/bootloader-sim/node-crypto';",
  ],
  [
    'simulator/src/virtual/a.ts',
    "import '@flotilla/ota-server';",
    'may not',
    "import '@flotilla/ota-server/rollout';",
  ],
  [
    'simulator/src/virtual/a.ts',
    "import '@flotilla/ota-server/http';",
    'may not',
    "import '@flotilla/ota-server/device-api';",
  ],
  [
    'simulator/src/virtual/a.ts',
    "import '../live/b.ts';",
    'leaves its layer',
    "import '../fleet/b.ts';",
  ],
  [
    'simulator/src/fleet/a.ts',
    "import '@flotilla/ota-server/store';",
    'may not',
    "import '@flotilla/ota-server/shadow/core';",
  ],
  [
    'simulator/src/live/a.ts',
    "import 'mqtt';",
    'not in its package.json',
    "import '@flotilla/ota-server/http';",
  ],
  [
    'simulator/src/live/a.ts',
    "import '../../../sdk/src/b.ts';",
    'leaves its workspace',
    "import '@flotilla/sdk';",
  ],
  [
    'simulator/src/live/a.ts',
    "import '../../test/support/b.ts';",
    'needs a test',
    "import '../world/b.ts';",
  ],
  [
    'simulator/src/live/a.ts',
    "new URL('../../../bench/b.ts', import.meta.url);",
    'leaves its workspace',
    "new URL('./b.ts', import.meta.url);",
  ],
  ['simulator/src/live/a.ts', "require('mqtt');", 'not in its package.json', "require('aedes');"],
  [
    'simulator/src/live/a.ts',
    "require.resolve('mqtt');",
    'not in its package.json',
    'const f = (a: any) => import(a);',
  ],
  [
    'simulator/src/live/a.ts',
    "import.meta.resolve('mqtt');",
    'not in its package.json',
    "import.meta.resolve('aedes');",
  ],
  ['simulator/src/live/a.ts', "import 'fs';", 'fs is not in its package.json', "import 'node:fs';"],
  [
    'simulator/bin/a.mjs',
    "await import('mqtt');",
    'not in its package.json',
    "await import('../src/cli.ts');",
  ],
  // Nothing imports the simulator.
  ['bench/a.ts', "import '@flotilla/simulator';", 'may not', "import '@flotilla/sdk';"],
  [
    'scripts/a.ts',
    "import '../simulator/src/a.ts';",
    'leaves its layer',
    "import '../simulator/test/support/a.ts';",
  ],
  ['bench/a.ts', "import 'aedes';", 'not in its package.json', "import 'mqtt';"],
];

function findingsIn(path: string, text: string): string[] {
  return layerFindings({ packages: PACKAGES, files: [{ path, text }] });
}

function readRepository(): Repository {
  const readPackage = (folder: string): PackageFile & { workspaces?: string[] } =>
    JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
  const { workspaces = [] } = readPackage('');
  const packages = Object.fromEntries(['', ...workspaces].map((name) => [name, readPackage(name)]));
  const folders = [...workspaces, 'bench', 'scenarios', 'scripts', 'test'].filter((folder) =>
    existsSync(join(root, folder)),
  );
  const inFolders = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((path) => !/(^|\/)(node_modules|dist)\//.test(path))
      .map((path) => `${folder}/${path}`),
  );
  const paths = [...readdirSync(root), ...inFolders].filter((path) => /\.(ts|mjs|js)$/.test(path));
  const files = paths.map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));
  return { packages, files };
}

describe('imports that go against the direction of dependencies', () => {
  test.each(RULES)('in %s: %s', (path, bad, finding, clean) => {
    expect(findingsIn(path, bad).join('\n')).toContain(finding);
    expect(findingsIn(path, clean)).toEqual([]);
  });

  test('a finding names its file and line', () => {
    expect(findingsIn('sdk/src/a.ts', "// One.\n\nimport {\n  A,\n} from 'zod';")).toEqual([
      'sdk/src/a.ts:3: may not import zod',
    ]);
  });

  test('are not in this repository', () => {
    const repository = readRepository();
    const specifiers = repository.files.flatMap((file) => importsOf(file));
    expect(specifiers.length).toBeGreaterThan(repository.files.length);
    expect(layerFindings(repository)).toEqual([]);
  });
});
