import { describe, expect, test } from 'vitest';
import { buildSummary } from '../../src/report/summary.ts';
import { renderSummary } from '../../src/report/terminal.ts';
import { describeRollout, type RolloutSummary } from '../../src/report/updates.ts';
import { outcome } from './example.ts';

const ROLLOUT: RolloutSummary = {
  rollout: '2.0.0-1',
  version: '2.0.0',
  status: 'stopped',
  waves: [
    {
      percent: 5,
      open: true,
      size: 50,
      confirmed: 30,
      failed: 19,
      byStatus: { confirmed: 30, reverted: 18, timedOut: 1, pending: 1 },
    },
    { percent: 100, open: false, size: 950, confirmed: 0, failed: 0, byStatus: { pending: 950 } },
  ],
  alerts: [
    {
      atMs: 4210,
      reason: 'class-failure-ratio',
      wave: 0,
      deviceClasses: ['rev-b'],
      failed: 19,
      resolved: 49,
    },
  ],
  history: [{ atMs: 4210, to: 'stopped', cause: 'breach' }],
};

describe('a rollout', () => {
  test('is told wave by wave, with the stages of its devices', () => {
    const { head, rows } = describeRollout(ROLLOUT);
    expect(head).toBe('2.0.0  stopped, 4.2 s after the start');
    expect(rows[1]).toEqual(['5%', '50', '30', '19', '18 reverted, 1 timed out, 1 pending']);
    expect(rows[2]!.at(-1)).toBe('not opened');
  });

  test('tells its alerts, and names the hardware', () => {
    expect(describeRollout(ROLLOUT).alerts).toEqual([
      'alert after 4.2 s in wave 1: class-failure-ratio, 19 of 49 failed (hardware: rev-b)',
    ]);
  });

  test('stands in the summary for people', () => {
    const text = renderSummary(buildSummary({ ...outcome(0), rollouts: [ROLLOUT] }), {
      color: false,
    });
    expect(text).toContain('  ROLLOUT  2.0.0  stopped, 4.2 s after the start\n');
    expect(text).toContain(
      '      5%       50         30      19  18 reverted, 1 timed out, 1 pending\n',
    );
    expect(text).toContain('    ! alert after 4.2 s in wave 1');
  });
});
