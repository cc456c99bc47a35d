// Loading a scenario: YAML, overrides, environment, checks. All mistakes come at once, each with
// the place where it was made.

import { createHash, randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { openCertificates } from '@flotilla/sdk/node';
import { type Alias, type Document, LineCounter, parseDocument, visit } from 'yaml';
import { readBounded } from '../bounded-file.ts';
import { imageMistake, keyMistake } from '../firmware/user-files.ts';
import { applicationMistakes } from '../fleet/application-check.ts';
import { redact } from '../report/redact.ts';
import { crossCheck } from './checks.ts';
import { Draft, type OverrideMistake, type Overrides, overrideFlags } from './draft.ts';
import { fileSchema, type ScenarioFile } from './file-schema.ts';
import {
  describeIssue,
  formatPath,
  type Mistake,
  mistakesOf,
  type Path,
  show,
} from './mistakes.ts';
import { normalise } from './normalise.ts';
import type { Broker, Scenario } from './schema.ts';
import { readTexts } from './text-values.ts';
import { copyTree, offsetOf, PathError, type Value } from './tree.ts';

export type { Overrides } from './draft.ts';

/** Bytes; far beyond a scenario that a person writes. */
const SCENARIO_SIZE_MAX = 1_048_576;

/** Bytes; far beyond a chain of certificates. */
const PEM_SIZE_MAX = 1_048_576;

/** Aliases that a file may resolve to in total: a handful saves typing, thousands are a bomb. */
const ALIAS_COUNT_MAX = 100;

export interface LoadedScenario {
  readonly scenario: Scenario;
  /** SHA-256 of the file's bytes, hex. */
  readonly digest: string;
  /** Flags beside the seed that reproduce it, one argument each, without secrets. */
  readonly overrides: readonly string[];
  /** As given. */
  readonly file: string;
  /** What must not be printed; for `redact`. */
  readonly secrets: readonly string[];
}

/** What loading takes from the outside. */
export interface LoadEnvironment {
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** The seed of a scenario that names none: a uint32. */
  randomSeed(): number;
}

const PROCESS: LoadEnvironment = {
  variables: process.env,
  randomSeed: () => randomInt(0x1_0000_0000),
};

/** A scenario that cannot run. `lines`: every mistake as `file:line:col: path: message`. */
export class ScenarioError extends Error {
  override readonly name = 'ScenarioError';
  readonly lines: readonly string[];

  constructor(lines: readonly string[]) {
    super(lines.join('\n'));
    this.lines = lines;
  }
}

/**
 * Reads a scenario file, applies the overrides and checks everything; throws `ScenarioError`.
 *
 * The `ci:` block is checked also when it is not asked for, so that it cannot rot.
 */
export function loadScenario(
  file: string,
  overrides: Overrides = {},
  environment: LoadEnvironment = PROCESS,
): LoadedScenario {
  const bytes = readScenario(file);
  const source = parseYaml(file, decode(file, bytes));
  if (overrides.ci === true && !hasCi(source.tree)) {
    throw new ScenarioError([`${file}: has no ci: block, which --ci asks for`]);
  }
  const { draft, parsed, lines } = check(source, overrides, environment);
  const all = [...lines, ...ciMistakes(source, overrides, environment, lines)];
  if (parsed === undefined || all.length > 0) throw new ScenarioError(all);
  const scenario = normalise(parsed, environment.randomSeed);
  const broker = scenario.broker && withTlsFiles(source, draft, scenario.broker);
  const { fleets, timeline } = withFiles(source, draft, scenario);
  const secrets = [...draft.secrets, broker?.password ?? '', broker?.tls?.key ?? ''];
  return {
    scenario: { ...scenario, fleets, timeline, ...(broker === undefined ? {} : { broker }) },
    digest: createHash('sha256').update(bytes).digest('hex'),
    overrides: overrideFlags(overrides),
    file,
    secrets: [...new Set(secrets.filter((secret) => secret !== ''))],
  };
}

/** What is wrong with the `ci:` block when it is not applied; `known` is found without it. */
function ciMistakes(
  source: Source,
  overrides: Overrides,
  environment: LoadEnvironment,
  known: readonly string[],
): string[] {
  if (overrides.ci === true || !hasCi(source.tree)) return [];
  const { lines, unknownVariables } = check(source, { ...overrides, ci: true }, environment);
  // Variables of the CI machine need not be set on this one.
  if (unknownVariables) return [];
  return lines.filter((line) => !known.includes(line)).map((line) => `${line} (with --ci)`);
}

function readScenario(file: string): Buffer {
  try {
    return readBounded(file, SCENARIO_SIZE_MAX);
  } catch (error) {
    throw new ScenarioError([`${file}: ${readFailure(error)}`]);
  }
}

function readFailure(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const known: Record<string, string> = {
    ENOENT: 'no such file',
    EISDIR: 'is a directory, not a file',
    EACCES: 'no permission to read it',
  };
  return known[code ?? ''] ?? message;
}

function decode(file: string, bytes: Buffer): string {
  const wrong = (message: string) => new ScenarioError([`${file}: ${message}`]);
  if (bytes.length > SCENARIO_SIZE_MAX) throw wrong('is larger than 1 MB');
  if (bytes.includes(0)) throw wrong('is a binary file, not YAML');
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw wrong('is not text in UTF-8');
  }
}

