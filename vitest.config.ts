import { configDefaults, defineConfig } from 'vitest/config';

/**
 * What takes this long hangs: bounds are for that alone. On two cores that a score of other
 * processes want too, the longest test takes a third of it.
 */
const HANG_MS = 900_000;

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts', '*/test/**/*.test.ts'],
    // Whole runs on real brokers, which take minutes: npm run test:live.
    exclude: [...configDefaults.exclude, '**/*.live.test.ts'],
    testTimeout: HANG_MS,
    hookTimeout: HANG_MS,
    teardownTimeout: HANG_MS,
    // Before the test around it ends, which could not tell what it waited for.
    expect: { poll: { interval: 10, timeout: HANG_MS / 2 } },
    // Vitest leaves one core free, which of two is half.
    maxWorkers: 2,
  },
});
