import { expect, test } from 'vitest';
import { answerCheck, type OfferedRelease } from '../../src/device-api/index.ts';

const digest = (byte: number) => new Uint8Array(32).fill(byte);
const request = { version: '1.0.0', digest: digest(1), sequence: 1, uptimeS: 1, abnormalResets: 0 };
const release: OfferedRelease = {
  version: '2.0.0',
  envelope: Uint8Array.of(1, 2),
  images: [{ name: 'image.bin', size: 1000 }],
  deltas: [
    { name: 'other.delta', size: 10, base: digest(2) },
    { name: 'large.delta', size: 1000, base: digest(1) },
    { name: 'b.delta', size: 300, base: digest(1) },
    { name: 'a.delta', size: 200, base: digest(1) },
  ],
};

test('without an offer the answer is the time and when to ask again', () => {
  const url = () => expect.fail('nothing to sign');
  expect(answerCheck(request, { nowMs: 5, pollS: 6, url })).toEqual({ nowMs: 5, pollS: 6 });
});

test('an offer has the deltas from what runs that save something, and the image last', () => {
  const offer = { rollout: 'r', attempt: 2, release };
  const { update } = answerCheck(request, { nowMs: 5, pollS: 6, offer, url: (name) => `/${name}` });
  expect(update).toEqual({
    rollout: 'r',
    attempt: 2,
    version: '2.0.0',
    envelope: release.envelope,
    sources: [
      { url: '/a.delta', size: 200, base: digest(1) },
      { url: '/b.delta', size: 300, base: digest(1) },
      { url: '/image.bin', size: 1000 },
    ],
  });
});
