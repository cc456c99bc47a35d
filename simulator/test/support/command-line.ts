// Runs the `flotilla` command as its users do: as a process of its own.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export const LAUNCHER = fileURLToPath(new URL('../../bin/flotilla.mjs', import.meta.url));

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Until the last of a run's processes must be gone. */
const SURVIVAL_MS_MAX = 120_000;

export class CommandLine {
  readonly process: ChildProcess;
  stdout = '';
  stderr = '';

  /** `prefix` runs before it, in the same process: `ulimit -n 300`. */
  constructor(args: readonly string[], prefix?: string, env: NodeJS.ProcessEnv = {}) {
    const command = [process.execPath, LAUNCHER, ...args];
    const [program, ...rest] =
      prefix === undefined ? command : ['sh', '-c', `${prefix} && exec "$@"`, 'sh', ...command];
    this.process = spawn(program!, rest, {
      env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: undefined, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    // A test that dies leaves no run behind.
    const kill = () => this.process.kill('SIGKILL');
    process.once('exit', kill);
    this.process.once('close', () => process.off('exit', kill));
    this.process.stdout!.on('data', (chunk) => {
      this.stdout += String(chunk);
    });
    this.process.stderr!.on('data', (chunk) => {
      this.stderr += String(chunk);
    });
  }

  /** Resolves when what it prints holds `text`. */
  printed(text: string): Promise<void> {
    return this.until(() => this.stdout.includes(text) || this.stderr.includes(text));
  }

  /** Resolves when `condition` holds; rejects when the process ends before that. */
  async until(condition: () => boolean | Promise<boolean>): Promise<void> {
    while (!(await condition())) {
      if (this.process.exitCode !== null) throw new Error(`it ended: ${this.stderr}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async ended(): Promise<Outcome> {
    const [code] = (await once(this.process, 'close')) as [number | null];
    const { stdout, stderr } = this;
    return { code, stdout, stderr };
  }
}

/** Runs `flotilla` with these arguments to its end. */
export function flotilla(...args: readonly string[]): Promise<Outcome> {
  return new CommandLine(args).ended();
}

/** Processes that `pid` started, and those that they started. */
export function descendantsOf(pid: number): number[] {
  const table = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' });
  const parents = table
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number) as [number, number]);
  const childrenOf = (parent: number): number[] => {
    return parents.flatMap(([child, of]) => (of === parent ? [child, ...childrenOf(child)] : []));
  };
  return childrenOf(pid);
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Resolves with those of `pids` that do not go; none is as it should be. */
export async function survivorsOf(pids: readonly number[]): Promise<number[]> {
  const deadlineMs = performance.now() + SURVIVAL_MS_MAX;
  for (;;) {
    const alive = pids.filter(isAlive);
    if (alive.length === 0 || performance.now() > deadlineMs) return alive;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
