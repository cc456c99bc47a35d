// `npm run test:live`: whole runs of the simulator, on real brokers, with what can happen to them. They
// take minutes, so `npm test` leaves them out.

import { configDefaults, defineConfig } from 'vitest/config';
import base from './vitest.config.ts';

export default defineConfig({
  test: {
    ...base.test,
    include: ['*/test/**/*.live.test.ts'],
    exclude: configDefaults.exclude,
  },
});
