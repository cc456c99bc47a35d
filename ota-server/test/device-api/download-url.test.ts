import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { refuseUrl, signedPath, URL_LIFETIME_S } from '../../src/device-api/index.ts';

const mac = (text: string) => createHmac('sha256', 'secret').update(text).digest('base64url');
const equal = (a: string, b: string) => a === b;
const NAME = `${'ab'.repeat(32)}.bin`;
const NOW_MS = 1_767_225_612_345;

function parts(path: string) {
  const url = new URL(path, 'http://x');
  const [, , , id, , name] = url.pathname.split('/');
  const [expires, signature] = ['expires', 'signature'].map((key) => url.searchParams.get(key)!);
  return { id: decodeURIComponent(id!), name: name!, expires: expires!, signature: signature! };
}

test('a URL is good for an hour at most, and as the contract says what it signs', () => {
  const url = parts(signedPath(mac, 'd:1', NAME, NOW_MS));
  expect(url.signature).toBe(mac(`d:1\n${NAME}\n${url.expires}`));
  const expiresMs = Number(url.expires) * 1000;
  expect(expiresMs - NOW_MS).toBeLessThanOrEqual(URL_LIFETIME_S * 1000);
  expect(expiresMs - NOW_MS).toBeGreaterThan((URL_LIFETIME_S - 61) * 1000);
  expect(refuseUrl(mac, equal, url, expiresMs - 1)).toBeUndefined();
  expect(refuseUrl(mac, equal, url, expiresMs)).toBe('expired');
});

test('a URL with any part altered is refused', () => {
  const good = parts(signedPath(mac, 'd1', NAME, NOW_MS));
  expect(refuseUrl(mac, equal, good, NOW_MS)).toBeUndefined();
  const fields = ['id', 'name', 'expires', 'signature'] as const;
  fc.assert(
    fc.property(fc.constantFrom(...fields), fc.string(), fc.nat(), (field, text, at) => {
      const value = good[field];
      const place = at % (value.length + 1);
      const changed = value.slice(0, place) + text + value.slice(place + 1);
      fc.pre(changed !== value);
      expect(refuseUrl(mac, equal, { ...good, [field]: changed }, NOW_MS)).toBeDefined();
    }),
  );
  // A newline moved from one part to the next would sign the same text.
  const moved = { ...good, id: 'd1\nx', name: NAME };
  expect(refuseUrl(mac, equal, moved, NOW_MS)).toBe('wrong-signature');
  expect(refuseUrl(mac, equal, { ...good, expires: `0${good.expires}` }, NOW_MS)).toBe('malformed');
});
