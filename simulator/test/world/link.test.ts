import { NodeStream, StreamBuffers } from '@flotilla/sdk/node';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Outage } from '../../src/scenario/schema.ts';
import { Links } from '../../src/world/link.ts';

const FLEETS = ['meters', 'trackers', 'gates'];

function outage(...fleets: readonly string[]): Outage {
  return { kind: 'outage', atMs: 0, forMs: 1, fleets };
}

describe('links', () => {
  test('are up until an outage of their fleet begins, and again when it ends', () => {
    const links = new Links(FLEETS);
    const down = () => FLEETS.map((_, fleet) => links.isDown(fleet));
    expect(down()).toEqual([false, false, false]);
    const event = outage('meters', 'gates');
    expect(links.affected(event)).toEqual([0, 2]);
    links.begin(event);
    expect(down()).toEqual([true, false, true]);
    links.end(event);
    expect(down()).toEqual([false, false, false]);
  });

  test('are down while any of several outages lasts', () => {
    const span = fc.record({
      fleets: fc.uniqueArray(fc.constantFrom(...FLEETS), { minLength: 1 }),
      atMs: fc.nat(20),
      forMs: fc.integer({ min: 1, max: 20 }),
    });
    fc.assert(
      fc.property(fc.array(span, { maxLength: 6 }), (spans) => {
        const links = new Links(FLEETS);
        const outages = spans.map(({ fleets }) => outage(...fleets));
        for (let nowMs = 0; nowMs < 45; nowMs += 1) {
          for (const [index, { atMs, forMs }] of spans.entries()) {
            if (atMs === nowMs) links.begin(outages[index]!);
            if (atMs + forMs === nowMs) links.end(outages[index]!);
          }
          for (const [fleet, name] of FLEETS.entries()) {
            const isDown = spans.some(({ fleets, atMs, forMs }) => {
              return fleets.includes(name) && atMs <= nowMs && nowMs < atMs + forMs;
            });
            expect(links.isDown(fleet)).toBe(isDown);
          }
        }
      }),
    );
  });

  test('cut a stream with a reason', async () => {
    const reasons: (string | undefined)[] = [];
    const handlers = {
      onWritable: () => undefined,
      onReadable: () => undefined,
      onError: (reason?: string) => reasons.push(reason),
    };
    new Links(FLEETS).cut(new NodeStream(handlers, undefined, new StreamBuffers(100)));
    await new Promise((resolve) => setImmediate(resolve));
    expect(reasons).toEqual(['link down']);
  });
});
