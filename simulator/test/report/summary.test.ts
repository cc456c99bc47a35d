import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { COUNTER_NAMES } from '../../src/metrics/names.ts';
import { Registry } from '../../src/metrics/registry.ts';
import type { ThresholdResult } from '../../src/metrics/thresholds.ts';
import {
  buildSummary,
  exitCode,
  ledgerOf,
  reproduceCommand,
  type Summary,
  unjudgedSummary,
  verdictOf,
} from '../../src/report/summary.ts';
import { outcome, THRESHOLDS } from './example.ts';

const PASSING = THRESHOLDS.slice(0, 2);
const CROSSED: ThresholdResult = {
  metric: 'messages_lost',
  expression: 'count==0',
  value: 3,
  ok: false,
};

describe('the summary', () => {
  it('says what was run and what came of it', () => {
    const { metrics, ...summary } = buildSummary(outcome(3));
    expect(summary).toEqual({
      schemaVersion: 1,
      scenario: 'telemetry',
      seed: 1058653044,
      mode: 'live',
      devices: 1_000,
      broker: 'mqtt://127.0.0.1:1883',
      protocol: 'MQTT 3.1.1',
      run: {
        id: 'r1a2b3c4',
        file: 'scenarios/telemetry.yaml',
        scenarioDigest: 'd1'.repeat(32),
        overrides: ['--devices=1k', '--set=fleets[0].qos=1'],
        durationMs: 20_000,
      },
      verdict: 'failed',
      passed: false,
      judged: { ok: true },
      thresholds: [
        { metric: 'messages_lost', expression: 'count==0', value: 6, ok: false },
        {
          metric: 'messages_delivered',
          expression: 'rate > 0.999',
          value: 8_394 / 8_400,
          ok: true,
        },
        { metric: 'messages_produced', expression: 'rate>1000', value: 420, ok: false },
        {
          metric: 'delivery_latency_ms{fleet:thermometers}',
          expression: 'p(99.9)<500',
          value: 100,
          ok: true,
        },
      ],
      ledger: {
        produced: 8_400,
        observed: 8_394,
        lost: 6,
        unseen: 0,
        unobservable: 0,
        dropped: 0,
        droppedBy: {},
        volatile: 0,
        pending: 0,
        duplicated: 0,
        balanced: true,
      },
      performance: outcome(3).performance,
    });
    expect(metrics.messages_produced).toEqual({ kind: 'counter', value: 8_400 });
  });

  it('survives JSON', () => {
    const summary = buildSummary({ ...outcome(3), interrupted: true, abortedBy: CROSSED });
    expect(JSON.parse(JSON.stringify(summary))).toEqual(summary);
  });

  it('has one of four verdicts, each with its exit code; blindness goes before crossed limits', () => {
    const blind = { ok: false, reason: 'the observer was blind' } as const;
    const limits = fc.constantFrom(0, 3);
    fc.assert(
      fc.property(
        limits,
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
        (lost, isBlind, isCut, isOver) => {
          const summary = buildSummary({
            ...outcome(lost, PASSING),
            ...(isBlind ? { judged: blind } : {}),
            ...(isCut ? { interrupted: true } : {}),
            ...(isOver ? { abortedBy: CROSSED } : {}),
          });
          const failed = lost > 0 || isOver;
          const [verdict, code] = isCut
            ? ['interrupted', 130]
            : isBlind
              ? ['not judged', 1]
              : failed
                ? ['failed', 99]
                : ['passed', 0];
          expect([summary.verdict, verdictOf(summary), exitCode(summary)]).toEqual([
            verdict,
            verdict,
            code,
          ]);
          expect(summary.passed).toBe(verdict === 'passed');
          expect(summary.judged).toEqual(isBlind ? blind : { ok: true });
        },
      ),
    );
  });

  it('of a run that could not start says why, and sums nothing up', () => {
    const end = {
      runId: 'r1',
      interrupted: false,
      startedAt: '2026-01-02T03:04:05.678Z',
      wallMs: 12,
    };
    const summary = unjudgedSummary(outcome(0).loaded, { ...end, reason: 'no broker' });
    expect(summary).toMatchObject({
      verdict: 'not judged',
      passed: false,
      judged: { ok: false, reason: 'no broker' },
      thresholds: [],
      metrics: {},
      scenario: 'telemetry',
    });
    expect(exitCode(summary)).toBe(1);
    const cut = unjudgedSummary(outcome(0).loaded, { ...end, reason: 'x', interrupted: true });
    expect(exitCode(cut)).toBe(130);
  });

  it('passes only a whole run with good thresholds and a balanced ledger', () => {
    const good = outcome(0, PASSING);
    const unbalanced = new Registry(['a']);
    unbalanced.counter('messages_produced', 0).add(2);
    unbalanced.counter('messages_observed', 0).add(1);
    const cases: [Summary, boolean, number][] = [
      [buildSummary(good), true, 0],
      [buildSummary(outcome(0, [])), true, 0],
      [buildSummary(outcome(3)), false, 99],
      [buildSummary({ ...good, abortedBy: CROSSED }), false, 99],
      [buildSummary({ ...good, interrupted: true }), false, 130],
      [buildSummary({ ...good, judged: { ok: false, reason: 'blind' } }), false, 1],
      [buildSummary({ ...outcome(0, []), snapshot: unbalanced.snapshot() }), false, 1],
    ];
    for (const [summary, passed, code] of cases) {
      expect([summary.passed, exitCode(summary)]).toEqual([passed, code]);
    }
    expect(cases[3]![0].abortedBy).toBe('messages_lost: count==0');
  });
});

