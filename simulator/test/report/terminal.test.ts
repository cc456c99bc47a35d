import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import { Registry } from '../../src/metrics/registry.ts';
import { buildSummary } from '../../src/report/summary.ts';
import { hasColor, renderSummary } from '../../src/report/terminal.ts';
import { outcome, THRESHOLDS } from './example.ts';

const FAILED = `
  telemetry · 1,000 devices · seed 1058653044
  mqtt://127.0.0.1:1883 · MQTT 3.1.1 · 21.4s

  THRESHOLDS
    ✗ messages_lost                            count==0      6
    ✓ messages_delivered                       rate > 0.999  99.92%
    ✗ messages_produced                        rate>1000     420/s
    ✓ delivery_latency_ms{fleet:thermometers}  p(99.9)<500   100ms

  LEDGER  where every message went
      produced      8,400  put into their buffers by the devices
    = observed      8,394  received from the broker by an independent subscriber
    + lost              6  never acknowledged by the broker, never received
    + unseen            0
    + unobservable      0
    + dropped           0
    + volatile          0
    + pending           0

  FLEETS          devices  connected  produced  observed  lost  p95 delivery
    thermometers      800        800     8,000     7,997     3        95.0ms
    doors             200        200       400       397     3         190ms

  LATENCY                   min     avg     med     p90     p95     p99     max
    connect_latency_ms        -       -       -       -       -       -       -
    publish_latency_ms    250µs  12.6ms  12.5ms  22.5ms  23.8ms  24.8ms  25.0ms
    delivery_latency_ms  1.00ms  75.8ms  67.0ms   160ms   180ms   196ms   200ms

  METRICS
    devices                 1,000
    devices_connected       1,000
    connect_failures            0
    reconnects                  0
    messages_produced       8,400  420/s
    messages_acknowledged   8,394  420/s
    messages_observed       8,394  420/s
    messages_received           0
    samples_missed              0
    messages_delivered     99.92%

  2 workers · 5.20s CPU · 184 MB · Node 24.1.0

  FAILED: 2 thresholds crossed
  reproduce: npx flotilla run scenarios/telemetry.yaml --seed 1058653044 --devices 1k --set 'fleets[0].qos=1'
`;

describe('the summary in a terminal', () => {
  it('is this text, for a run that failed', () => {
    expect(renderSummary(buildSummary(outcome(3)), false)).toBe(FAILED);
  });

  it('is the same text in colour', () => {
    const colored = renderSummary(buildSummary(outcome(3)), true);
    expect(stripVTControlCharacters(colored)).toBe(FAILED);
    expect(colored).toContain('\u001b[31m✗ messages_lost');
    expect(colored).toContain('\u001b[32m✓');
  });

  it('ends in one word for a run that passed', () => {
    const lines = renderSummary(buildSummary(outcome(0, THRESHOLDS.slice(0, 2))), false).split(
      '\n',
    );
    expect(lines.slice(-3)).toEqual(['', '  PASSED', '']);
    expect(lines.join('\n')).toContain('messages_delivered  rate > 0.999  100%');
    expect(lines.join('\n')).not.toContain('reproduce');
  });

  it('says why a run did not come to its end', () => {
    const abortedBy = { metric: 'reconnects', expression: 'count<1', value: 3, ok: false };
    const end = (more: object) =>
      renderSummary(buildSummary({ ...outcome(0, []), ...more }), false)
        .split('\n')
        .at(-3);
    expect(end({ interrupted: true })).toBe('  INTERRUPTED');
    expect(end({ abortedBy })).toBe('  FAILED: ended early by reconnects: count<1');
  });

  it('explains each bad term of the ledger, and a ledger that does not balance', () => {
    const registry = new Registry(['a']);
    registry.counter('messages_produced', 0).add(2_000_000);
    registry.counter('messages_observed', 0).add(1_999_900);
    registry.counter('messages_unseen', 0).add(1);
    registry.counter('messages_unobservable', 0).add(2);
    registry.counter('messages_dropped', 0).add(3);
    registry.counter('messages_volatile', 0).add(4);
    registry.counter('messages_pending', 0).add(5);
    registry.counter('messages_duplicated', 0).add(1);
    const snapshot = registry.snapshot();
    const text = renderSummary(buildSummary({ ...outcome(0, []), snapshot }), false);
    expect(text).toContain(`
      produced      2,000,000  put into their buffers by the devices
    = observed      1,999,900  received from the broker by an independent subscriber
    + lost                  0
    + unseen                1  acknowledged by the broker, yet never delivered by it
    + unobservable          2  acknowledged while the subscriber had lost its session
    + dropped               3  given up by the device
    + volatile              4  held in RAM only when a device restarted
    + pending               5  still in a buffer on the device when the run ended
    1 message arrived more than once, as QoS 1 allows
    ✗ the terms add up to 1,999,915, not to 2,000,000: please report this, it is a bug of flotilla
`);
    expect(text).toContain('  FAILED: the ledger does not balance\n');
    // One fleet needs no table of fleets, no data no numbers.
    expect(text).not.toContain('FLEETS');
    expect(text).not.toContain('THRESHOLDS');
  });

  it('says that nothing was measured', () => {
    const snapshot = new Registry(['a']).snapshot([99.9]);
    const text = renderSummary(
      buildSummary({ ...outcome(0, THRESHOLDS.slice(1, 2)), snapshot }),
      false,
    );
    expect(text).toContain('✗ messages_delivered  rate > 0.999  nothing was measured');
    expect(text).toMatch(/messages_delivered {4,}-\n/);
  });

  it('never shows trailing spaces, nor a line of more than 100 columns but the command', () => {
    for (const line of FAILED.split('\n').filter((text) => !text.includes('reproduce'))) {
      expect(line.length).toBeLessThanOrEqual(100);
      expect(line).toBe(line.trimEnd());
    }
  });
});

describe('hasColor', () => {
  it('asks the stream, which knows NO_COLOR', () => {
    expect(hasColor({ isTTY: true, hasColors: () => true })).toBe(true);
    expect(hasColor({ isTTY: true, hasColors: () => false })).toBe(false);
    expect(hasColor({ hasColors: () => true })).toBe(false);
    expect(hasColor({ isTTY: true })).toBe(false);
  });
});
