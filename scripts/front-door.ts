// `npm run test:install`: a newcomer's first minute, on other set-ups than this one. Each runs
// README's two commands in a copy of the files under git, in a path with a space, with an empty
// home, by a user other than root, with nothing on the PATH but Node, npm and what a shell needs:
// no Python, no make, no compiler. The second start is without the network.
//
//   --counts FILE    writes {passed, failed, skipped} for a caller that adds up
//   --only PART      only the set-ups whose name holds PART

import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from './build.ts';
import { runNpm } from './from-npm.mjs';

/** npm and the Node that runs it, both from npm. */
interface SetUp {
  readonly node: string;
  readonly npm: string;
  /** The Node that the run must name: its own where that is recent enough, else what it got. */
  readonly runsUnder: string;
}

const FETCHED = '24.21.0';
const SET_UPS: readonly SetUp[] = [
  { node: '18.20.8', npm: '8.19.4', runsUnder: FETCHED },
  { node: '18.20.8', npm: '9.9.4', runsUnder: FETCHED },
  { node: '20.20.2', npm: '10.9.4', runsUnder: FETCHED },
  { node: '20.20.2', npm: '11.0.0', runsUnder: FETCHED },
  { node: '22.18.0', npm: '10.9.4', runsUnder: '22.18.0' },
  { node: '24.21.0', npm: '11.19.1', runsUnder: '24.21.0' },
  { node: '26.12.1', npm: '12.2.2', runsUnder: '26.12.1' },
];
/** What a shell and a clone need; whatever else this machine has, a newcomer's may lack. */
const PROGRAMS = ['sh', 'env', 'uname', 'ls', 'cat', 'dirname', 'basename', 'sed'];
/** `nobody`: a user whose home is not ours, and who may write nowhere but there. */
const STRANGER = 65534;
/** For a hang; a start takes half a minute. */
const COMMAND_MS_MAX = 600_000;

const root = fileURLToPath(new URL('..', import.meta.url));
const isRoot = process.getuid?.() === 0;
const scene = mkdtempSync(join(tmpdir(), 'flotilla-front-door-'));

interface Home {
  readonly folder: string;
  readonly checkout: string;
  readonly environment: NodeJS.ProcessEnv;
}

/** Nobody's own, all of it: what root has made would be closed to them. */
function giveAway(folder: string): void {
  if (!isRoot) return;
  execFileSync('chown', ['-R', `${STRANGER}:${STRANGER}`, folder]);
}

/** A Node and an npm of npm's, once for all set-ups. */
async function tool(name: string, version: string): Promise<string> {
  const folder = join(scene, 'tools', `${name}-${version}`);
  if (!existsSync(folder)) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{}');
    const spec = `${name}@${version}`;
    // npm refuses the npm that this Node is too old for; it is another Node that will run it.
    await runNpm(['install', '--no-save', '--force', spec], { cwd: folder, text: `  ${spec} …` });
  }
  return join(folder, 'node_modules', name);
}

async function newHome({ node, npm }: SetUp, index: number): Promise<Home> {
  const folder = join(scene, `set-up ${index}`);
  const checkout = join(folder, 'my projects', 'flotilla');
  const bin = join(folder, 'bin');
  const home = join(folder, 'home');
  for (const each of [checkout, bin, home]) mkdirSync(each, { recursive: true });
  const programs = PROGRAMS.map((name) => [name, execFileSync('which', [name])] as const);
  for (const [name, path] of programs) symlinkSync(path.toString().trim(), join(bin, name));
  const nodePackage = await tool(`node-${process.platform}-${process.arch}`, node);
  symlinkSync(join(nodePackage, 'bin/node'), join(bin, 'node'));
  const cli = join(await tool('npm', npm), 'bin');
  for (const name of ['npm', 'npx']) {
    const file = join(bin, name);
    writeFileSync(file, `#!/bin/sh\nexec node '${join(cli, `${name}-cli.js`)}' "$@"\n`);
    chmodSync(file, 0o755);
  }
  const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z'], {
    cwd: root,
  });
  for (const path of listed
    .toString()
    .split('\0')
    .filter((each) => existsSync(join(root, each)))) {
    if (path === '') continue;
    mkdirSync(dirname(join(checkout, path)), { recursive: true });
    copyFileSync(join(root, path), join(checkout, path));
  }
  giveAway(folder);
  // How this machine reaches npm's registry is no part of the set-up.
  const reach = Object.entries(process.env).filter(([name]) =>
    /^(https?_proxy|no_proxy|npm_config_(registry|cafile|https?_proxy|noproxy)|node_extra_ca_certs)$/i.test(
      name,
    ),
  );
  const environment = { ...Object.fromEntries(reach), PATH: bin, HOME: home, LANG: 'C.UTF-8' };
  return { folder, checkout, environment };
}

/** Runs a command as the stranger; throws with its output when it fails or prints a stack trace. */
function run(
  home: Home,
  command: string,
  env: NodeJS.ProcessEnv = {},
  cwd = home.checkout,
): string {
  const { status, signal, stdout, stderr } = spawnSync('/bin/sh', ['-c', command], {
    cwd,
    env: { ...home.environment, ...env },
    encoding: 'utf8',
    timeout: COMMAND_MS_MAX,
    maxBuffer: 64 * 1024 * 1024,
    ...(isRoot ? { uid: STRANGER, gid: STRANGER } : {}),
  });
  const output = `${stdout}${stderr}`;
  if (status !== 0 || /\n {4}at /.test(output)) {
    throw new Error(`${command}: exit ${status ?? signal}\n${output}`);
  }
  return output;
}

