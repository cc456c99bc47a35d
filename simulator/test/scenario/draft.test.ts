import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Draft, overrideFlags, shareOut } from '../../src/scenario/draft.ts';

describe('shareOut', () => {
  const counts = fc.array(fc.integer({ min: 1, max: 10_000_000 }), { minLength: 1, maxLength: 20 });

  it('adds up, leaves no fleet empty, and keeps the quota rule where all quotas reach one', () => {
    fc.assert(
      fc.property(counts, fc.integer({ min: 0, max: 10_000_000 }), (fleets, extra) => {
        const total = fleets.length + extra;
        const shares = shareOut(total, fleets);
        const sum = fleets.reduce((a, b) => a + b, 0);
        expect(shares.reduce((a, b) => a + b, 0)).toBe(total);
        expect(Math.min(...shares)).toBeGreaterThanOrEqual(1);
        const quotas = fleets.map((count) => (BigInt(total) * BigInt(count)) / BigInt(sum));
        if (quotas.some((quota) => quota < 1n)) return;
        for (const [index, share] of shares.entries()) {
          expect(share - Number(quotas[index])).toBeOneOf([0, 1]);
        }
      }),
    );
  });

  it.each([
    [10, [1_000, 1], [9, 1]],
    [100, [3, 3, 3], [34, 33, 33]],
    [7, [50, 30, 20], [4, 2, 1]],
    [5_000, [400, 100], [4_000, 1_000]],
  ])('shares %j over %j', (total, fleets, shares) => {
    expect(shareOut(total, fleets)).toEqual(shares);
  });
});

describe('overrides', () => {
  it('apply in one order: ci, broker, duration, seed, set, devices', () => {
    const draft = new Draft({
      duration: '1h',
      broker: { url: 'mqtt://file', password: 'of the file' },
      fleets: [
        { name: 'a', count: '1k' },
        { name: 'b', count: 1 },
      ],
      ci: { duration: '1s', 'fleets.a.count': 2, 'fleets[1].count': 1 },
    });
    draft.override({
      devices: 30,
      set: ['fleets.b.count=4', 'broker.username=me', 'list=[1, {a: "b"}]', 'off=false', 'n=-1.5'],
      seed: '7',
      duration: '2s',
      broker: 'mqtt://flag',
      ci: true,
    });
    expect(draft.mistakes).toEqual([]);
    expect(draft.tree).toMatchObject({
      duration: '2s',
      seed: 7,
      // The file's password belongs to the file's broker.
      broker: { url: 'mqtt://flag', username: 'me' },
      fleets: [
        { name: 'a', count: 10 },
        { name: 'b', count: 20 },
      ],
      list: [1, { a: 'b' }],
      off: false,
      n: -1.5,
    });
    expect(draft.tree).not.toHaveProperty('broker.password');
    expect(draft.originOf(['fleets', 1, 'count'])?.origin).toEqual({
      kind: 'flag',
      flag: '--devices',
    });
  });

  it('takes text after = as it is, unless it begins as a list, a map or a quoted text', () => {
    const draft = new Draft({});
    draft.override({ set: ['a=x # y: z', 'b=mqtt://h:1', 'c="5"', 'd=', 'e=a=b', "f='it''s'"] });
    expect(draft.tree).toEqual({
      a: 'x # y: z',
      b: 'mqtt://h:1',
      c: '5',
      d: '',
      e: 'a=b',
      f: "it's",
    });
  });
});

describe('overrideFlags', () => {
  it('repeats what was given, seed aside, and masks what is secret', () => {
    expect(
      overrideFlags({
        ci: true,
        broker: 'mqtts://user:secret@host:8883',
        duration: '20s',
        seed: 1,
        // biome-ignore lint/suspicious/noTemplateCurlyInString: a reference, as it is typed.
        set: ['fleets[0].count=20', 'broker.password=hunter2', 'broker.password=${PW}'],
        devices: '5k',
      }),
    ).toEqual([
      '--ci',
      '--broker=mqtts://user:***@host:8883',
      '--duration=20s',
      '--set=fleets[0].count=20',
      '--set=broker.password=***',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: a reference, as it is typed.
      '--set=broker.password=${PW}',
      '--devices=5k',
    ]);
    expect(overrideFlags({ set: ['broker={url: "mqtt://h", password: hunter2}'] })).toEqual([
      '--set=broker=***',
    ]);
  });
});
