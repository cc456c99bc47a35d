import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts', '*/test/**/*.test.ts'],
    testTimeout: 30_000,
    // Vitest leaves one core free, which of two is half.
    maxWorkers: 2,
  },
});