describe('the ledger', () => {
  it('balances exactly when produced is the sum of the terms', () => {
    const terms = ['observed', 'lost', 'unseen', 'unobservable', 'dropped', 'volatile', 'pending'];
    const counts = fc.tuple(...terms.map(() => fc.nat(1_000)));
    fc.assert(
      fc.property(counts, fc.integer({ min: -2, max: 2 }), (values, error) => {
        const registry = new Registry(['a']);
        for (const [index, term] of terms.entries()) {
          const name = COUNTER_NAMES.find((counter) => counter === `messages_${term}`)!;
          registry.counter(name, 0).add(values[index]!);
        }
        const sum = values.reduce((left, right) => left + right, 0);
        registry.counter('messages_produced', 0).add(sum + error);
        registry.counter('messages_duplicated', 0).add(9);
        const dropped = values[terms.indexOf('dropped')]!;
        const causes = { 'buffer full': dropped >> 1, 'Not authorized': dropped - (dropped >> 1) };
        const ledger = ledgerOf(registry.snapshot(), causes);
        expect(ledgerOf(registry.snapshot(), { ...causes, other: 1 }).balanced).toBe(false);
        expect(ledger.droppedBy).toEqual(causes);
        expect(ledger.balanced).toBe(error === 0);
        expect(ledger).toMatchObject(Object.fromEntries(terms.map((term, i) => [term, values[i]])));
        expect(ledger.duplicated).toBe(9);
      }),
    );
  });
});

describe('the command that reproduces', () => {
  it('names file, seed and every override', () => {
    expect(reproduceCommand(buildSummary(outcome(0)))).toBe(
      "npx flotilla run scenarios/telemetry.yaml --seed 1058653044 --devices 1k --set 'fleets[0].qos=1'",
    );
  });

  it('names the run where its id decides who is in a wave', () => {
    const summary = { ...buildSummary(outcome(0)), rollouts: [] };
    expect(reproduceCommand(summary)).toContain(' --seed 1058653044 --run r1a2b3c4 --devices 1k ');
  });

  it('reaches the program through a shell unharmed', () => {
    const words = [
      'a b.yaml',
      '--ci',
      "--set=x='$(echo no)' `no`",
      '--set=y=-1',
      '--set=a="b\\"',
      '--broker=-x',
    ];
    const { run, ...rest } = buildSummary(outcome(0));
    const [file, ...overrides] = words as [string, ...string[]];
    const command = reproduceCommand({ ...rest, run: { ...run, file, overrides } });
    const script = `npx() { for word in "$@"; do printf '%s\\n' "$word"; done; }; ${command}`;
    const received = execFileSync('sh', ['-c', script], { encoding: 'utf8' }).trimEnd().split('\n');
    expect(received).toEqual([
      'flotilla',
      'run',
      'a b.yaml',
      '--seed',
      '1058653044',
      '--ci',
      '--set',
      "x='$(echo no)' `no`",
      '--set',
      'y=-1',
      '--set',
      'a="b\\"',
      '--broker=-x',
    ]);
  });
});
