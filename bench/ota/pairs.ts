// What the figures are of: two versions of a program as its makers published it, from npm.

import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

export interface Pair {
  readonly name: string;
  /** The package, its versions, and the file in it. */
  readonly source: string;
  readonly base: Uint8Array;
  readonly target: Uint8Array;
}

interface PairSource {
  readonly name: string;
  readonly packageName: string;
  readonly versions: readonly [base: string, target: string];
  readonly file: string;
}

/** One of minified JavaScript, one of compiled code: what Moddable and C programs look like. */
const SOURCES: readonly PairSource[] = [
  {
    name: 'JS',
    packageName: 'three',
    versions: ['0.163.0', '0.164.0'],
    file: 'build/three.module.min.js',
  },
  {
    name: 'WebAssembly',
    packageName: 'sql.js',
    versions: ['1.10.2', '1.10.3'],
    file: 'dist/sql-wasm.wasm',
  },
];

const run = promisify(execFile);

/** Downloads the pairs, into a folder that is gone afterwards. */
export async function fetchPairs(): Promise<Pair[]> {
  const folder = mkdtempSync(join(tmpdir(), 'flotilla-ota-'));
  try {
    const pairs: Pair[] = [];
    for (const { name, packageName, versions, file } of SOURCES) {
      const [base, target] = [
        await fetchFile(folder, `${packageName}@${versions[0]}`, file),
        await fetchFile(folder, `${packageName}@${versions[1]}`, file),
      ];
      const source = `${packageName} ${versions.join(' → ')}, ${file}`;
      pairs.push({ name, source, base, target });
    }
    return pairs;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function fetchFile(folder: string, spec: string, file: string): Promise<Uint8Array> {
  try {
    // npm is a script on Windows, which needs a shell; what it is given are the constants above.
    const options = { cwd: folder, shell: process.platform === 'win32' };
    const args = ['pack', spec, '--json', '--loglevel=error'];
    const { stdout } = await run('npm', args, options);
    const [{ filename }] = JSON.parse(stdout);
    await run('tar', ['-xzf', filename, `package/${file}`], { cwd: folder });
  } catch (error) {
    const reason = (error as Error).message.split('\n')[0];
    throw new Error(`cannot download ${spec} from npm's registry: ${reason}`);
  }
  return new Uint8Array(readFileSync(join(folder, 'package', file)));
}
