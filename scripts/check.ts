// `npm run check`: format, lint, types and growth of the SDK, in seconds. Runs every check also
// after a failed one.
// `--counts FILE` writes {passed, failed, skipped} for a caller that adds up.

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const tsc = 'node_modules/typescript/bin/tsc';
const biome = 'node_modules/@biomejs/biome/bin/biome';

const checks = [
  { name: 'format and lint', command: [biome, 'check', '--error-on-warnings', '.'] },
  { name: 'types of sdk/src, with what a device has', command: [tsc, '-p', 'sdk/src'] },
  { name: 'types', command: [tsc, '-p', '.'] },
  { name: 'sizes of sdk/src, as recorded', command: ['scripts/size.ts', '--bytes', '--growth'] },
];

const { values } = parseArgs({ options: { counts: { type: 'string' } } });
const counts = { passed: 0, failed: 0, skipped: 0 };

for (const { name, command } of checks) {
  const startMs = performance.now();
  const result = spawnSync(process.execPath, command, { cwd: root, encoding: 'utf8' });
  const passed = result.status === 0;
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  console.log(`${passed ? 'passed' : 'FAILED'}  ${name} (${seconds} s)`);
  if (!passed) console.log(`${result.stdout}${result.stderr}${result.error?.message ?? ''}`);
  counts[passed ? 'passed' : 'failed']++;
}

if (values.counts !== undefined) writeFileSync(values.counts, JSON.stringify(counts));
process.exitCode = counts.failed === 0 ? 0 : 1;
