// Runs the `flotilla-boot` command as its users do: as a process of its own.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const LAUNCHER = fileURLToPath(new URL('../../bin/flotilla-boot.mjs', import.meta.url));

/** Most of a short command's time is compiling it: a hundred of them share that. */
const COMPILE_CACHE = join(tmpdir(), 'flotilla-compile-cache');

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `flotilla-boot` with these arguments in `folder` to its end. */
export async function flotillaBoot(folder: string, ...args: readonly string[]): Promise<Outcome> {
  const child = spawn(process.execPath, [LAUNCHER, ...args], {
    cwd: folder,
    env: {
      ...process.env,
      NO_COLOR: '1',
      FORCE_COLOR: undefined,
      NODE_COMPILE_CACHE: COMPILE_CACHE,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => {
    stdout += String(chunk);
  });
  child.stderr.on('data', (chunk) => {
    stderr += String(chunk);
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}
