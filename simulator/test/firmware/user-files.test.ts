import { expect, test } from 'vitest';
import { imageMistake, keyMistake } from '../../src/firmware/user-files.ts';

test('a file without an end is read no further than it may be large', () => {
  expect(imageMistake('/dev/zero', '1.0.0')).toBe('is larger than 64 MB');
  expect(keyMistake('/dev/zero')).toBe('is no Ed25519 public key in PEM');
});
