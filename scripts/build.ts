// `npm run build`: compiles each workspace to <workspace>/dist/, ready to be packed and published.
//
// A checkout runs its TypeScript as it is, but Node refuses to strip types below node_modules, so
// what is published is JavaScript with declarations. Threads and processes are started by
// `new URL('./x' + extname(fileURLToPath(import.meta.url)), import.meta.url)`, which is right in
// both, so nothing but import specifiers has to be rewritten. The commands share one launcher, of
// which each package takes a copy.

import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Folders of a workspace that are compiled, and one that is copied. */
const SOURCE_FOLDERS = ['src', 'ports'];
const BIN_FOLDER = 'bin';

/** The launcher of all commands, which stands beside them in a package, and what it imports. */
export const LAUNCHER_FILES = ['launch.mjs', 'find-node.mjs', 'from-npm.mjs'];
const LAUNCHER_FOLDER = '../../scripts/';

type Strings = Record<string, string>;
/** What an export stands for: a file, or one that only the named runtime can load. */
type SourceTarget = string | { readonly moddable: string };

/** The members of a package.json that are read or changed here; the others pass through. */
export interface Package {
  readonly name: string;
  readonly version: string;
  readonly private?: boolean;
  readonly scripts?: Strings;
  readonly exports?: Readonly<Record<string, SourceTarget>>;
  readonly bin?: Strings;
  readonly dependencies?: Strings;
  readonly devDependencies?: Strings;
}

/** The package.json of a repository's root. */
export interface RootPackage {
  readonly workspaces: readonly string[];
}

/** Without `default` where an ordinary runtime cannot load it. */
export interface ExportTarget {
  readonly types: string;
  readonly default?: string;
  readonly moddable?: string;
}
export type ExportTargets = Record<string, ExportTarget>;

export interface PublishedPackage extends Omit<Package, 'exports'> {
  readonly exports?: ExportTargets;
  readonly files: readonly string[];
}

export interface Built {
  /** The folder of the workspace: `sdk`. */
  readonly workspace: string;
  /** Where its package now stands. */
  readonly folder: string;
  readonly package: PublishedPackage;
}

function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(path, 'utf8')) as T;
}

/**
 * The package.json to publish: compiled targets with their types, and exact versions of the
 * workspaces it needs.
 */
export function publishedPackage(
  source: Package,
  versions: Readonly<Strings>,
  files: readonly string[],
): PublishedPackage {
  const { private: _private, scripts: _scripts, devDependencies: _dev, ...kept } = source;
  const exports = Object.entries(source.exports ?? {}).map(([name, target]) => {
    const condition = typeof target === 'string' ? 'default' : 'moddable';
    const base = (typeof target === 'string' ? target : target.moddable).replace(/\.ts$/, '');
    return [name, { types: `${base}.d.ts`, [condition]: `${base}.js` }];
  });
  const dependencies = Object.entries(source.dependencies ?? {}).map(([name, range]) => [
    name,
    versions[name] ?? range,
  ]);
  return {
    ...kept,
    exports: Object.fromEntries(exports),
    dependencies: Object.fromEntries(dependencies),
    files,
  };
}

/** The compiler's view of the workspaces built so far: their declarations instead of sources. */
function pathsOf(built: readonly Built[]): Record<string, string[]> {
  const paths: Record<string, string[]> = {};
  for (const {
    folder,
    package: { name, exports = {} },
  } of built) {
    for (const [subpath, { types }] of Object.entries(exports)) {
      paths[join(name, subpath).replaceAll('\\', '/')] = [join(folder, types)];
    }
  }
  return paths;
}

