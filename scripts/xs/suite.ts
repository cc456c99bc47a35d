// The SDK's own tests on XS: the files that vitest runs on Node, bundled for XS, with the modules
// of the SDK frozen before anything uses them.

import { globSync, readFileSync } from 'node:fs';
import { join, posix, sep } from 'node:path';
import { bundleForXs, NODE_CRYPTO, root, STAND_INS } from './bundle.ts';
import type { XsEngine } from './engine.ts';
import { type Limits, newMachine, runFrom } from './heap.ts';

export interface FileOutcome {
  readonly file: string;
  readonly passed: number;
  readonly leftOut: number;
  readonly failures: readonly string[];
}

/** What was frozen, on the last machine. */
export interface Census {
  readonly moduleCount: number;
  readonly objectCount: number;
  readonly functionCount: number;
}

export interface SuiteOutcome extends Census {
  readonly files: readonly FileOutcome[];
}

/** What a module imports to run, types aside. */
function importsOf(text: string): string[] {
  const statements = text.matchAll(/^(?:import|export) (?!type )[^;]*?'([^']+)';/gm);
  return [...statements].map(([, name]) => name as string);
}

function textOf(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

/** The import that leads this file, or what it imports, to a module that only Node has. */
function wayToNode(path: string, seen = new Set<string>()): string | undefined {
  if (seen.has(path)) return undefined;
  seen.add(path);
  for (const name of importsOf(textOf(path))) {
    if (name.startsWith('node:') && !(name in STAND_INS)) return `${name} in ${path}`;
    if (!name.startsWith('.')) continue;
    const next = posix.join(posix.dirname(path), name);
    const way = NODE_CRYPTO.test(next) ? undefined : wayToNode(next, seen);
    if (way !== undefined) return way;
  }
  return undefined;
}

/** Why a test file stays on Node, or undefined. */
function reasonToStay(path: string): string | undefined {
  const way = wayToNode(path);
  if (way !== undefined) return `needs Node itself: ${way}`;
  return /process\.env\./.test(textOf(path)) ? 'a campaign' : undefined;
}

const LAX_TEXT = "its oracle is TextEncoder, and XS's passes lone surrogates and C0 80";
const SLOW = 'takes seconds on XS, some a minute';
const CHANGES_ENGINE = "changes the engine's own objects, which are frozen";
const LARGE = "so many messages that the test's own lists overflow XS's stack";

/** Tests by file and by the beginning of their full name. */
export const TESTS_LEFT_OUT: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'sdk/test/codec/cbor-write.test.ts': { 'strings > text is headed': SLOW },
  'sdk/test/codec/senml-pack.test.ts': { 'damage > every changed byte': SLOW },
  'sdk/test/codec/text.test.ts': {
    writing: LAX_TEXT,
    'reading > is what TextDecoder reads': LAX_TEXT,
    'reading > decides on every pair': LAX_TEXT,
    "reading > says '?'": CHANGES_ENGINE,
    'comparing > equalsUtf8': LAX_TEXT,
  },
  'sdk/test/deep-sleep.test.ts': {
    'a device in deep sleep > what a broker ends': SLOW,
    'a device in deep sleep > wakes up early': SLOW,
    'nothing is lost whatever': SLOW,
  },
  'sdk/test/device-platform.test.ts': { 'what a device takes from its platform > one': SLOW },
  'sdk/test/buffer/flash-log.test.ts': {
    'flash log, ': SLOW,
    'wear > ': SLOW,
  },
  'sdk/test/ota/manifest.test.ts': {
    'authentication > every other value': SLOW,
    'fails closed > every command': SLOW,
    'hostile manifests that are signed > every byte': SLOW,
  },
  'sdk/test/ota/update-client.test.ts': { 'an update > writes settings sparsely': SLOW },
  'sdk/test/ota/update-trial.test.ts': {
    'an outage > of the': SLOW,
    'an outage > that lasts': SLOW,
    'a power cut anywhere': SLOW,
  },
  'sdk/test/device-flash.test.ts': {
    'a device with flash behind its buffer > uses no sequence of a stream twice': SLOW,
  },
  'sdk/test/shadow/shadow-loss.test.ts': {
    'device-wins > ': SLOW,
    'last-writer-wins > ': SLOW,
  },
  'sdk/test/sampling/sampler.test.ts': {
    'a device > pays less than': "reads V8's own meter",
  },
  'sdk/test/sampling/window.test.ts': { 'an aggregate > equals it after 100,000': LARGE },
  'sdk/test/mqtt/topic.test.ts': { 'validity > at most 65,535': SLOW },
  'sdk/test/mqtt/write.test.ts': { 'room > a field longer': SLOW },
  'sdk/test/mqtt/statements.test.ts': { 'a session > has packet ids': LARGE },
};

