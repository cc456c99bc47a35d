// `npm run size`: what the SDK takes: bytes of flash for XS and Espruino, RAM of a connected device
// on XS, heap per device in V8. Prints a table; docs/sizes.md records it.
//
//   --update     writes the table to docs/sizes.md
//   --bytes      only what takes seconds: bundled bytes
//   --growth     figures over their budget are told, but do not fail
//
// Fails where a figure is over its budget, or more than 5 % over what is recorded.

import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildSync, transformSync } from 'esbuild';
import { Child } from '../bench/child.ts';
import type { HeapReading } from '../bench/live/heap.ts';
import { bundleForEspruino } from './espruino/bundle.ts';
import { root } from './xs/bundle.ts';
import { loadedDevice, measureDevice, PARTS } from './xs/device-heap.ts';
import { bytesOn32 } from './xs/heap.ts';

const RECORD = join(root, 'docs/sizes.md');
const BEGIN = '<!-- sizes: begin, written by npm run size -- --update -->';
const END = '<!-- sizes: end -->';

/** How much a figure may grow without its record being updated. */
const GROWTH_MAX = 0.05;
/** Bytes below which growth is no news. */
const GROWTH_BYTES_MIN = 64;
const HEAP_DEVICES = 2000;

/** Budgets of the design, by the name of the figure. */
const BUDGETS: Readonly<Record<string, number>> = {
  'whole SDK, bundled for XS': 40 * 1024,
  'core profile for Espruino': 24 * 1024,
  'device on XS, 32 bits': 12 * 1024,
  'device in V8, without its ring': 2 * 1024,
};

interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}

/** One module by itself; imports stay. */
function moduleSize(path: string): number {
  const options = { loader: 'ts', minify: true, target: 'es2022', format: 'esm' } as const;
  return Buffer.byteLength(transformSync(readFileSync(path, 'utf8'), options).code);
}

function bundleSize(entry: string): number {
  const result = buildSync({
    entryPoints: [join(root, entry)],
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    platform: 'neutral',
    target: 'es2022',
  });
  return (result.outputFiles[0] as { contents: Uint8Array }).contents.length;
}

async function byteFigures(): Promise<Figure[]> {
  const modules = globSync('sdk/src/**/*.ts', { cwd: root })
    .map((path) => path.split(sep).join('/'))
    .sort()
    .map((path) => ({ name: path, value: moduleSize(join(root, path)), unit: 'B' }));
  const whole = bundleSize('sdk/src/index.ts');
  const { code } = await bundleForEspruino();
  return [
    ...modules,
    { name: 'whole SDK, bundled for XS', value: whole, unit: 'B' },
    { name: 'core profile for Espruino', value: Buffer.byteLength(code, 'latin1'), unit: 'B' },
  ];
}

async function xsFigures(): Promise<Figure[]> {
  const { parts, stackSlots, total } = await measureDevice(await loadedDevice());
  const rows = PARTS.flatMap((part) => [
    { name: `XS: ${part}, slots`, value: parts[part].slots, unit: 'slots' },
    { name: `XS: ${part}, chunks`, value: parts[part].chunkBytes, unit: 'B' },
  ]);
  return [
    ...rows,
    { name: 'device on XS, 32 bits', value: bytesOn32(total), unit: 'B' },
    { name: 'XS: stack', value: stackSlots, unit: 'slots' },
  ];
}

async function v8Figures(): Promise<Figure[]> {
  const module = new URL('../bench/live/heap.ts', import.meta.url);
  const child = new Child('heap', module, ['--expose-gc']);
  try {
    const { bytes } = await child.ask<HeapReading>({ devices: HEAP_DEVICES });
    return [{ name: 'device in V8, without its ring', value: Math.round(bytes), unit: 'B' }];
  } finally {
    await child.stop();
  }
}

/** Figures of the record by name. */
function recorded(): Map<string, number> {
  const text = existsSync(RECORD) ? readFileSync(RECORD, 'utf8') : '';
  const rows = [...text.matchAll(/^\| ([^|]+?) \| ([\d,]+) \w+ \|/gm)];
  return new Map(rows.map(([, name, value]) => [name!, Number(value!.replaceAll(',', ''))]));
}

function table(figures: readonly Figure[]): string {
  const rows = figures.map(({ name, unit, value }) => {
    const budget = BUDGETS[name];
    const limit = budget === undefined ? '' : `${budget.toLocaleString('en')} ${unit}`;
    return `| ${name} | ${value.toLocaleString('en')} ${unit} | ${limit} |`;
  });
  return ['| what | size | budget |', '| --- | ---: | ---: |', ...rows].join('\n');
}

/** Figures over their budget, in words. */
function overBudget(figures: readonly Figure[]): string[] {
  return figures.flatMap(({ name, unit, value }) => {
    const budget = BUDGETS[name];
    if (budget === undefined || value <= budget) return [];
    return [`${name}: ${value} ${unit}, over its budget of ${budget}`];
  });
}

/** What the record does not know of the figures, in words. */
function growth(figures: readonly Figure[], before: ReadonlyMap<string, number>): string[] {
  return figures.flatMap(({ name, unit, value }) => {
    const old = before.get(name);
    if (old === undefined) return [`${name}: not recorded; npm run size -- --update`];
    const grown = value - old > Math.max(GROWTH_BYTES_MIN, old * GROWTH_MAX);
    return grown ? [`${name}: ${old} → ${value} ${unit}; npm run size -- --update`] : [];
  });
}

function update(figures: readonly Figure[]): void {
  const text = readFileSync(RECORD, 'utf8');
  const [head, rest = ''] = text.split(BEGIN);
  const tail = rest.split(END)[1] ?? '\n';
  writeFileSync(RECORD, `${head}${BEGIN}\n\n${table(figures)}\n\n${END}${tail}`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      bytes: { type: 'boolean' },
      growth: { type: 'boolean' },
      update: { type: 'boolean' },
    },
  });
  const figures = await byteFigures();
  if (!values.bytes) figures.push(...(await xsFigures()), ...(await v8Figures()));
  console.log(table(figures));
  if (values.update && !values.bytes) update(figures);
  const budgets = overBudget(figures);
  const grown = growth(figures, recorded());
  for (const problem of [...budgets, ...grown]) console.error(problem);
  const failed = grown.length > 0 || (!values.growth && budgets.length > 0);
  process.exitCode = failed ? 1 : 0;
}

// `import.meta.main` is of Node 24.2.
if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
