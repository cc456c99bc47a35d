import { expect, test } from 'vitest';
import { randomKey } from '../../src/control/secrets.ts';

test('a key can be typed as the value of an option, whichever it is', () => {
  const keys = Array.from({ length: 1000 }, randomKey);
  // Of base64url one in 64 begins with a dash.
  expect(keys.filter((key) => !/^[0-9a-f]{64}$/.test(key))).toEqual([]);
  expect(new Set(keys).size).toBe(keys.length);
});