/** Test files of the SDK, and why those that stay on Node do. */
export function suiteFiles(): { readonly files: string[]; readonly staying: Map<string, string> } {
  const staying = new Map<string, string>();
  const files = globSync('sdk/test/**/*.test.ts', { cwd: root })
    .map((path) => path.split(sep).join('/'))
    .filter((path) => !path.startsWith('sdk/test/ports/'))
    .sort()
    .filter((path) => {
      const reason = reasonToStay(path);
      if (reason !== undefined) staying.set(path, reason);
      return reason === undefined;
    });
  return { files, staying };
}

/** The program that serves these files to `runSuite`. */
export function programOf(files: readonly string[]): string {
  const lines = files.map((file) => {
    const leftOut = JSON.stringify(Object.keys(TESTS_LEFT_OUT[file] ?? {}));
    return `  { load: () => require('./${file}'), leftOut: ${leftOut} },`;
  });
  return [
    "require('./scripts/xs/inside/globals.ts');",
    // The oracles begin before anything is frozen: some write `toString` to prototypes of theirs.
    "require('cbor-x');",
    // It would make a buffer for each of 65,536 numbers, which takes XS a quarter of a minute.
    "require('mqtt-packet').writeToStream.cacheNumbers = false;",
    "const { serve } = require('./scripts/xs/inside/serve.ts');",
    `serve([\n${lines.join('\n')}\n]);`,
  ].join('\n');
}

/** The oracles recurse deeper than a device does, and a full heap is collected for seconds. */
const MACHINE: Limits = {
  stackSlots: 65536,
  initial: { slots: 1 << 22, chunkBytes: 1 << 28 },
};

export interface SuiteOptions {
  /** Hears of each file when it has run. */
  readonly onFile?: (outcome: FileOutcome, ms: number) => void;
  readonly standIns?: Readonly<Record<string, string>>;
}

/** What a file may take on XS before its machine is given up; its slow tests are to be left out. */
const FILE_MS_MAX = 600_000;

function within<T>(answer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new Error(`took more than ${FILE_MS_MAX / 1000} s on XS`));
    const timer = setTimeout(late, FILE_MS_MAX);
    answer.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** Runs the files one after another; a new machine goes on where one was lost. */
export async function runSuite(
  files: readonly string[],
  { onFile = () => undefined, standIns = {} }: SuiteOptions = {},
): Promise<SuiteOutcome> {
  const script = await bundleForXs({ code: programOf(files), standIns });
  const machine = await newMachine(MACHINE);
  const outcomes: FileOutcome[] = [];
  let census: Census = { moduleCount: 0, objectCount: 0, functionCount: 0 };
  const run = async (engine: XsEngine): Promise<void> => {
    await engine.evaluate(script);
    for (let index = outcomes.length; index < files.length; index += 1) {
      const startMs = performance.now();
      const file = files[index] as string;
      let outcome: FileOutcome;
      let lost = false;
      try {
        const answer = await within(engine.command(String(index)));
        outcome = { file, ...JSON.parse(answer) };
      } catch (error) {
        outcome = { file, passed: 0, leftOut: 0, failures: [(error as Error).message] };
        lost = true;
      }
      outcomes.push(outcome);
      onFile(outcome, performance.now() - startMs);
      if (lost) return;
    }
    census = JSON.parse(await engine.command('census'));
  };
  while (outcomes.length < files.length) {
    await runFrom(machine, run, (line) => console.log(line));
  }
  return { files: outcomes, ...census };
}
