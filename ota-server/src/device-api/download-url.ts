// Signed download URLs: `/v1/devices/{id}/blobs/{name}?expires=<epoch s>&signature=<base64url>`.
// The signature is HMAC-SHA256 over "{id}\n{name}\n{expires}", so a URL is good for one device,
// one blob, and until it expires. The hash is passed in: this is the same in virtual time.

/** How long a URL is good for. A cut download asks for a new one by another check. */
export const URL_LIFETIME_S = 3600;

/** HMAC-SHA256 under the server's secret, as base64url without padding (43 characters). */
export type UrlMac = (text: string) => string;

/** Why a URL is refused. */
export type UrlRefusal = 'malformed' | 'wrong-signature' | 'expired';

/** Device ids in paths: unreserved characters (RFC 3986 §2.3) and the colon of MAC addresses, but no dot segment. */
export const DEVICE_ID = /^(?!\.{1,2}$)[A-Za-z0-9._~:-]{1,128}$/;
/** Blobs are named by their SHA-256 and kind. */
export const BLOB_NAME = /^[0-9a-f]{64}\.(bin|delta)$/;

const EXPIRES = /^[1-9][0-9]{0,11}$/;
const SIGNATURE = /^[A-Za-z0-9_-]{43}$/;

/** The path and query of a URL for `name`, for the device `id` alone. */
export function signedPath(mac: UrlMac, id: string, name: string, nowMs: number): string {
  // Whole minutes: a device that asks twice in one gets the same URL.
  const expires = Math.floor(nowMs / 60_000) * 60 + URL_LIFETIME_S;
  const signature = mac(signedText(id, name, String(expires)));
  return `/v1/devices/${id}/blobs/${name}?expires=${expires}&signature=${signature}`;
}

/** Undefined when the URL is good now; `equal` compares in constant time. */
export function refuseUrl(
  mac: UrlMac,
  equal: (a: string, b: string) => boolean,
  url: {
    readonly id: string;
    readonly name: string;
    readonly expires: string;
    readonly signature: string;
  },
  nowMs: number,
): UrlRefusal | undefined {
  // Text of one form only, so that what was signed is what is compared: no newline, no leading 0.
  if (!EXPIRES.test(url.expires) || !SIGNATURE.test(url.signature)) return 'malformed';
  const expected = mac(signedText(url.id, url.name, url.expires));
  if (!equal(expected, url.signature)) return 'wrong-signature';
  return Number(url.expires) * 1000 <= nowMs ? 'expired' : undefined;
}

function signedText(id: string, name: string, expires: string): string {
  return `${id}\n${name}\n${expires}`;
}
