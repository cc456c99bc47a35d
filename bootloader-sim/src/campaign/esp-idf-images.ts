// The images of a campaign in ESP-IDF's format. Without secure boot a stock image is protected by
// its checksum and hash only, so there are fewer ways to be hostile.

import type { BootCrypto } from '../crypto.ts';
import { mix } from '../flash/mix.ts';
import { createEspImage } from '../images/esp-idf.ts';
import type { Hostile } from './flows.ts';
import type { ImageFactory } from './world.ts';

const HOSTILE_SIZE = 16 * 4096;
const LOAD_ADDRESS = 0x3f400020;

export class EspIdfImages implements ImageFactory {
  private readonly crypto: BootCrypto;
  private readonly seed: number;

  constructor(crypto: BootCrypto, seed: number) {
    this.crypto = crypto;
    this.seed = seed;
  }

  good(version: string, secureVersion: number, size: number): Uint8Array {
    const make = (dataSize: number) => {
      const salt = this.seed + secureVersion * 1000 + version.charCodeAt(0);
      const data = Uint8Array.from({ length: dataSize }, (_, at) => mix(salt, at));
      const segments = [{ loadAddress: LOAD_ADDRESS, data }];
      return createEspImage({ ...DESCRIPTION, version, secureVersion, segments }, this.crypto);
    };
    // The checksum pads to 16 bytes, so the size is met in steps of that.
    const overhead = make(16).length - 16;
    return make(size - overhead);
  }

  hostile(kind: Hostile): Uint8Array | undefined {
    const image = this.good('2.0.0', 1, HOSTILE_SIZE);
    switch (kind) {
      case 'payload-flipped':
        image[1000]! ^= 1;
        return image;
      case 'downgraded':
        return this.good('2.0.0', 0, HOSTILE_SIZE);
      case 'truncated':
        return image.slice(0, 40_960);
      case 'wrong-digest':
        image[image.length - 1]! ^= 1;
        return image;
      case 'garbage':
        return image.map((_, index) => mix(this.seed, index));
      default:
        return undefined;
    }
  }
}

const DESCRIPTION = {
  entryAddress: 0x40080000,
  chipId: 0,
  minChipRevision: 0,
  maxChipRevision: 399,
  projectName: 'campaign',
  time: '00:00:00',
  date: 'Jan  1 2026',
  idfVersion: 'v5.4',
  elfDigest: new Uint8Array(32),
} as const;
