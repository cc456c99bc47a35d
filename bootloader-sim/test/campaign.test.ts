// The quick part of the fault campaigns, and proof that they can fail: in the stock scheme, and
// with a rule left out. The full campaigns are recorded in docs/boot-faults.md.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const LAUNCHER = fileURLToPath(new URL('../bin/flotilla-boot.mjs', import.meta.url));
const SEED = process.env.SEED ?? String(Math.floor(Math.random() * 0x7fff_ffff));

interface Report {
  readonly passed: boolean;
  readonly cases: number;
  readonly violations: number;
  readonly violationCounts: Readonly<Record<string, number>>;
  readonly counts: Readonly<Record<string, number>>;
  readonly recordGraph: { readonly states: number } | undefined;
  readonly findings: readonly { readonly caseId: string; readonly replay: string }[];
}

async function campaign(...flags: string[]): Promise<{ code: number | null; report: Report }> {
  const child = spawn(process.execPath, [LAUNCHER, 'campaign', '--json', ...flags]);
  let printed = '';
  let told = '';
  child.stdout.on('data', (chunk) => (printed += String(chunk)));
  child.stderr.on('data', (chunk) => (told += String(chunk)));
  const { promise, resolve } = Promise.withResolvers<number | null>();
  child.on('close', resolve);
  const code = await promise;
  if (printed === '') throw new Error(told);
  return { code, report: JSON.parse(printed) as Report };
}

/** Kinds of fault that a quick campaign meets with any seed; docs/boot-faults.md has them all. */
const KINDS = [
  'at rest: one bit flipped',
  'erase: erase-bits',
  'erase: erase-weak',
  'program: cut-before',
  'program: program-bits',
  'program: program-prefix',
  'program: program-short',
  'program: program-weak',
  'program: program-weak-bit',
];

describe('the campaign', () => {
  it('finds nothing in the hardened profile', async () => {
    console.log(`SEED=${SEED} PROFILE=hardened QUICK`);
    const { code, report } = await campaign('--quick', '--seed', SEED);
    expect(report.findings, `reproduce: npx flotilla-boot campaign --quick --seed ${SEED}`).toEqual(
      [],
    );
    expect(code).toBe(0);
    expect(report.cases).toBeGreaterThanOrEqual(30_000);
    expect(report.recordGraph?.states).toBeGreaterThan(50);
    for (const kind of KINDS) expect(report.counts[kind], kind).toBeGreaterThan(0);
  });

  it('finds the hazards of the stock scheme, and replays one', async () => {
    const { code, report } = await campaign('--quick', '--profile', 'esp-idf', '--seed', SEED);
    expect(code).toBe(1);
    expect(report.violations).toBeGreaterThan(0);
    const [finding] = report.findings;
    const flags = ['--profile', 'esp-idf', '--seed', SEED, '--replay', finding!.caseId];
    expect(finding!.replay).toBe(`npx flotilla-boot campaign ${flags.join(' ')}`);
    const again = await campaign(...flags);
    expect(again.code).toBe(1);
    expect(again.report.cases).toBe(1);
  });

  it.each([
    // A weak bit of the record: read as programmed on one boot, as erased on the next.
    ['rule-4', 'crash-later-1-same/277/program-weak-bit:fading:1:114'],
    // A sector that reads as erased after a cut erase, and does not some boots later.
    ['rule-6', 'confirm-0-same/2/erase-weak:growing:2'],
  ])('needs %s', async (rule, caseId) => {
    const flags = ['--seed', '1', '--replay', caseId];
    const whole = await campaign(...flags);
    expect(whole.report).toMatchObject({ passed: true, cases: 1, violations: 0 });
    const without = await campaign(...flags, '--without', rule);
    expect(without.code).toBe(1);
    expect(without.report).toMatchObject({ cases: 1, violations: 1 });
  });
});