function expectText(output: string, text: string): void {
  if (!output.includes(text)) throw new Error(`expected «${text}» in:\n${output}`);
}

function hashOf(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}

/** Nothing answers there, and npm is told not to ask. */
const OFFLINE = { npm_config_offline: 'true', npm_config_registry: 'http://127.0.0.1:9/' };

async function tryCheckout(setUp: SetUp, index: number): Promise<void> {
  const home = await newHome(setUp, index);
  const lock = join(home.checkout, 'package-lock.json');
  const before = hashOf(lock);
  const first = run(home, 'npm start -- --ci');
  expectText(first, 'PASSED');
  expectText(first, `Node ${setUp.runsUnder}`);
  const second = run(home, 'npm start -- --ci', OFFLINE);
  expectText(second, 'PASSED');
  if (/Installing|Getting/.test(second)) throw new Error(`installs again:\n${second}`);
  expectText(run(home, 'npx flotilla --help', OFFLINE), 'flotilla run');
  run(home, 'npm ci --dry-run');
  // An npm under a Node that is too old for a binary leaves it out, and ours has to notice.
  run(home, 'npm ci');
  expectText(run(home, 'npx flotilla --help', OFFLINE), 'flotilla run');
  expectText(run(home, 'npm test -w sdk -- sdk/test/codec/cbor-read.test.ts'), ' passed');
  if (hashOf(lock) !== before) throw new Error('package-lock.json was rewritten');
  const cached = join(home.environment.HOME as string, '.cache/flotilla');
  const fetched = existsSync(cached)
    ? readdirSync(cached).filter((each) => /^node-/.test(each))
    : [];
  const wanted = setUp.runsUnder === setUp.node ? 0 : 1;
  if (fetched.length !== wanted) throw new Error(`in the cache: ${fetched.join(' ') || 'nothing'}`);
}

/** What npm would publish, in a project that has nothing else; installed anew from its own lock. */
async function tryTarballs(setUp: SetUp, index: number): Promise<void> {
  const home = await newHome(setUp, index);
  const project = join(home.folder, 'a project');
  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), '{"private": true}');
  const tarballs = build(root, join(home.folder, 'built')).map(({ folder }) => {
    const packed = execFileSync('npm', ['pack', '--json', '--pack-destination', project], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return `./${JSON.parse(packed.toString())[0].filename}`;
  });
  copyFileSync(join(root, 'scenarios/quickstart.yaml'), join(project, 'first.yaml'));
  giveAway(home.folder);
  run(home, `npm install --no-audit ${tarballs.join(' ')}`, {}, project);
  // From its own lock file, from which npm once compiled what it had not compiled before.
  run(home, 'npm ci --no-audit', {}, project);
  const output = run(home, 'npx flotilla run first.yaml --ci', {}, project);
  expectText(output, 'PASSED');
  expectText(output, `Node ${setUp.runsUnder}`);
  for (const command of ['flotilla', 'flotilla-boot', 'flotilla-ota']) {
    expectText(run(home, `npx ${command} --help`, OFFLINE, project), command);
  }
  // npm links the bin of whatever is installed: ours must not put a Node before the user's own.
  if (existsSync(join(project, 'node_modules/.bin/node'))) throw new Error('takes over `node`');
}

interface Attempt {
  readonly name: string;
  readonly run: () => Promise<void>;
}

const { values } = parseArgs({
  options: { counts: { type: 'string' }, only: { type: 'string', default: '' } },
});
const attempts: Attempt[] = [
  ...SET_UPS.map((setUp, index) => ({
    name: `checkout, Node ${setUp.node}, npm ${setUp.npm}`,
    run: () => tryCheckout(setUp, index),
  })),
  ...[SET_UPS[0]!, SET_UPS[2]!, SET_UPS[6]!].map((setUp, index) => ({
    name: `tarballs, Node ${setUp.node}, npm ${setUp.npm}`,
    run: () => tryTarballs(setUp, SET_UPS.length + index),
  })),
];
const counts = { passed: 0, failed: 0, skipped: 0 };
if (!isRoot) console.log('as this user: only root can become another');
// Others may pass through it, as through /tmp itself.
chmodSync(scene, 0o755);
if (isRoot) chownSync(scene, 0, 0);
try {
  for (const { name, run: attempt } of attempts.filter((each) => each.name.includes(values.only))) {
    const startMs = performance.now();
    const problem = await attempt().then(
      () => undefined,
      (error: Error) => error.message,
    );
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    console.log(`${problem === undefined ? 'passed' : 'FAILED'}  ${name} (${seconds} s)`);
    if (problem !== undefined) console.log(problem);
    counts[problem === undefined ? 'passed' : 'failed']++;
  }
} finally {
  rmSync(scene, { recursive: true, force: true });
}
if (values.counts !== undefined) writeFileSync(values.counts, JSON.stringify(counts));
process.exitCode = counts.failed === 0 ? 0 : 1;
