import { expect, test } from 'vitest';
import { allMet, computeFigures, formatTable, median, type Sample } from '../../live/figures.ts';

/** Exactly at every limit. */
const OURS: Sample = {
  memoryBytes: 9 * 1024,
  qos1Us: 6,
  qos0Us: 6,
  connectUs: 40,
  heapBytes: 2048,
  wholeBytes: 9 * 1024,
};
const MQTTJS: Sample = { memoryBytes: 20 * 1024, qos1Us: 10, qos0Us: 10, connectUs: 100 };

function met(ours: Sample, mqttjs: Sample): boolean {
  return allMet(computeFigures({ ours: [ours], mqttjs: [mqttjs] }));
}

test('the median of none, one, an odd and an even number of values', () => {
  expect(median([])).toBeUndefined();
  expect(median([7])).toBe(7);
  expect(median([9, 1, 5])).toBe(5);
  expect(median([10, 1, 5, 9])).toBe(7);
});

test('figures at their limits are met', () => {
  expect(met(OURS, MQTTJS)).toBe(true);
});

test.each([
  ['memory above its limit', { memoryBytes: 9 * 1024 + 1 }, {}],
  ['memory above its share', {}, { memoryBytes: 20 * 1024 - 1 }],
  ['QoS 1', { qos1Us: 6.01 }, {}],
  ['QoS 0', { qos0Us: 6.01 }, {}],
  ['connect', { connectUs: 40.1 }, {}],
  ['heap', { heapBytes: 2049 }, {}],
  ['memory of a whole device', { wholeBytes: 9 * 1024 + 1 }, {}],
  ['a side that was not measured', {}, { qos1Us: undefined }],
  ['a figure that was not measured', { heapBytes: undefined }, {}],
])('not met: %s', (_, ours, mqttjs) => {
  expect(met({ ...OURS, ...ours } as Sample, { ...MQTTJS, ...mqttjs } as Sample)).toBe(false);
});

test('a figure is the ratio of medians over the runs', () => {
  const figures = computeFigures({
    ours: [{ qos1Us: 5 }, { heapBytes: 1 }, { qos1Us: 500 }, { qos1Us: 4 }],
    mqttjs: [{ qos1Us: 10 }, { qos1Us: 20 }, { qos1Us: 1 }],
  });
  const figure = figures.find(({ quantity }) => quantity === 'qos1Us');
  expect(figure).toMatchObject({ ours: 5, mqttjs: 10, ratio: 0.5, met: true });
});

test('the table names figure, values, ratio, limit and whether it is met', () => {
  const lines = formatTable(computeFigures({ ours: [OURS], mqttjs: [MQTTJS] })).split('\n');
  expect(lines[1]).toBe(
    'memory per device              9.00 KB  20.00 KB   0.45  ≤ 9 KB, ≤ 0.45 ×  yes',
  );
  expect(lines.find((line) => line.startsWith('V8 heap'))).toMatch(/2048 B +- +≤ 2,048 B +yes$/);
});
