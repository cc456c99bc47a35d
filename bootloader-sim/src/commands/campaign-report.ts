// What a campaign found, for people and machines.

import { columns } from '@flotilla/command-line';
import type { Finding } from '../campaign/cases.ts';
import type { CampaignOutcome } from './campaign-worker.ts';

export interface CampaignReport {
  readonly schemaVersion: 1;
  readonly profile: string;
  readonly seed: number;
  readonly passed: boolean;
  readonly cases: number;
  readonly seconds: number;
  readonly casesPerSecond: number;
  readonly workers: number;
  /** By kind of fault. */
  readonly counts: Readonly<Record<string, number>>;
  readonly atRest: { readonly flips: number; readonly accepted: number } | undefined;
  readonly recordGraph:
    | { readonly states: number; readonly transitions: number; readonly depth: number }
    | undefined;
  readonly violations: number;
  /** By invariant. */
  readonly violationCounts: Readonly<Record<string, number>>;
  readonly findings: readonly (Finding & { readonly replay: string })[];
}

interface Conditions {
  readonly profile: string;
  readonly seed: number;
  readonly seconds: number;
  readonly workers: number;
  /** Flags that repeat the campaign. */
  readonly flags: string;
}

/** Violations that are printed, so that a broken scheme does not fill the screen. */
const FINDINGS_SHOWN_MAX = 30;

export function collect(
  outcomes: readonly CampaignOutcome[],
  { flags, profile, seconds, seed, workers }: Conditions,
): CampaignReport {
  const counts: Record<string, number> = {};
  const violationCounts: Record<string, number> = {};
  const findings: (Finding & { replay: string })[] = [];
  let atRest: { flips: number; accepted: number } | undefined;
  let recordGraph: CampaignReport['recordGraph'];
  for (const outcome of outcomes) {
    if (outcome.kind === 'flow') {
      add(counts, outcome.result.counts);
      add(violationCounts, outcome.result.violationCounts);
      for (const finding of outcome.result.findings) {
        const replay = `npx flotilla-boot campaign ${flags} --replay ${finding.caseId}`;
        findings.push({ ...finding, replay });
      }
    } else if (outcome.kind === 'at-rest') {
      atRest ??= { flips: 0, accepted: 0 };
      atRest.flips += outcome.count;
      atRest.accepted += outcome.accepted.length;
      add(counts, { 'at rest: one bit flipped': outcome.count });
      if (outcome.accepted.length > 0) add(violationCounts, { I1: outcome.accepted.length });
    } else {
      const { depth, states, transitions, violations } = outcome.result;
      recordGraph = { states, transitions, depth };
      if (violations.length > 0) add(violationCounts, { graph: violations.length });
    }
  }
  const cases = sum(counts);
  const violations = sum(violationCounts);
  return {
    schemaVersion: 1,
    profile,
    seed,
    passed: violations === 0 && cases > 0,
    cases,
    seconds: Math.round(seconds * 10) / 10,
    casesPerSecond: Math.round(cases / seconds),
    workers,
    counts,
    atRest,
    recordGraph,
    violations,
    violationCounts,
    findings,
  };
}

export function renderReport(report: CampaignReport): string {
  const number = (value: number) => value.toLocaleString('en');
  const names = Object.keys(report.counts).sort();
  const table = columns(
    names.map((name) => [name, number(report.counts[name]!)]),
    1,
  );
  const lines = ['', 'cases by fault', ...table.map((line) => `  ${line}`)];
  if (report.recordGraph !== undefined) {
    const { depth, states, transitions } = report.recordGraph;
    lines.push('', `record graph: ${states} states, ${transitions} transitions, depth ${depth}`);
  }
  if (report.violations > 0) {
    const byInvariant = Object.entries(report.violationCounts)
      .sort(([a], [b]) => a.localeCompare(b))
      .map(([invariant, count]) => `${invariant} ${number(count)}`);
    lines.push('', `violations by invariant: ${byInvariant.join(', ')}`);
    for (const { caseId, invariant, replay, text } of report.findings.slice(
      0,
      FINDINGS_SHOWN_MAX,
    )) {
      lines.push(`  ${invariant} ${caseId}: ${text}`, `     ${replay}`);
    }
    const hidden = report.violations - Math.min(report.findings.length, FINDINGS_SHOWN_MAX);
    if (hidden > 0) lines.push(`  … and ${number(hidden)} more`);
  }
  const verdict = report.passed ? 'PASS' : 'FAIL';
  const rate = `${number(report.casesPerSecond)}/s on ${report.workers} workers`;
  lines.push(
    '',
    `${verdict}: ${number(report.cases)} cases, ${number(report.violations)} violations, ` +
      `${report.seconds} s (${rate}), seed ${report.seed}`,
    '',
  );
  return lines.join('\n');
}

function add(to: Record<string, number>, from: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(from)) to[name] = (to[name] ?? 0) + count;
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}