interface Source {
  readonly file: string;
  readonly document: Document;
  readonly tree: Value;
  place(offset: number): string;
}

function parseYaml(file: string, text: string): Source {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { version: '1.2', lineCounter, prettyErrors: false });
  const place = (offset: number) => {
    const { line, col } = lineCounter.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const errors = [...document.errors, ...document.warnings];
  if (errors.length > 0) {
    const words = ({ pos, code, message }: (typeof errors)[number]) =>
      code === 'DUPLICATE_KEY'
        ? `${/^[^\s:]*/.exec(text.slice(pos[0]))?.[0]}: is there twice`
        : (YAML_WORDS[code] ?? message);
    throw new ScenarioError(errors.map((error) => `${place(error.pos[0])}: ${words(error)}`));
  }
  if (document.contents === null) throw new ScenarioError([`${file}: is empty`]);
  const dangling = danglingAliases(document);
  if (dangling.length > 0) {
    throw new ScenarioError(
      dangling.map(({ range, source }) => `${place(range![0])}: *${source}: no anchor &${source}`),
    );
  }
  try {
    const tree = copyTree(document.toJS({ maxAliasCount: ALIAS_COUNT_MAX }));
    return { file, document, tree, place };
  } catch (error) {
    const message =
      error instanceof PathError ? error.message : `more than ${ALIAS_COUNT_MAX} aliases`;
    throw new ScenarioError([`${file}: ${message}`]);
  }
}

/** Aliases without an anchor before them. */
function danglingAliases(document: Document): Alias[] {
  const dangling: Alias[] = [];
  visit(document, {
    Alias: (_, alias) => {
      if (alias.resolve(document) === undefined) dangling.push(alias);
    },
  });
  return dangling;
}

/** Where the parser's own words would not help. */
const YAML_WORDS: Readonly<Record<string, string>> = {
  MULTIPLE_DOCS: 'a scenario is one YAML document, here begins another',
  TAB_AS_INDENT: 'YAML is indented with spaces, not with tabs',
};

function hasCi(tree: Value): boolean {
  return typeof tree === 'object' && tree !== null && Object.hasOwn(tree, 'ci');
}

interface Checked {
  readonly draft: Draft;
  /** All mistakes, in the order of the file, flags last. */
  readonly lines: readonly string[];
  /** Present when there is no mistake. */
  readonly parsed: ScenarioFile | undefined;
  readonly unknownVariables: boolean;
}

function check(source: Source, overrides: Overrides, environment: LoadEnvironment): Checked {
  const draft = new Draft(copyTree(source.tree));
  draft.override(overrides);
  const unknown = draft.interpolate(environment.variables);
  readTexts(fileSchema, draft.tree);
  const result = fileSchema.safeParse(draft.tree, { error: describeIssue });
  const unknownPaths = new Set(unknown.map(({ path }) => formatPath(path)));
  const wrong = [
    ...(result.success ? [] : mistakesOf(result.error.issues)),
    ...crossCheck(draft.tree),
    // A text whose variable is not set has no value yet that could be wrong.
  ].filter(({ path }) => !unknownPaths.has(formatPath(path)));
  const located = [
    ...[...unknown, ...wrong].map((mistake) => locate(source, draft, mistake)),
    ...draft.mistakes.map((mistake) => locateOverride(source, mistake)),
  ];
  const lines = inOrder(located).map((line) => redact(line, draft.secrets));
  const parsed = result.success && lines.length === 0 ? result.data : undefined;
  return { draft, lines, parsed, unknownVariables: unknown.length > 0 };
}

interface Located {
  /** In the file; flags come after all of it. */
  readonly offset: number;
  readonly line: string;
}

function inOrder(located: Located[]): string[] {
  return [...new Set(located.sort((a, b) => a.offset - b.offset).map(({ line }) => line))];
}

function locate(source: Source, draft: Draft, { path, message, atKey }: Mistake): Located {
  const text = `${formatPath(path)}: ${message}`;
  const { origin, rest } = draft.originOf(path) ?? {};
  if (origin?.kind === 'flag') {
    return { offset: Number.POSITIVE_INFINITY, line: `${origin.flag}: ${text}` };
  }
  const place = origin === undefined ? path : ['ci', origin.key, ...rest!];
  const offset = offsetOf(source.document, place, atKey);
  return { offset, line: `${source.place(offset)}: ${text}` };
}

function locateOverride(source: Source, { origin, target, message }: OverrideMistake): Located {
  if (origin.kind === 'flag') {
    return { offset: Number.POSITIVE_INFINITY, line: `${origin.flag}: ${target}: ${message}` };
  }
  const offset = offsetOf(source.document, ['ci', origin.key], true);
  return { offset, line: `${source.place(offset)}: ci: ${target}: ${message}` };
}

