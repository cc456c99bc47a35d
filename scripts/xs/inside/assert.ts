// node:assert as far as the tests use it.

import { expect } from './vitest.ts';

export function deepStrictEqual(actual: unknown, expected: unknown): void {
  (expect(actual).toEqual as (expected: unknown) => void)(expected);
}
