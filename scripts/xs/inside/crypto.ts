// Stands in for node:crypto behind the platform of the tests.

import type { Crypto } from '../../../sdk/src/platform.ts';

export const nodeCrypto: Crypto = {
  sha256: () => {
    throw new Error('no SHA-256 here');
  },
  verify: () => false,
};
