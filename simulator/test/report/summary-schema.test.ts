import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { implicitThresholds } from '../../src/metrics/implicit.ts';
import { buildSummary, type Summary, unjudgedSummary } from '../../src/report/summary.ts';
import { publishedMistakes } from '../support/published-schema.ts';
import { outcome, THRESHOLDS } from './example.ts';

const { loaded } = outcome(0);
const asked = implicitThresholds([], { ...loaded.scenario, durationMs: 20_000 });
const whole = outcome(3, [...THRESHOLDS, ...asked]);
const CROSSED = { metric: 'messages_lost', expression: 'count==0', value: 3, ok: false };

const SUMMARIES: Readonly<Record<string, Summary>> = {
  passed: buildSummary(outcome(0, THRESHOLDS.slice(0, 2))),
  failed: buildSummary(whole),
  'ended early': buildSummary({ ...whole, abortedBy: CROSSED }),
  blind: buildSummary({ ...whole, judged: { ok: false, reason: 'blind from second 5 on' } }),
  interrupted: buildSummary({ ...whole, interrupted: true }),
  'not started': unjudgedSummary(loaded, {
    runId: 'r1',
    reason: 'no broker',
    interrupted: false,
    startedAt: '2026-01-02T03:04:05.678Z',
    wallMs: 3,
  }),
  'of a rollout that was attacked': buildSummary({
    ...whole,
    rollouts: [
      {
        rollout: '1.1.0-r1',
        version: '1.1.0',
        status: 'stopped',
        waves: [
          { percent: 5, open: true, size: 3, confirmed: 2, failed: 1, byStatus: { reverted: 1 } },
        ],
        alerts: [
          {
            atMs: 15_400,
            reason: 'failure-ratio',
            wave: 0,
            deviceClasses: ['rev-b'],
            failed: 1,
            resolved: 3,
          },
        ],
        history: [{ atMs: 15_400, to: 'stopped', cause: 'failure-ratio' }],
      },
    ],
    attacks: [
      { attack: 'freeze', devices: 1, stopped: 1, succeeded: 0, by: { 'old metadata': 1 } },
    ],
    performance: {
      ...whole.performance,
      generator: { loopDelayP99Ms: 0.5, loopUtilization: 0.1, missedSamples: 0 },
      disconnectReasons: { 'connection reset': 2 },
      warnings: ['3 samples were not made in time'],
    },
  }),
};

/** Paths of all objects in a value whose members are fixed: those of counts by name are not. */
function objectsOf(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [];
  const isOpen = OPEN.includes(path.at(-1) ?? '');
  const inner = Object.entries(value).flatMap(([key, each]) => objectsOf(each, [...path, key]));
  return Array.isArray(value) || isOpen ? inner : [path, ...inner];
}

const OPEN = [
  'metrics',
  'versions',
  'generator',
  'disconnectReasons',
  'droppedBy',
  'byStatus',
  'by',
];

function withMember(summary: Summary, path: readonly string[], name: string): unknown {
  const copy = structuredClone(summary) as object;
  const at = path.reduce<object>((part, key) => part[key as never], copy);
  Object.assign(at, { [name]: 1 });
  return copy;
}

describe('the published schema of summaries', () => {
  it.each(Object.entries(SUMMARIES))('has all of one that is %s', (_, summary) => {
    expect(publishedMistakes(summary)).toEqual([]);
  });

  it('allows no member that it does not name, nor one with another value', () => {
    const names = Object.keys(SUMMARIES);
    fc.assert(
      fc.property(
        fc.constantFrom(...names),
        fc.nat(),
        fc.stringMatching(/^[a-z]{9}X$/),
        (name, at, member) => {
          const summary = SUMMARIES[name]!;
          const paths = objectsOf(summary);
          const path = paths[at % paths.length]!;
          expect(publishedMistakes(withMember(summary, path, member)), path.join('.')).not.toEqual(
            [],
          );
        },
      ),
    );
    const good = SUMMARIES.passed!;
    expect(publishedMistakes({ ...good, verdict: 'maybe' })).not.toEqual([]);
    expect(publishedMistakes({ ...good, schemaVersion: 2 })).not.toEqual([]);
    const { verdict: _, ...rest } = good;
    expect(publishedMistakes(rest)).not.toEqual([]);
  });
});
