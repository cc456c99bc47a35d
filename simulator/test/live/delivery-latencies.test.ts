// Which deliveries waited for a connection, whatever the order in which that becomes known.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DeliveryLatencies } from '../../src/live/delivery-latencies.ts';

const DEVICES = 3;
const WORKERS = 2;

interface Recorded {
  readonly device: number;
  readonly latencyMs: number;
  readonly buffered: boolean;
}

function collected(workers = WORKERS): { latencies: DeliveryLatencies; recorded: Recorded[] } {
  const recorded: Recorded[] = [];
  const latencies = new DeliveryLatencies(DEVICES, workers, (device, latencyMs, buffered) => {
    recorded.push({ device, latencyMs, buffered });
  });
  return { latencies, recorded };
}

/** What happens to devices, in time: connections, and messages that come. */
const event = fc.record({
  device: fc.integer({ min: 0, max: DEVICES - 1 }),
  afterMs: fc.integer({ min: 1, max: 400 }),
  kind: fc.constantFrom('connection', 'delivery'),
  ageMs: fc.integer({ min: 0, max: 1500 }),
});

describe('deliveries', () => {
  test('that are older than the connection that they came by are buffered, and no others', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        const { latencies, recorded } = collected();
        const expected: Recorded[] = [];
        const since = Array.from({ length: DEVICES }, () => Number.NEGATIVE_INFINITY);
        let told: number[][] = [[], []];
        let lastMs = [0, 0];
        let nowMs = 0;
        const tell = () => {
          for (const [worker, connections] of told.entries()) {
            latencies.connected(worker, Float64Array.from(connections), nowMs);
          }
          told = [[], []];
        };
        for (const { afterMs, ageMs, device, kind } of events) {
          nowMs += afterMs;
          if (kind === 'connection') {
            // Of a device that connects again and again, reports come in between.
            if (nowMs - lastMs[0]! > 250 || told.flat().includes(device)) tell();
            lastMs = [nowMs, nowMs];
            since[device] = nowMs;
            told[device % WORKERS]!.push(device, nowMs);
          } else {
            latencies.add(device, nowMs - ageMs, nowMs);
            const buffered = since[device]! - (nowMs - ageMs) >= 1;
            expected.push({ device, latencyMs: ageMs, buffered });
          }
        }
        tell();
        expect(recorded).toEqual(expected);
      }),
    );
  });

  test('wait for what every worker has to tell, and no longer than to the end', () => {
    const { latencies, recorded } = collected();
    latencies.add(0, 100, 500);
    latencies.connected(0, Float64Array.of(0, 400), 600);
    expect(recorded).toEqual([]);
    latencies.connected(1, new Float64Array(0), 499);
    expect(recorded).toEqual([]);
    latencies.connected(1, new Float64Array(0), 500);
    expect(recorded).toEqual([{ device: 0, latencyMs: 400, buffered: true }]);
    latencies.add(1, 450, 700);
    latencies.settle();
    expect(recorded[1]).toEqual({ device: 1, latencyMs: 250, buffered: false });
  });

  test('may be many more than there was room for at first', () => {
    const { latencies, recorded } = collected(1);
    for (let count = 0; count < 500; count += 1) latencies.add(0, count, count + 1);
    latencies.connected(0, new Float64Array(0), 400);
    for (let count = 500; count < 5000; count += 1) latencies.add(1, count, count + 1);
    latencies.settle();
    expect(recorded).toHaveLength(5000);
    expect(recorded.map(({ latencyMs }) => latencyMs)).toEqual(recorded.map(() => 1));
    expect(recorded.slice(499, 501).map(({ device }) => device)).toEqual([0, 1]);
  });
});
