// What the server keeps to itself: the key of its download URLs, and hashes of the admin keys.

import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { refuseUrl, signedPath, type UrlMac, type UrlRefusal } from '../device-api/index.ts';
import type { Journal } from '../store/journal.ts';
import { hashToken } from './devices.ts';

const URL_KEY = 'url-key';
const ADMIN_KEY = 'admin-key:';
const KEY_SIZE = 32;
const HASH_SIZE = 32;

export class Secrets {
  private readonly journal: Journal;
  private readonly mac: UrlMac;
  /** SHA-256 of each admin key, by its name. */
  private readonly adminKeys = new Map<string, Uint8Array>();

  constructor(settings: ReadonlyMap<string, Uint8Array>, journal: Journal) {
    this.journal = journal;
    let urlKey = settings.get(URL_KEY);
    if (urlKey === undefined) {
      urlKey = randomBytes(KEY_SIZE);
      journal.pending.settings.set(URL_KEY, urlKey);
    }
    const key = urlKey;
    this.mac = (text) => createHmac('sha256', key).update(text).digest('base64url');
    for (const [name, value] of settings) {
      if (name.startsWith(ADMIN_KEY) && value.length === HASH_SIZE) {
        this.adminKeys.set(name.slice(ADMIN_KEY.length), value);
      }
    }
  }

  /** The path of a blob for one device, good for an hour. */
  signedPath(id: string, name: string, nowMs: number): string {
    return signedPath(this.mac, id, name, nowMs);
  }

  /** Undefined when the URL is one that we signed for this device, and still good. */
  refuseUrl(url: Parameters<typeof refuseUrl>[2], nowMs: number): UrlRefusal | undefined {
    return refuseUrl(this.mac, isSameText, url, nowMs);
  }

  /** Names of the admin keys. */
  get adminKeyNames(): readonly string[] {
    return [...this.adminKeys.keys()];
  }

  isAdminKey(key: string): boolean {
    const hashed = hashToken(key);
    // All of them, whichever fits: the time says nothing about which.
    let isKnown = false;
    for (const expected of this.adminKeys.values()) {
      if (timingSafeEqual(hashed, expected)) isKnown = true;
    }
    return isKnown;
  }

  /** Adds an admin key, in place of one with the same name; only its hash is kept. */
  async setAdminKey(name: string, key: string): Promise<void> {
    const hashed = hashToken(key);
    this.adminKeys.set(name, hashed);
    this.journal.pending.settings.set(ADMIN_KEY + name, hashed);
    await this.journal.flushed();
  }
}

/** A key that nobody guesses, as text: in hex, as one that begins with a dash would be taken for an option. */
export function randomKey(): string {
  return randomBytes(KEY_SIZE).toString('hex');
}

function isSameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