function compile(root: string, source: string, folder: string, built: readonly Built[]): void {
  const temporary = mkdtempSync(join(tmpdir(), 'flotilla-build-'));
  const config = {
    extends: join(root, 'tsconfig.json'),
    compilerOptions: {
      // What XS runs as it is; Node 24 runs anything.
      target: 'ES2022',
      noEmit: false,
      allowJs: false,
      declaration: true,
      rewriteRelativeImportExtensions: true,
      rootDir: source,
      outDir: folder,
      paths: pathsOf(built),
      typeRoots: [join(root, 'node_modules/@types')],
    },
    include: SOURCE_FOLDERS.map((name) => join(source, name)),
    exclude: [],
  };
  try {
    writeFileSync(join(temporary, 'tsconfig.json'), JSON.stringify(config));
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    execFileSync(process.execPath, [tsc, '-p', temporary], { stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: Buffer; stderr?: Buffer };
    throw new Error(`${source} does not compile:\n${stdout ?? ''}${stderr ?? ''}`);
  } finally {
    rmSync(temporary, { recursive: true });
  }
}

/** Files that code reads at run time, from where it expects them. */
function copyAssets(source: string, folder: string): void {
  for (const name of SOURCE_FOLDERS.filter((each) => existsSync(join(source, each)))) {
    for (const path of readdirSync(join(source, name), { recursive: true, encoding: 'utf8' })) {
      if (!/\.[^./]+$/.test(path) || /(\.ts|tsconfig\.json)$/.test(path)) continue;
      mkdirSync(dirname(join(folder, name, path)), { recursive: true });
      copyFileSync(join(source, name, path), join(folder, name, path));
    }
  }
}

/** The package's commands, each with the launcher beside it. */
function copyCommands(root: string, source: string, folder: string): void {
  cpSync(source, folder, { recursive: true });
  for (const name of LAUNCHER_FILES) {
    copyFileSync(join(root, 'scripts', name), join(folder, name));
  }
  for (const name of readdirSync(source)) {
    const text = readFileSync(join(source, name), 'utf8');
    writeFileSync(join(folder, name), text.replace(`'${LAUNCHER_FOLDER}`, "'./"));
  }
}

/** A target that is named but was not built would be found by the first user only. */
function requireTargets(built: Built): void {
  const { exports = {}, bin = {} } = built.package;
  const targets = Object.values(exports).flatMap((target) => Object.values(target));
  for (const target of [...targets, ...Object.values(bin)]) {
    if (!target.includes('*') && !existsSync(join(built.folder, target))) {
      throw new Error(`${built.workspace}/package.json names ${target}, which was not built`);
    }
  }
}

/**
 * Builds every workspace that holds code, in the order of the root's `workspaces`, which is that
 * of their dependencies. `out` collects the packages in one folder; by default each stands in the
 * `dist` of its workspace.
 */
export function build(root: string, out?: string): Built[] {
  const { workspaces } = readJson<RootPackage>(join(root, 'package.json'));
  const sources = new Map(
    workspaces.map((workspace) => [
      workspace,
      readJson<Package>(join(root, workspace, 'package.json')),
    ]),
  );
  const versions = Object.fromEntries(
    [...sources.values()].map(({ name, version }) => [name, version]),
  );
  const built: Built[] = [];
  for (const [workspace, source] of sources) {
    const from = join(root, workspace);
    const has = (name: string): boolean => existsSync(join(from, name));
    if (!SOURCE_FOLDERS.some(has)) continue;
    const folder = out === undefined ? join(from, 'dist') : join(out, workspace);
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    compile(root, from, folder, built);
    copyAssets(from, folder);
    if (has(BIN_FOLDER)) copyCommands(root, join(from, BIN_FOLDER), join(folder, BIN_FOLDER));
    if (has('README.md')) copyFileSync(join(from, 'README.md'), join(folder, 'README.md'));
    copyFileSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
    const files = [...SOURCE_FOLDERS, BIN_FOLDER].filter(has);
    const published = publishedPackage(source, versions, files);
    writeFileSync(join(folder, 'package.json'), `${JSON.stringify(published, null, 2)}\n`);
    built.push({ workspace, folder, package: published });
    requireTargets(built[built.length - 1]!);
  }
  return built;
}

function main(root: string): void {
  try {
    for (const built of build(root)) {
      console.log(`${built.package.name} ${built.package.version} → ${built.workspace}/dist`);
    }
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main(fileURLToPath(new URL('..', import.meta.url)));
}
