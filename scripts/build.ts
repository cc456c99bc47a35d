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
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, posix, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isRelative, replaceTargets } from './markdown.ts';

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

/** The package.json of a repository's root, which says what holds for all its packages. */
export interface RootPackage {
  readonly workspaces: readonly string[];
  /** Its url: `git+https://….git`. */
  readonly repository: { readonly type: string; readonly url: string };
  readonly engines: Strings;
}

/** Without `default` where an ordinary runtime cannot load it. */
export interface ExportTarget {
  readonly types: string;
  readonly default?: string;
  readonly moddable?: string;
}
export type ExportTargets = Record<string, ExportTarget>;

export interface PublishedPackage extends Omit<Package, 'exports'> {
  readonly publishConfig: Strings;
  readonly repository: RootPackage['repository'] & { readonly directory: string };
  readonly homepage: string;
  readonly bugs: { readonly url: string };
  readonly engines: Strings;
  readonly exports?: ExportTargets;
  readonly files: readonly string[];
}

/** What a package is published from, beside its own package.json. */
export interface Origin {
  readonly root: RootPackage;
  /** The folder of the workspace: `sdk`. */
  readonly workspace: string;
  /** Of all workspaces, by their names. */
  readonly versions: Readonly<Strings>;
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

/** Where people look at the repository: `https://github.com/owner/name`. */
export function webUrlOf({ repository }: RootPackage): string {
  return repository.url.replace(/^git\+/, '').replace(/\.git$/, '');
}

/**
 * The package.json to publish: compiled targets with their types, exact versions of the
 * workspaces it needs, and from the root what is the same for all. Sources are private, so that
 * none is published by mistake.
 */
export function publishedPackage(
  source: Package,
  { root, versions, workspace }: Origin,
  files: readonly string[],
): PublishedPackage {
  const url = webUrlOf(root);
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
    repository: { ...root.repository, directory: workspace },
    homepage: `${url}/tree/main/${workspace}#readme`,
    bugs: { url: `${url}/issues` },
    engines: root.engines,
    // A package with a scope is published for its owners alone otherwise.
    publishConfig: { access: 'public' },
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

/**
 * Points the links of the package's pages that lead out of the package at the repository, at the
 * tag of this version: there the page is what it was when the package was made.
 */
function completeLinks(root: string, { folder, package: { version }, workspace }: Built): void {
  const url = webUrlOf(readJson<RootPackage>(join(root, 'package.json')));
  for (const path of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (!path.endsWith('.md')) continue;
    const page = path.split(sep).join('/');
    const text = readFileSync(join(folder, page), 'utf8');
    const completed = replaceTargets(text, (target) => {
      const [name = '', anchor] = target.split('#');
      const inPackage = posix.join(posix.dirname(page), name);
      if (!isRelative(target) || existsSync(join(folder, inPackage))) return target;
      const inRepository = posix.join(workspace, inPackage);
      const kind = statSync(join(root, inRepository)).isDirectory() ? 'tree' : 'blob';
      const suffix = anchor === undefined ? '' : `#${anchor}`;
      return `${url}/${kind}/v${version}/${inRepository}${suffix}`;
    });
    writeFileSync(join(folder, page), completed);
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
  const rootPackage = readJson<RootPackage>(join(root, 'package.json'));
  const sources = new Map(
    rootPackage.workspaces.map((workspace) => [
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
    const published = publishedPackage(source, { root: rootPackage, versions, workspace }, files);
    writeFileSync(join(folder, 'package.json'), `${JSON.stringify(published, null, 2)}\n`);
    const made = { workspace, folder, package: published };
    completeLinks(root, made);
    requireTargets(made);
    built.push(made);
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
