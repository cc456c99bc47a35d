// `npm run bench -- ota`: deltas of two published programs against the full file and against the
// one delta encoder that npm has, what applying them takes on a device, and a manifest's check.

import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { createDelta } from 'fossil-delta';
import { encodeDelta } from '../../ota-server/src/releases/delta.ts';
import { PATCH_WORK_SIZE } from '../../sdk/src/ota/patch.ts';
import { UsageError } from '../live/run.ts';
import { type ApplierFigures, measureApplier } from './applier.ts';
import { allMet, figuresOf, formatFigures, formatSizes, type Sizes } from './figures.ts';
import { measureManifest } from './manifest.ts';
import { fetchPairs, type Pair } from './pairs.ts';

export const OTA_USAGE = `ota: deltas against full images and fossil-delta; the applier on XS
  --runs N         encodings of each pair, of which the fastest counts, default 3
  --json FILE      where the figures go, default bench/results/ota.json`;

const RESULTS = new URL('../results/ota.json', import.meta.url);
const RUNS_MAX = 100;

function readOptions(argv: string[]): { readonly runs: number; readonly json: string } {
  const text = { type: 'string' } as const;
  let values: { runs?: string | undefined; json?: string | undefined };
  try {
    values = parseArgs({ args: argv, options: { runs: text, json: text } }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const runs = Number(values.runs ?? 3);
  if (!Number.isInteger(runs) || runs < 1 || runs > RUNS_MAX) {
    throw new UsageError(`--runs: expected 1-${RUNS_MAX}, got ${values.runs}`);
  }
  return { runs, json: values.json ?? fileURLToPath(RESULTS) };
}

/** Runs the benchmark; true when all figures are met. */
export async function runOta(argv: string[]): Promise<boolean> {
  const { runs, json } = readOptions(argv);
  const startMs = performance.now();
  const model = cpus()[0]?.model ?? 'CPU';
  console.log(`fastest of ${runs}; Node ${process.versions.node}, ${cpus().length} × ${model}`);
  const pairs = await fetchPairs();
  const sizes: Sizes[] = [];
  const appliers: ApplierFigures[] = [];
  for (const pair of pairs) {
    const { delta, measured } = measureSizes(pair, runs);
    sizes.push(measured);
    console.log(`${pair.name}: ${pair.source}`);
    appliers.push(await measureApplier(pair.base, delta, pair.target));
  }
  const manifest = await measureManifest();
  const figures = figuresOf(sizes, appliers);
  console.log(`\n${formatSizes(sizes)}\n\n${formatFigures(figures)}\n`);
  const applyMs = appliers.map((each) => Math.round(each.applyMs).toLocaleString('en'));
  console.log(`applied on XS, on this machine, in ${applyMs.join(' and ')} ms`);
  const { envelopeBytes, nodeMs, xsMs } = manifest;
  console.log(
    `manifest of ${envelopeBytes} bytes checked in ${nodeMs.toFixed(2)} ms on Node, ` +
      `${xsMs.toFixed(0)} ms on XS\n`,
  );
  const met = allMet(figures);
  const result = {
    benchmark: 'ota',
    met,
    settings: { runs, workSize: PATCH_WORK_SIZE },
    machine: { node: process.version, cores: cpus().length, model },
    pairs: pairs.map(({ name, source, base, target }) => {
      return { name, source, base: sha256(base), target: sha256(target) };
    }),
    sizes,
    appliers,
    manifest,
    figures,
  };
  mkdirSync(dirname(json), { recursive: true });
  writeFileSync(json, `${JSON.stringify(result, undefined, 2)}\n`);
  const tookS = Math.round((performance.now() - startMs) / 1000);
  const verdict = met ? 'all figures met' : 'figures NOT met';
  console.log(`${verdict} after ${tookS} s; ${relative('.', json)}`);
  return met;
}

function measureSizes(pair: Pair, runs: number): { delta: Uint8Array; measured: Sizes } {
  const { name, base, target } = pair;
  const ours = fastest(runs, () => encodeDelta(base, target));
  const fossil = fastest(runs, () => gzipSync(createDelta(base, target), { level: 9 }));
  const measured = {
    name,
    targetBytes: target.length,
    gzipBytes: gzipSync(target, { level: 9 }).length,
    deltaBytes: ours.bytes.length,
    fossilBytes: fossil.bytes.length,
    encodeMs: ours.ms,
    fossilMs: fossil.ms,
  };
  return { delta: ours.bytes, measured };
}

function fastest(runs: number, encode: () => Uint8Array): { bytes: Uint8Array; ms: number } {
  let bytes = new Uint8Array(0);
  let ms = Number.POSITIVE_INFINITY;
  for (let run = 0; run < runs; run += 1) {
    const startMs = performance.now();
    bytes = Uint8Array.from(encode());
    ms = Math.min(ms, performance.now() - startMs);
  }
  return { bytes, ms };
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
