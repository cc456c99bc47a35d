// Which devices would take a release: the server has to read versions as the device does.

import { nodeCrypto } from '@flotilla/sdk/node';
import { ManifestFields, readManifest } from '@flotilla/sdk/ota/manifest';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Devices } from '../../src/control/devices.ts';
import type { StoredRelease } from '../../src/control/releases.ts';
import { mayOffer } from '../../src/control/targeting.ts';
import { readRelease } from '../../src/releases/index.ts';
import { trustedKey } from '../../src/releases/keys.ts';
import { COMPARISONS } from '../../src/releases/version.ts';
import { CLASS, imageOf, release, releaseKey, VENDOR } from '../server/harness.ts';

test('a running version fulfils a condition for the server as it does for the device', () => {
  const devices = new Devices();
  devices.register([{ id: 'd' }]);
  const device = devices.find('d')!;
  const keys = [trustedKey(releaseKey)];
  const cases = COMPARISONS.map((comparison) => {
    const requires = { comparison, version: '1.2.3' };
    return release('9.0.0', 9, imageOf(100, 3), { requires }).envelope;
  }).map((envelope) => {
    const read = readRelease(envelope, keys);
    if (!read.ok) throw new Error(read.message);
    return { envelope, stored: { signed: read.release, ready: true } as StoredRelease };
  });
  const suffix = fc.constantFrom('', '+build.7', '-rc1', '.4', 'x');
  const part = fc.constantFrom('0', '1', '2', '3', '02', '4', '999999999', '1234567890', '');
  const versions = fc.oneof(
    fc.tuple(part, part, part, suffix).map(([a, b, c, end]) => `${a}.${b}.${c}${end}`),
    fc.constantFrom('', 'unknown', '1', '1.2', 'v1.2.3', '1.2.3'),
  );
  fc.assert(
    fc.property(versions, fc.nat(cases.length - 1), (version, index) => {
      const { envelope, stored } = cases[index]!;
      const target = {
        vendorId: VENDOR,
        classId: CLASS,
        slot: 0,
        slotSize: 1000,
        sequence: 1,
        version,
        timeS: 0,
      };
      const code = readManifest(
        envelope,
        0,
        envelope.length,
        keys,
        target,
        nodeCrypto,
        new ManifestFields(),
      );
      const digest = new Uint8Array(32);
      const check = { version, digest, sequence: 1, uptimeS: 1, abnormalResets: 0 };
      expect(mayOffer(stored, device, check)).toBe(code === undefined);
    }),
    { numRuns: 400 },
  );
});
