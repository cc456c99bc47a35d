// One-time programmable bits: which keys are trusted, the rollback counter, secure boot. A fuse
// burns from 0 to 1 and never back; a burn that power cuts short leaves a subset.

import { PowerLoss } from '@flotilla/sdk/platform';
import { mix } from './flash/mix.ts';

/** Keys that a chip can hold digests of (ESP32-C3: three, and as many revocation bits). */
export const KEY_COUNT_MAX = 3;

/**
 * How a burn was cut short. The burn throws PowerLoss; cutting the power of the flash of the same
 * board is up to whoever set the hook.
 */
export interface FuseFault {
  readonly kind: 'cut-before' | 'cut-after' | 'torn';
  /** Chooses the subset of a torn burn. */
  readonly seed: number;
}

export type FuseHook = (operation: { readonly bits: number }) => FuseFault | undefined;

/** Plain content, as `.fuses.json` holds it. Digests are lower-case hex of SHA-256. */
export interface FuseState {
  readonly secureBoot: boolean;
  /** SHA-256 of the public keys (44-byte SubjectPublicKeyInfo) that sign application images. */
  readonly keyDigests: readonly string[];
  /** Bit i revokes key i. */
  readonly revokedKeys: number;
  /** SHA-256 of stage 2, which the ROM checks. */
  readonly stage2Digest: string;
  /** One bit per security version. */
  readonly rollbackBits: number;
  /** Bits of the counter: 32 on ESP32, 16 on most others. */
  readonly rollbackBitCount: number;
}

export class Fuses {
  hook: FuseHook | undefined = undefined;
  private state: FuseState;

  constructor(state: FuseState) {
    this.state = state;
  }

  get secureBoot(): boolean {
    return this.state.secureBoot;
  }

  get stage2Digest(): string {
    return this.state.stage2Digest;
  }

  /** The lowest security version that may run: the number of burnt bits. */
  get rollbackCounter(): number {
    let count = 0;
    for (let bits = this.state.rollbackBits >>> 0; bits !== 0; bits &= bits - 1) count += 1;
    return count;
  }

  get rollbackCounterMax(): number {
    return this.state.rollbackBitCount;
  }

  /** True when this key is trusted and not revoked; without secure boot every key is. */
  trusts(keyDigest: string): boolean {
    if (!this.state.secureBoot) return true;
    const index = this.state.keyDigests.indexOf(keyDigest);
    return index >= 0 && ((this.state.revokedKeys >> index) & 1) === 0;
  }

  /** Revokes key `index` for good. Throws a RangeError where the chip holds no such key. */
  revoke(index: number): void {
    if (this.state.keyDigests[index] === undefined) {
      throw new RangeError(`key ${index}: this chip holds ${this.state.keyDigests.length}`);
    }
    if ((this.state.revokedKeys >> index) & 1) return;
    this.burn(1 << index, (bits) => {
      this.state = { ...this.state, revokedKeys: this.state.revokedKeys | bits };
    });
  }

  /**
   * Raises the rollback counter to `version`; lower values do nothing. Throws a RangeError past
   * the counter's bits.
   */
  raiseCounter(version: number): void {
    if (version <= this.rollbackCounter) return;
    if (!(Number.isInteger(version) && version <= this.state.rollbackBitCount)) {
      throw new RangeError(`security version ${version}: at most ${this.state.rollbackBitCount}`);
    }
    // Unary: as many of the free bits as are missing, lowest first, whatever a torn burn left.
    let missing = version - this.rollbackCounter;
    let bits = 0;
    for (let bit = 0; missing > 0; bit += 1) {
      if ((this.state.rollbackBits >>> bit) & 1) continue;
      bits |= 1 << bit;
      missing -= 1;
    }
    this.burn(bits, (burnt) => {
      this.state = { ...this.state, rollbackBits: (this.state.rollbackBits | burnt) >>> 0 };
    });
  }

  toState(): FuseState {
    return this.state;
  }

  clone(): Fuses {
    return new Fuses(this.state);
  }

  private burn(bits: number, apply: (bits: number) => void): void {
    const fault = this.hook?.({ bits });
    if (fault?.kind === 'cut-before') throw new PowerLoss();
    if (fault?.kind === 'torn') {
      let burnt = 0;
      for (let bit = 0; bit < 32; bit += 1) {
        if ((bits >>> bit) & 1 && mix(fault.seed, bit) & 1) burnt |= 1 << bit;
      }
      apply(burnt);
      throw new PowerLoss();
    }
    apply(bits);
    if (fault !== undefined) throw new PowerLoss();
  }
}
