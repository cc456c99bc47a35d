import { stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { implicitThresholds } from '../../src/metrics/implicit.ts';
import { Registry } from '../../src/metrics/registry.ts';
import { buildSummary } from '../../src/report/summary.ts';
import { renderSummary } from '../../src/report/terminal.ts';
import { Screen } from '../support/screen.ts';
import { outcome, THRESHOLDS } from './example.ts';

const PLAIN = { color: false };

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
    expect(renderSummary(buildSummary(outcome(3)), PLAIN)).toBe(FAILED);
  });

  it('is the same text in colour', () => {
    const colored = renderSummary(buildSummary(outcome(3)), { color: true });
    expect(stripVTControlCharacters(colored)).toBe(FAILED);
    expect(colored).toContain('\u001b[31m✗ messages_lost');
    expect(colored).toContain('\u001b[32m✓');
  });

  it('ends in one word for a run that passed', () => {
    const lines = renderSummary(buildSummary(outcome(0, THRESHOLDS.slice(0, 2))), PLAIN).split(
      '\n',
    );
    expect(lines.slice(-3)).toEqual(['', '  PASSED', '']);
    expect(lines.join('\n')).toContain('messages_delivered  rate > 0.999  100%');
    expect(lines.join('\n')).not.toContain('reproduce');
  });

  it('tells what every run is asked in one line, and each that was crossed, with its fleets', () => {
    const { fleets } = outcome(0).loaded.scenario;
    const asked = implicitThresholds([], { fleets, rampMs: 0, durationMs: 20_000 });
    const text = (lost: number, more: object = {}) => {
      const whole = outcome(lost, [...THRESHOLDS.slice(1, 2), ...asked]);
      return renderSummary(buildSummary({ ...whole, ...more }), PLAIN);
    };
    expect(text(0)).toContain(`
  THRESHOLDS
    ✓ messages_delivered  rate > 0.999  100%
    ✓ implicit: devices_connected, messages_observed, messages_lost, messages_unseen,`);
    expect(text(3)).toContain(`
    ✓ messages_delivered  rate > 0.999  99.92%
    ✗ messages_lost       count == 0    6       implicit: thermometers, doors
    ✓ implicit: devices_connected, messages_observed, messages_unseen,`);
    // What an early end leaves behind is no finding.
    expect(text(3, { interrupted: true })).not.toContain('implicit');
    expect(text(3, { interrupted: true })).toContain('  INTERRUPTED\n');
  });

  it('reads shares as parts of a whole, or as so much for each device', () => {
    const thresholds = ['devices_connected', 'reconnects', 'messages_lost'].map((metric) => {
      return { metric, expression: 'share < 1', abortOnFail: false, delayAbortMs: 0 };
    });
    const text = renderSummary(buildSummary(outcome(3, thresholds)), PLAIN);
    expect(text).toContain(`
    ✗ devices_connected  share < 1  100% (1,000 of 1,000)
    ✓ reconnects         share < 1  0 per device
    ✓ messages_lost      share < 1  0.07% (6 of 8,400)
`);
  });

  it('says why a run did not come to its end', () => {
    const abortedBy = { metric: 'reconnects', expression: 'count<1', value: 3, ok: false };
    const end = (more: object) =>
      renderSummary(buildSummary({ ...outcome(0, []), ...more }), PLAIN)
        .split('\n')
        .at(-3);
    expect(end({ interrupted: true })).toBe('  INTERRUPTED');
    expect(end({ abortedBy })).toBe('  FAILED: ended early by reconnects: count<1');
    // Of a run that was not judged, what its figures seem to say is no reason.
    const judged = { ok: false, reason: 'the observer was blind from second 5 on' };
    expect(end({ judged, abortedBy })).toBe(
      '  NOT JUDGED: the observer was blind from second 5 on',
    );
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
    const drops = [{ fleet: 'a', causes: { 'Not authorized': 1, 'buffer full': 2 } }];
    const text = renderSummary(buildSummary({ ...outcome(0, []), snapshot, drops }), PLAIN);
    expect(text).toContain(`
      produced      2,000,000  put into their buffers by the devices
    = observed      1,999,900  received from the broker by an independent subscriber
    + lost                  0
    + unseen                1  acknowledged by the broker, yet never delivered by it
    + unobservable          2  acknowledged while that subscriber could not see what was delivered
    + dropped               3  buffer full (2), Not authorized (1)
    + volatile              4  held in RAM only when a device restarted
    + pending               5  still in a buffer on the device when the run ended
    1 message arrived more than once, as QoS 1 allows
    ✗ the terms add up to 1,999,915, not to 2,000,000: please report this, it is a bug of flotilla
`);
    expect(text).toContain('  NOT JUDGED: the ledger does not balance\n');
    // One fleet needs no table of fleets, no data no numbers.
    expect(text).not.toContain('FLEETS');
    expect(text).not.toContain('THRESHOLDS');
  });

  it('tells causes of drops that do not add up, and why connects failed', () => {
    const registry = new Registry(['a']);
    registry.counter('messages_produced', 0).add(3);
    registry.counter('messages_dropped', 0).add(3);
    const { performance, ...rest } = outcome(0, []);
    const failedConnects = { 'connect timed out': 1, 'connection refused: Not authorized': 1_200 };
    const text = renderSummary(
      buildSummary({
        ...rest,
        snapshot: registry.snapshot(),
        drops: [{ fleet: 'a', causes: { 'buffer full': 2 } }],
        performance: { ...performance, failedConnects },
      }),
      PLAIN,
    );
    expect(text).toContain('✗ the causes of what was dropped are buffer full (2): please report');
    expect(text).toContain(
      '  not connected: connection refused: Not authorized (1,200), connect timed out (1)\n',
    );
  });

  it('says that nothing was measured', () => {
    const snapshot = new Registry(['a']).snapshot([99.9]);
    const text = renderSummary(
      buildSummary({ ...outcome(0, THRESHOLDS.slice(1, 2)), snapshot }),
      PLAIN,
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

const NARROW = `
  telemetry · 1,000 devices · seed
      1058653044
  mqtt://127.0.0.1:1883 · MQTT 3.1.1 ·
      21.4s

  THRESHOLDS
    ✗ messages_lost
        count==0      6
    ✓ messages_delivered
        rate > 0.999  99.92%
    ✗ messages_produced
        rate>1000     420/s
    ✓
        delivery_latency_ms{fleet:thermometers}
        p(99.9)<500   100ms

  LEDGER  where every message went
      produced      8,400
          put into their buffers by the
          devices
    = observed      8,394
        received from the broker by an
        independent subscriber
    + lost              6
        never acknowledged by the
        broker, never received
    + unseen            0
    + unobservable      0
    + dropped           0
    + volatile          0
    + pending           0

  FLEETS          connected  lost
    thermometers        800     3
    doors               200     3

  LATENCY                   med     p95
    connect_latency_ms        -       -
    publish_latency_ms   12.5ms  23.8ms
    delivery_latency_ms  67.0ms   180ms

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

  2 workers · 5.20s CPU · 184 MB · Node
      24.1.0

  FAILED: 2 thresholds crossed
  reproduce: npx flotilla run scenarios/telemetry.yaml --seed 1058653044 --devices 1k --set 'fleets[0].qos=1'
`;

describe('the summary in a narrow terminal', () => {
  const widths = fc.integer({ min: 30, max: 140 });
  const wordsOf = (text: string) => text.trim().split(/\s+/);

  /** What a terminal of that width shows of it. */
  function shown(columns: number, color: boolean): string[] {
    const screen = new Screen(columns, 1000);
    screen.write(renderSummary(buildSummary(outcome(3)), { color, columns }));
    return screen.lines;
  }

  it('is this text in 40 columns', () => {
    const text = renderSummary(buildSummary(outcome(3)), { ...PLAIN, columns: 40 });
    expect(text).toBe(NARROW);
  });

  it('is the same text where there is room, and where nobody looks', () => {
    expect(renderSummary(buildSummary(outcome(3)), { ...PLAIN, columns: 110 })).toBe(FAILED);
    expect(renderSummary(buildSummary(outcome(3)), PLAIN)).toBe(FAILED);
  });

  it('breaks no line itself but the command and what has no space, in colour or not', () => {
    fc.assert(
      fc.property(widths, fc.boolean(), (columns, color) => {
        const text = renderSummary(buildSummary(outcome(3)), { color, columns });
        const lines = text.split('\n').map((line) => stripVTControlCharacters(line));
        for (const line of lines.filter((each) => !each.includes('reproduce: '))) {
          const isWord = !/\S\s+\S/.test(line.replace(/^\s*[✓✗] /, ''));
          if (!isWord) expect(line.length, line).toBeLessThanOrEqual(columns);
        }
        // The screen shows all of it, wherever the terminal itself has to break a line.
        expect(shown(columns, color).join('').replaceAll(' ', '')).toBe(
          lines.join('').replaceAll(' ', ''),
        );
      }),
    );
  });

  it('leaves out columns of tables only', () => {
    fc.assert(
      fc.property(widths, (columns) => {
        const wide = wordsOf(FAILED.slice(0, FAILED.indexOf('FLEETS')));
        const text = renderSummary(buildSummary(outcome(3)), { ...PLAIN, columns });
        expect(wordsOf(text.slice(0, text.indexOf('FLEETS')))).toEqual(wide);
        for (const word of ['lost', 'p95', '180ms', 'messages_received', '8,394']) {
          expect(text).toContain(word);
        }
        expect(text.slice(text.indexOf('2 workers')).split(/\s+/)).toEqual(
          FAILED.slice(FAILED.indexOf('2 workers')).split(/\s+/),
        );
      }),
    );
  });
});
