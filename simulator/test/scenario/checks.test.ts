import { describe, expect, it } from 'vitest';
import { GOOD, mistakes, TWO } from './scenario-file.ts';

describe('ids', () => {
  const withIds = (a: string, b: string) => {
    const [head, tail] = TWO.split('  - name: b\n');
    return `${head!.replace('count', `id: "${a}"\n    count`)}  - name: b\n    id: "${b}"\n${tail}`;
  };

  it.each([
    ['{run}-{index}', '{run}-{index}'],
    ['{run}-{index}', '{run}-1{index}'],
    ['d{index}', 'd{index}0'],
    ['d{index}0', 'd9{index}'],
    ['a{index}', '{fleet}{index}'.replace('{fleet}', 'a')],
  ])('%s and %s can meet', (a, b) => {
    expect(mistakes(withIds(a, b))).toEqual([
      'f:9:9: fleets[1].id: can give the same ids as fleet "a": put {fleet} into it',
    ]);
  });

  it.each([
    ['{run}-{fleet}-{index}', '{run}-{fleet}-{index}'],
    ['d{index}', 'd-{index}'],
    ['d{index}a', 'd{index}b'],
    ['{run}{index}', '{index}'],
    ['d{index}-1', 'd{index}-2'],
  ])('%s and %s cannot', (a, b) => {
    expect(mistakes(withIds(a, b))).toEqual([]);
  });

  it('fit 64 characters with the largest index and the longest run id', () => {
    // 10 of the run, 2 of index 29, 52 of the pattern's own.
    expect(mistakes(withIds('a{index}', `{run}{index}${'x'.repeat(52)}`))).toEqual([]);
    expect(
      mistakes(withIds('a{index}', `{run}{index}${'x'.repeat(52)}`), { devices: 200 }),
    ).toEqual(['f:9:9: fleets[1].id: gives ids of 65 characters, at most 64 are allowed']);
  });
});

describe('limits', () => {
  it('bounds the devices of all fleets together', () => {
    expect(mistakes(TWO, { devices: '10M' })).toEqual([]);
    const third = GOOD.slice(GOOD.indexOf('  - '), GOOD.indexOf('duration'));
    const three = TWO.replace('duration', `${third.replace('name: a', 'name: c')}duration`);
    const set = ['fleets.a.count=6M', 'fleets.b.count=6M'];
    expect(mistakes(three, { set })).toEqual([
      '--set: fleets[1].count: all fleets together have 12000000 devices, at most 10000000 can run',
    ]);
  });
});
