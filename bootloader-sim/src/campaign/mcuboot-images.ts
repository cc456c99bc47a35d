// The images of a campaign in MCUboot's format, good and hostile.

import type { BootCrypto } from '../crypto.ts';
import { mix } from '../flash/mix.ts';
import { parseVersion } from '../images/mcuboot.ts';
import { createImage } from '../images/mcuboot-write.ts';
import type { Hostile } from './flows.ts';
import type { ImageFactory } from './world.ts';

/** A key pair, raw. */
export interface CampaignKey {
  readonly publicKey: Uint8Array;
  sign(message: Uint8Array): Uint8Array;
}

/** Where the unprotected TLVs of these images have their values, from the end of the region. */
const DIGEST_AT = 8;
const SIGNATURE_AT = 4 + 36 + 36 + 4;
const UNPROTECTED_SIZE = 4 + 36 + 36 + 68;
const HOSTILE_SIZE = 16 * 4096;
const FLAGS_AT = 16;
const FLAG_ENCRYPTED_AES128 = 4;
const TLV_SEC_CNT = 0x50;

export class McubootImages implements ImageFactory {
  private readonly crypto: BootCrypto;
  private readonly key: CampaignKey;
  private readonly otherKey: CampaignKey;
  private readonly seed: number;

  /** `otherKey` is trusted by nobody. */
  constructor(crypto: BootCrypto, key: CampaignKey, otherKey: CampaignKey, seed: number) {
    this.crypto = crypto;
    this.key = key;
    this.otherKey = otherKey;
    this.seed = seed;
  }

  good(version: string, securityVersion: number, size: number): Uint8Array {
    return this.create(version, securityVersion, size, this.key);
  }

  hostile(kind: Hostile): Uint8Array {
    const image = this.good('2.0.0', 1, HOSTILE_SIZE);
    const regionEnd = image.length - UNPROTECTED_SIZE;
    switch (kind) {
      case 'wrong-key':
        return this.create('2.0.0', 1, HOSTILE_SIZE, this.otherKey);
      case 'payload-flipped':
        image[1000]! ^= 1;
        return image;
      case 'downgraded':
        return this.good('2.0.0', 0, HOSTILE_SIZE);
      case 'truncated':
        return image.slice(0, 40_960);
      case 'wrong-digest':
        image[regionEnd + DIGEST_AT]! ^= 1;
        return image;
      case 'counter-unprotected':
        return withUnprotectedCounter(this.good('2.0.0', 0, HOSTILE_SIZE - 8));
      case 'encrypted':
        image[FLAGS_AT]! |= FLAG_ENCRYPTED_AES128;
        return this.signAgain(image, regionEnd);
      case 'garbage':
        return image.map((_, index) => mix(this.seed, index));
    }
  }

  private create(version: string, security: number, size: number, key: CampaignKey): Uint8Array {
    const parsed = parseVersion(version)!;
    const make = (payloadSize: number) => {
      const salt = this.seed + security * 1000 + parsed.major * 100 + parsed.minor;
      const payload = Uint8Array.from({ length: payloadSize }, (_, at) => mix(salt, at));
      const options = { payload, version: parsed, securityCounter: security } as const;
      const sign = (message: Uint8Array) => key.sign(message);
      return createImage({ ...options, digest: 'sha256' }, key.publicKey, this.crypto, sign);
    };
    const overhead = make(1).length - 1;
    return make(size - overhead);
  }

  private signAgain(image: Uint8Array, regionEnd: number): Uint8Array {
    const digest = this.crypto.sha256(image.subarray(0, regionEnd));
    image.set(digest, regionEnd + DIGEST_AT);
    image.set(this.key.sign(digest), regionEnd + SIGNATURE_AT);
    return image;
  }
}

/** Adds a security counter where no signature covers it; it must not be believed. */
function withUnprotectedCounter(image: Uint8Array): Uint8Array {
  const infoAt = image.length - UNPROTECTED_SIZE;
  const longer = new Uint8Array(image.length + 8);
  longer.set(image);
  const view = new DataView(longer.buffer);
  view.setUint16(infoAt + 2, UNPROTECTED_SIZE + 8, true);
  view.setUint16(image.length, TLV_SEC_CNT, true);
  view.setUint16(image.length + 2, 4, true);
  view.setUint32(image.length + 4, 9, true);
  return longer;
}