/** The broker with its PEM files read: relative to the scenario, or to where a flag was typed. */
function withTlsFiles(source: Source, draft: Draft, broker: Broker): Broker {
  if (broker.tls === undefined) return broker;
  const tls: Record<string, string | boolean> = { ...broker.tls };
  const unreadable: Located[] = [];
  for (const member of ['ca', 'certificate', 'key']) {
    const value = tls[member];
    if (typeof value !== 'string' || value.startsWith('-----BEGIN ')) continue;
    const path = ['broker', member];
    const fromFlag = draft.originOf(path)?.origin.kind === 'flag';
    try {
      const file = resolve(fromFlag ? '.' : dirname(source.file), value);
      const bytes = readBounded(file, PEM_SIZE_MAX);
      if (bytes.length > PEM_SIZE_MAX) throw new Error('is larger than 1 MB');
      tls[member] = bytes.toString('utf8');
    } catch (error) {
      const message = `cannot read ${show(value)}: ${readFailure(error)}`;
      unreadable.push(locate(source, draft, { path, message }));
    }
  }
  if (unreadable.length > 0) throw new ScenarioError(inOrder(unreadable));
  const { ca, certificate, key } = tls as Record<string, string | undefined>;
  const opened = openCertificates({
    ...(ca === undefined ? {} : { ca }),
    ...(certificate === undefined ? {} : { certificate }),
    ...(key === undefined ? {} : { key }),
  });
  if (typeof opened === 'string') {
    const member = ca === undefined ? 'certificate' : 'ca';
    const mistake = locate(source, draft, { path: ['broker', member], message: opened });
    throw new ScenarioError([mistake.line]);
  }
  return { ...broker, tls: tls as unknown as NonNullable<Broker['tls']> };
}

/** The absolute path of a file that the scenario names; notes where there is none. */
type Resolve = (
  path: Path,
  name: string,
  /** What is wrong with the file. */
  check?: (file: string) => string | undefined,
) => string;

/** The scenario with the absolute paths of its files, which must be there. */
function withFiles(source: Source, draft: Draft, scenario: Scenario): Scenario {
  const missing: Located[] = [];
  const absolute: Resolve = (path, name, check = () => undefined) => {
    const fromFlag = draft.originOf(path)?.origin.kind === 'flag';
    const file = resolve(fromFlag ? '.' : dirname(source.file), name);
    const mistake = existsSync(file) ? check(file) : '';
    if (mistake === undefined) return file;
    const message = mistake === '' ? `there is no file ${show(name)}` : `${show(name)} ${mistake}`;
    missing.push(locate(source, draft, { path, message }));
    return file;
  };
  const fleets = scenario.fleets.map((fleet, index) => {
    const { application, firmware } = fleet;
    const path = ['fleets', index];
    const named = (
      member: string,
      name: string | undefined,
      at: Path,
      check?: (file: string) => string | undefined,
    ) => (name === undefined ? {} : { [member]: absolute([...path, ...at, member], name, check) });
    return {
      ...fleet,
      ...named('application', application, []),
      ...(firmware === undefined
        ? {}
        : {
            firmware: {
              ...firmware,
              ...named('file', firmware.file, ['firmware'], (file) =>
                imageMistake(file, firmware.version),
              ),
              ...named('key', firmware.key, ['firmware'], keyMistake),
            },
          }),
    };
  });
  const timeline = scenario.timeline.map((event) => {
    if (event.kind !== 'release' || event.file === undefined) return event;
    const path = ['timeline', indexOfRelease(draft.tree, event.version), 'release', 'file'];
    const check = (file: string) => imageMistake(file, event.version);
    return { ...event, file: absolute(path, event.file, check) };
  });
  if (missing.length > 0) throw new ScenarioError(inOrder(missing));
  const whole = { ...scenario, fleets, timeline };
  const wrong = checkApplications(whole).map((mistake) => locate(source, draft, mistake));
  if (wrong.length > 0) throw new ScenarioError(inOrder(wrong));
  return whole;
}

/** What is wrong with the modules that fleets name; each module is imported once. */
function checkApplications(scenario: Scenario): Mistake[] {
  const files = new Set(scenario.fleets.flatMap(({ application }) => application ?? []));
  return [...files].flatMap((file) => {
    const fleets = scenario.fleets.filter(({ application }) => application === file);
    return applicationMistakes(file, scenario, fleets).flatMap((message, index) => {
      if (message === undefined) return [];
      const path = ['fleets', scenario.fleets.indexOf(fleets[index]!), 'application'];
      return [{ path, message }];
    });
  });
}

/** Where the file has the release: the scenario's timeline is in the order of time. */
function indexOfRelease(tree: Value, version: string): number {
  const { timeline } = tree as unknown as {
    readonly timeline: readonly { readonly release?: { readonly version?: unknown } }[];
  };
  return timeline.findIndex(({ release }) => release?.version === version);
}
