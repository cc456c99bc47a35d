// Runs `flotilla-ota` in this process, as its launcher does: with a folder and arguments.

import { join } from 'node:path';
import { vi } from 'vitest';
import { main } from '../../src/cli.ts';

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Arguments that begin with `@` are files in `folder`. */
export async function flotillaOta(folder: string, ...args: readonly string[]): Promise<Outcome> {
  const lines = { log: [] as string[], error: [] as string[] };
  const log = vi.spyOn(console, 'log').mockImplementation((text) => lines.log.push(text));
  const error = vi.spyOn(console, 'error').mockImplementation((text) => lines.error.push(text));
  const before = process.exitCode;
  process.exitCode = 0;
  try {
    await main(args.map((text) => (text.startsWith('@') ? join(folder, text.slice(1)) : text)));
    const [stdout, stderr] = [lines.log, lines.error].map((found) =>
      found.join('\n').replaceAll(`${folder}/`, ''),
    ) as [string, string];
    return { code: Number(process.exitCode ?? 0), stdout, stderr };
  } finally {
    process.exitCode = before;
    log.mockRestore();
    error.mockRestore();
  }
}
