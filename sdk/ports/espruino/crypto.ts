// Digests over Espruino's native SHA-256. It has no native check of a signature, and one in
// JavaScript takes minutes, so there is none: `verify` says false to everything.

import type { Crypto, Sha256 } from '../../src/platform.ts';
import type { EngineModules, EngineTools } from './engine.ts';

declare const E: EngineTools;
declare const global: EngineModules;

/** Bytes that one digest may be of: the engine digests a whole message only, out of RAM. */
export const DIGEST_SIZE_MAX = 4096;

class EspruinoSha256 implements Sha256 {
  private message = '';

  update(bytes: Uint8Array, start: number, end: number): void {
    if (this.message.length + end - start > DIGEST_SIZE_MAX) {
      throw new RangeError(`sha256: expected at most ${DIGEST_SIZE_MAX} bytes`);
    }
    const part = E.toString(bytes.subarray(start, end));
    if (part === undefined) throw new Error('sha256: out of memory');
    this.message += part;
  }

  digest(into: Uint8Array): void {
    into.set(new Uint8Array(global.require('crypto').SHA256(this.message)), 0);
  }
}

export class EspruinoCrypto implements Crypto {
  sha256(): Sha256 {
    return new EspruinoSha256();
  }

  /** False for every signature, also a right one: this engine can check none. */
  verify(): boolean {
    return false;
  }
}
