// Programs for XS: modules bundled into one script, as ES2022, with every module of the SDK frozen
// at its end.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin, transformSync } from 'esbuild';
import { parseSync } from 'rolldown/utils';

const folder = dirname(fileURLToPath(import.meta.url));
export const root = join(folder, '../..');
/** What comes with an oracle is found from there. */
const ofOracle = createRequire(createRequire(import.meta.url).resolve('mqtt-packet'));

/** Modules that XS has not, by what stands in for them. */
export const STAND_INS: Readonly<Record<string, string>> = {
  vitest: join(folder, 'inside/vitest.ts'),
  'node:assert': join(folder, 'inside/assert.ts'),
  buffer: ofOracle.resolve('buffer/index.js'),
  'node:buffer': ofOracle.resolve('buffer/index.js'),
  // bl without its stream: the parser of mqtt-packet uses the list alone.
  bl: join(dirname(ofOracle.resolve('bl/package.json')), 'BufferList.js'),
  debug: join(folder, 'inside/debug.cjs'),
  'fast-check': join(folder, 'inside/fast-check.ts'),
};

/** node:crypto behind the test platform: a port of its own stands in. */
export const NODE_CRYPTO = /ports\/node\/crypto\.ts$/;

/** Names that a module declares at its top level; a `let` there is state, and throws. */
function topLevelNames(path: string, code: string): string[] {
  const { program } = parseSync(path, code, { lang: 'js' });
  return program.body.flatMap((statement) => {
    const node =
      statement.type === 'ExportNamedDeclaration' && statement.declaration
        ? statement.declaration
        : statement;
    if (node.type === 'FunctionDeclaration' || node.type === 'ClassDeclaration') {
      return node.id === null ? [] : [node.id.name];
    }
    if (node.type !== 'VariableDeclaration') return [];
    if (node.kind !== 'const') throw new Error(`${path}: ${node.kind} at module level`);
    return node.declarations.flatMap(({ id }) => (id.type === 'Identifier' ? [id.name] : []));
  });
}

/** The SDK's own code: what a device has in flash. */
const FROZEN = /[\\/]sdk[\\/](src|ports[\\/](moddable|noble))[\\/].*\.ts$/;

function freezing(): Plugin {
  const freeze = JSON.stringify(join(folder, 'inside/freeze.ts'));
  return {
    name: 'freeze',
    setup(setup) {
      setup.onLoad({ filter: FROZEN }, ({ path }) => {
        const { code } = transformSync(readFileSync(path, 'utf8'), { loader: 'ts' });
        const name = relative(root, path).split(sep).join('/');
        const names = topLevelNames(path, code).join(', ');
        const call = `freezeModule(${JSON.stringify(name)}, { ${names} });`;
        return { contents: `${code}\nimport { freezeModule } from ${freeze};\n${call}` };
      });
    },
  };
}

function standingIn(more: Readonly<Record<string, string>>): Plugin {
  const paths: Readonly<Record<string, string>> = { ...STAND_INS, ...more };
  return {
    name: 'stand-ins',
    setup(setup) {
      setup.onResolve({ filter: /^[^.]/ }, ({ importer, path }) => {
        const found = paths[path];
        // What stands in for a module may use the module itself.
        return found === undefined || found === importer ? undefined : { path: found };
      });
      setup.onResolve({ filter: /^node:/ }, ({ path }) =>
        path in paths ? undefined : { path, namespace: 'missing' },
      );
      setup.onLoad({ filter: /^/, namespace: 'missing' }, ({ path }) => ({
        contents: `throw new Error('XS has no ${path}');`,
      }));
      setup.onResolve({ filter: NODE_CRYPTO }, () => ({
        path: join(folder, 'inside/crypto.ts'),
      }));
    },
  };
}

export interface BundleOptions {
  /** The program, as a module in `root`. */
  readonly code: string;
  /** True freezes the SDK's modules, as preload does. */
  readonly frozen?: boolean;
  readonly minify?: boolean;
  /** More modules with what stands in for them. */
  readonly standIns?: Readonly<Record<string, string>>;
}

/** One script that needs nothing. */
export async function bundleForXs(options: BundleOptions): Promise<string> {
  const { code, frozen = true, minify = false, standIns = {} } = options;
  const result = await build({
    stdin: { contents: code, resolveDir: root, sourcefile: 'program.ts', loader: 'ts' },
    bundle: true,
    write: false,
    format: 'iife',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    conditions: ['moddable', 'import', 'default'],
    target: 'es2022',
    minify,
    logLevel: 'silent',
    plugins: [standingIn(standIns), ...(frozen ? [freezing()] : [])],
  });
  return (result.outputFiles[0] as { text: string }).text;
}
