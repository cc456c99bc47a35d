// `npm run build:espruino`: the SDK's core profile for Espruino as one file, checked and measured.
// Exits 1 where the file has something that the engine gets wrong.

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleForEspruino } from './espruino/bundle.ts';
import { engineFindings } from './espruino/engine-rules.ts';

const OUTPUT = fileURLToPath(new URL('../dist/espruino/flotilla.js', import.meta.url));
/** What the core profile should take of a small board's flash. */
const SIZE_BUDGET = 24 * 1024;

const { code, sources } = await bundleForEspruino();
mkdirSync(dirname(OUTPUT), { recursive: true });
writeFileSync(OUTPUT, code);

const size = Buffer.byteLength(code, 'latin1');
const verdict = size <= SIZE_BUDGET ? 'within' : `${size - SIZE_BUDGET} over`;
console.log(`${relative(process.cwd(), OUTPUT)}: ${size} bytes from ${sources.length} files`);
console.log(`budget ${SIZE_BUDGET}: ${verdict}`);

const findings = engineFindings(code);
for (const finding of findings) console.error(`${OUTPUT}:${finding}`);
if (findings.length > 0) process.exitCode = 1;
