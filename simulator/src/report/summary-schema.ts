// The form of the summary that `--json` and `--summary-export` write, for the programs that read
// it: published as docs/summary.schema.json. Every object is closed; a member that is added is added
// here, and only what changes or goes raises `schemaVersion`.

import { z } from 'zod';

const count = () => z.int().min(0);
const counts = () => z.record(z.string(), count());
/** Of durations and sizes as they were measured. */
const size = () => z.number().min(0);

const judged = z
  .discriminatedUnion('ok', [
    z.strictObject({ ok: z.literal(true) }),
    z.strictObject({ ok: z.literal(false), reason: z.string() }),
  ])
  .describe('Whether the run could be judged, and why not.');

const threshold = z.strictObject({
  metric: z.string().describe('As written: metric or metric{fleet:name}.'),
  expression: z.string().describe('As written: p(95) < 500.'),
  value: z.number().nullable().describe('What was compared; null: nothing was measured.'),
  whole: z.number().optional().describe('What a share is of.'),
  ok: z.boolean(),
  implicit: z.literal(true).optional().describe('Every run is asked this.'),
  fleets: z.array(z.string()).optional().describe('Of an implicit one: who crosses it.'),
});

const ledger = z.strictObject({
  produced: count(),
  observed: count(),
  lost: count(),
  unseen: count(),
  unobservable: count(),
  dropped: count(),
  droppedBy: counts().describe('The same by cause.'),
  volatile: count(),
  pending: count(),
  duplicated: count().describe('Further copies of observed messages.'),
  balanced: z.boolean().describe('produced is the sum of observed to pending.'),
});

const trend = z
  .looseObject({
    kind: z.literal('trend'),
    count: count(),
    min: size(),
    avg: size(),
    med: size(),
    p90: size(),
    p95: size(),
    p99: size(),
    max: size(),
  })
  // The percentiles that thresholds ask for.
  .meta({
    patternProperties: { '^p\\([0-9.]+\\)$': { type: 'number' } },
    additionalProperties: false,
  });

const metric = z.union([
  z.strictObject({ kind: z.literal('counter'), value: count() }),
  z.strictObject({ kind: z.literal('gauge'), value: count() }),
  z.strictObject({
    kind: z.literal('rate'),
    value: z.number().min(0).max(1),
    passes: count(),
    fails: count(),
  }),
  trend,
]);

const metricName = z.string().regex(/^[a-z0-9_]+(\{fleet:[a-z0-9-]+\})?$/);

const rollout = z.strictObject({
  rollout: z.string(),
  version: z.string(),
  status: z.string(),
  waves: z.array(
    z.strictObject({
      percent: z.number(),
      open: z.boolean(),
      size: count(),
      confirmed: count(),
      failed: count(),
      byStatus: counts(),
    }),
  ),
  alerts: z.array(
    z.strictObject({
      atMs: size().describe('Since the scenario began.'),
      reason: z.string(),
      wave: count().describe('Counts from 0.'),
      deviceClasses: z.array(z.string()),
      failed: count(),
      resolved: count(),
    }),
  ),
  history: z.array(z.strictObject({ atMs: size(), to: z.string(), cause: z.string() })),
});

const fanOutAccount = {
  expected: count().describe('Messages that the broker took, times who was to get each.'),
  received: count(),
  lost: count(),
  latencyAvgMs: size(),
  latencyMaxMs: size(),
};

const fanOut = z.strictObject({
  fleet: z.string(),
  share: z.string().optional().describe('The shared subscription.'),
  subscribers: count(),
  ...fanOutAccount,
  worst: z.array(z.strictObject({ id: z.string(), ...fanOutAccount })),
});

const performance = z.strictObject({
  workers: count(),
  versions: z.record(z.string(), z.string()),
  startedAt: z.iso.datetime(),
  wallMs: size(),
  cpuMs: size(),
  rssBytes: count(),
  generator: z.record(z.string(), z.number()).optional().describe('The worst of the workers.'),
  observer: z.record(z.string(), z.number()).optional(),
  disconnectReasons: counts().optional(),
  failedConnects: counts().optional(),
  warnings: z.array(z.string()).optional().describe('What to know before trusting the figures.'),
});

export const summarySchema = z
  .strictObject({
    schemaVersion: z.literal(1),
    scenario: z.string(),
    seed: count(),
    mode: z.literal(['live', 'virtual']),
    devices: count(),
    broker: z.string().describe('embedded, or the URL without credentials.'),
    protocol: z.string(),
    run: z.strictObject({
      id: z.string().describe('First part of all client ids.'),
      file: z.string(),
      scenarioDigest: z.string().describe('SHA-256 of the file, hex.'),
      overrides: z.array(z.string()),
      durationMs: size().describe('How long devices sampled.'),
    }),
    verdict: z.literal(['passed', 'failed', 'not judged', 'interrupted']),
    passed: z.boolean().describe('The verdict is passed.'),
    judged,
    interrupted: z.literal(true).optional(),
    abortedBy: z.string().optional().describe('The threshold that ended the run early.'),
    thresholds: z.array(threshold),
    ledger,
    metrics: z.record(metricName, metric),
    drops: z
      .array(z.strictObject({ fleet: z.string(), causes: counts() }))
      .optional()
      .describe('ledger.droppedBy by fleet, of fleets that dropped something.'),
    applicationErrors: z
      .array(
        z.strictObject({
          fleet: z.string(),
          device: z.string(),
          place: z.string().optional(),
          message: z.string(),
          count: count(),
        }),
      )
      .optional()
      .describe('The first of those that the counter application_errors counts.'),
    fanOut: z.array(fanOut).optional(),
    rollouts: z.array(rollout).optional(),
    attacks: z
      .array(
        z.strictObject({
          attack: z.string(),
          devices: count(),
          stopped: count(),
          succeeded: count(),
          by: counts(),
        }),
      )
      .optional(),
    performance,
  })
  .meta({ title: 'Flotilla summary' });

/** Draft 7, as that of scenarios. */
export function summaryJsonSchema(): Readonly<Record<string, unknown>> {
  return z.toJSONSchema(summarySchema, { io: 'output', target: 'draft-7' });
}
