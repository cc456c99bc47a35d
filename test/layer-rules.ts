// The direction of dependencies: which folder may import what.
//
//   sdk/src imports nothing outside itself, command-line nothing of ours. bootloader-sim → types of
//   the platform. ota-server → sdk, and images of bootloader-sim. simulator/live → ota-server; the
//   rest of simulator → only the pure parts of it. cli.ts and commands/ of all → command-line.
//   Nothing imports simulator.

import { posix } from 'node:path';
import { isNode, lineOf, type Node, parse, type SourceFile, unwrap, walk } from './syntax.ts';

/** What we read of a package.json. */
export interface PackageFile {
  readonly name: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

export interface Repository {
  /** By the folder of the workspace; `''` is the root. */
  readonly packages: Readonly<Record<string, PackageFile>>;
  readonly files: readonly SourceFile[];
}

export interface Import {
  /** Undefined where it is computed. */
  readonly specifier: string | undefined;
  readonly line: number;
  /** True when nothing of it is left at run time. */
  readonly typeOnly: boolean;
  /** Names that are left at run time; undefined where it takes all, or for its effects. */
  readonly names: readonly string[] | undefined;
}

const SDK = /^@flotilla\/sdk(\/|$)/;
const PLATFORM = /^@flotilla\/sdk(\/platform)?$/;
/** Pure functions of bytes, for whoever may import anything at all. */
const BYTES = /^@flotilla\/sdk\/codec\/bytes$/;
/** The frame of the commands. */
const COMMAND_LINE = /^@flotilla\/command-line(\/|$)/;
/** Those of its parts that know of no command: text in, text out, and keys. */
const TEXT_PARTS = /^@flotilla\/command-line\/(columns|keys|nearest|quantities)$/;
/** Images, and the crypto that makes and checks them. */
const IMAGES = /^@flotilla\/bootloader-sim\/(images?(\/|$)|node-crypto$)/;
const BOOTLOADER = /^@flotilla\/bootloader-sim(\/|$)/;
const SERVER = /^@flotilla\/ota-server(\/|$)/;
const SERVER_PURE = /^@flotilla\/ota-server\/(rollout|device-api|shadow)(\/|$)/;
const NODE = /^node:/;
/** Modules that Moddable's own build provides, and the port's native one. */
const MODDABLE = /^(embedded:.+|crypt|time|sntp|timer|flotilla\/native)$/;
/** The one file that every command imports; the build copies it into each package. */
const LAUNCHER = 'scripts/launch.mjs';
/** Packages that are not workspaces; that they are declared is checked for all alike. */
const THIRD_PARTY = /^(?!node:|@flotilla\/|\.|#)/;

interface Zone {
  /** The folder or file; the first zone that fits a path is the one that counts. */
  readonly path: RegExp;
  /** Specifiers that are not relative. */
  readonly may: readonly RegExp[];
  /** Others of which only types may be used. */
  readonly mayTypes?: readonly RegExp[];
  /** And the names that may be used of them all the same. */
  readonly mayNames?: readonly string[];
  /** Where relative imports may lead; the own workspace when absent. */
  readonly within?: RegExp;
}

/** The SDK tells a power cut by this class, so whoever cuts the power has to throw this very one. */
const POWER_LOSS = ['PowerLoss'];

const ZONES: readonly Zone[] = [
  { path: /^sdk\/src\//, may: [], within: /^sdk\/src\// },
  { path: /^sdk\/ports\/noble\//, may: [/^@noble\//], within: /^sdk\/(src|ports\/noble)\// },
  {
    path: /^sdk\/ports\/moddable\//,
    may: [MODDABLE],
    within: /^sdk\/(src|ports\/(moddable|noble))\//,
  },
  { path: /^sdk\/ports\/node\//, may: [NODE], within: /^sdk\/(src|ports\/node)\// },
  { path: /^sdk\//, may: [SDK, NODE, THIRD_PARTY] },
  {
    path: /^command-line\/src\/(columns|nearest|quantities)\.ts$/,
    may: [],
    within: /^command-line\/src\/(columns|nearest|quantities)\.ts$/,
  },
  { path: /^command-line\/src\/keys\.ts$/, may: [NODE], within: /^command-line\/src\/keys\.ts$/ },
  { path: /^command-line\/src\//, may: [NODE, /^yargs$/] },
  { path: /^command-line\//, may: [COMMAND_LINE, NODE, THIRD_PARTY] },
  // Its command: the file that names its commands, what they start, and the crypto passed in.
  {
    path: /^bootloader-sim\/(bin\/|src\/(cli|node-crypto)\.ts|src\/commands\/)/,
    may: [BYTES, COMMAND_LINE, NODE, /^piscina(\/|$)/],
    mayTypes: [PLATFORM],
    mayNames: POWER_LOSS,
  },
  {
    path: /^bootloader-sim\/src\//,
    may: [BYTES],
    mayTypes: [PLATFORM],
    mayNames: POWER_LOSS,
    within: /^bootloader-sim\/src\/(?!(cli|node-crypto)\.ts|commands\/)/,
  },
  { path: /^bootloader-sim\//, may: [SDK, BOOTLOADER, NODE, THIRD_PARTY] },
  {
    path: /^ota-server\/src\/(cli\.ts|commands\/)/,
    may: [SDK, IMAGES, COMMAND_LINE, NODE, THIRD_PARTY],
  },
  {
    path: /^ota-server\/src\/releases\/(index|keys)\.ts$/,
    may: [SDK, IMAGES, TEXT_PARTS, NODE, THIRD_PARTY],
  },
  { path: /^ota-server\/(src|bin)\//, may: [SDK, IMAGES, NODE, THIRD_PARTY] },
  { path: /^ota-server\//, may: [SDK, IMAGES, SERVER, COMMAND_LINE, NODE, THIRD_PARTY] },
  { path: /^simulator\/src\/live\//, may: [SDK, BOOTLOADER, SERVER, NODE, THIRD_PARTY] },
  {
    path: /^simulator\/src\/virtual\//,
    may: [SDK, BOOTLOADER, SERVER_PURE, NODE, THIRD_PARTY],
    within: /^simulator\/src\/(?!live\/)/,
  },
  {
    path: /^simulator\/src\/(cli\.ts|commands\/)/,
    may: [SDK, BOOTLOADER, SERVER_PURE, COMMAND_LINE, NODE, THIRD_PARTY],
  },
  // What people write and read.
  {
    path: /^simulator\/src\/(firmware|metrics|report|scenario)\//,
    may: [SDK, BOOTLOADER, SERVER_PURE, TEXT_PARTS, NODE, THIRD_PARTY],
  },
  { path: /^simulator\/(src|bin)\//, may: [SDK, BOOTLOADER, SERVER_PURE, NODE, THIRD_PARTY] },
  { path: /^simulator\//, may: [/^@flotilla\//, NODE, THIRD_PARTY] },
  // The root: scripts, benchmarks, tests of the whole, applications of scenarios.
  {
    path: /^/,
    may: [SDK, BOOTLOADER, SERVER, COMMAND_LINE, NODE, THIRD_PARTY],
    within: /^(?!simulator\/src\/)/,
  },
];

/** Everything the file refers to: imports, re-exports, types, workers, `require`, `resolve`. */
export function importsOf(file: SourceFile): Import[] {
  const found: Import[] = [];
  walk(parse(file).program, (node) => {
    const source = sourceOf(node);
    if (source === undefined) return true;
    found.push({
      specifier: typeof source.value === 'string' ? source.value : undefined,
      line: lineOf(file, node.start),
      // `import { type A }` still loads the module (verbatimModuleSyntax).
      typeOnly: [node.importKind, node.exportKind].includes('type') || node.type === 'TSImportType',
      names: namesOf(node),
    });
    return true;
  });
  return found;
}

/** What an `import { a, type B }` takes at run time: `a`. */
function namesOf(node: Node): string[] | undefined {
  if (node.type !== 'ImportDeclaration' || node.specifiers.length === 0) return undefined;
  const isNamed = ({ type }: Node) => type === 'ImportSpecifier';
  if (!node.specifiers.every(isNamed)) return undefined;
  const values: Node[] = node.specifiers.filter(({ importKind }: Node) => importKind !== 'type');
  return values.map(({ imported }) => imported.name);
}

/** The node that names the other module, if this node refers to one. */
function sourceOf(node: Node): Node | undefined {
  if (/^(Import|Export(All|Named))Declaration$/.test(node.type)) return node.source ?? undefined;
  if (/^(ImportExpression|TSImportType)$/.test(node.type)) return node.source;
  if (!/^(New|Call)Expression$/.test(node.type)) return undefined;
  const [first, second] = node.arguments;
  if (!isNode(first)) return undefined;
  const callee = unwrap(node.callee);
  if (callee.name === 'require' || callee.object?.name === 'require') return first;
  const isResolve = callee.object?.type === 'MetaProperty' && callee.property.name === 'resolve';
  if (isResolve) return first;
  const isUrl = node.type === 'NewExpression' && callee.name === 'URL';
  const isOfModule = second?.type === 'MemberExpression' && second.object.type === 'MetaProperty';
  return isUrl && isOfModule && first.type === 'Literal' ? first : undefined;
}

/** The folder of the workspace that holds the path; `''` for the root. */
function workspaceOf(path: string, repository: Repository): string {
  const folder = path.split('/', 1)[0] ?? '';
  return path.includes('/') && folder in repository.packages ? folder : '';
}

function packageNameOf(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
}

/** Names that this file may import by the package.json of its workspace. */
function declaredFor(path: string, repository: Repository): Set<string> {
  const workspace = workspaceOf(path, repository);
  const own = repository.packages[workspace];
  const ships = workspace !== '' && /^[^/]+\/(src|ports|bin)\//.test(path);
  const rootPackage = repository.packages[''];
  return new Set([
    own?.name ?? '',
    ...Object.keys({ ...own?.dependencies, ...own?.optionalDependencies }),
    ...Object.keys({ ...own?.peerDependencies }),
    // What is not shipped may also use tools of the repository; the root uses its workspaces.
    ...(ships ? [] : Object.keys({ ...own?.devDependencies, ...rootPackage?.devDependencies })),
    ...(workspace === '' ? Object.values(repository.packages).map(({ name }) => name) : []),
  ]);
}

function relativeProblem(
  path: string,
  target: string,
  repository: Repository,
  zone: Zone,
): string | undefined {
  const workspace = workspaceOf(path, repository);
  if (target === LAUNCHER && /^[^/]+\/bin\//.test(path)) return undefined;
  if (workspace !== '' && !target.startsWith(`${workspace}/`)) return 'leaves its workspace';
  if (zone.within !== undefined && !zone.within.test(target)) return 'leaves its layer';
  const ships = /^[^/]+\/(src|ports|bin)\//.test(path) && workspace !== '';
  if (ships && /^[^/]+\/(test|examples)\//.test(target)) return 'ships, but needs a test';
  return undefined;
}

function problemOf(
  path: string,
  { names, specifier, typeOnly }: Import,
  repository: Repository,
): string | undefined {
  const zone = ZONES.find((candidate) => candidate.path.test(path)) as Zone;
  // Elsewhere a computed import loads the user's own application.
  if (specifier === undefined) return zone.may.length === 0 ? 'computed import' : undefined;
  if (specifier.startsWith('.')) {
    const target = posix.join(posix.dirname(path), specifier);
    const problem = relativeProblem(path, target, repository, zone);
    return problem && `${specifier} ${problem}`;
  }
  const { mayNames = [], mayTypes = [] } = zone;
  // Without a name it would still load the module (verbatimModuleSyntax).
  const isNamed = names !== undefined && names.length > 0;
  const isAllowed = typeOnly || (isNamed && names.every((name) => mayNames.includes(name)));
  const may = [...zone.may, ...(isAllowed ? mayTypes : [])];
  if (!may.some((allowed) => allowed.test(specifier))) return `may not import ${specifier}`;
  // What the engine's host brings is in no package.json.
  if (NODE.test(specifier) || zone.may.includes(MODDABLE)) return undefined;
  const declared = declaredFor(path, repository).has(packageNameOf(specifier));
  return declared ? undefined : `${specifier} is not in its package.json`;
}

/** The findings as `path:line: what`. */
export function layerFindings(repository: Repository): string[] {
  return repository.files.flatMap((file) =>
    importsOf(file).flatMap((entry) => {
      const problem = problemOf(file.path, entry, repository);
      return problem === undefined ? [] : [`${file.path}:${entry.line}: ${problem}`];
    }),
  );
}
