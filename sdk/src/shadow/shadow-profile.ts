// What the shadows of all devices of a kind have in common: handlers, policy, codec, limits.

import { utf8Size } from '../codec/text.ts';
import { SETTINGS_KEY_LENGTH_MAX } from '../platform.ts';
import { cborCodec, type ShadowCodec } from './shadow-codec.ts';
import type { ShadowValue } from './shadow-value.ts';

/** Keys of a device, those with handlers and others. */
export const KEY_COUNT_MAX = 16;
/** Longest key in bytes, as AWS has it. */
export const KEY_SIZE_MAX = 128;
/** Largest document, in or out, unless the profile says otherwise; metadata counts too. */
export const DOCUMENT_SIZE_MAX = 1024;

/**
 * Puts a desired value into force. Returns the value that is in force now, which is reported;
 * undefined = the desired value as it came. To throw says that it was not applied: that is
 * counted, and the value before stays reported, so that the cloud goes on seeing a delta.
 */
export type ShadowHandler<Owner> = (value: ShadowValue, owner: Owner) => ShadowValue | undefined;

/** Makes one value of two that were set without knowledge of each other. */
export type ShadowMerge<Owner> = (
  key: string,
  deviceValue: ShadowValue,
  cloudValue: ShadowValue,
  owner: Owner,
) => ShadowValue;

/**
 * Who wins where device and cloud changed the same key without knowledge of each other. An edit
 * that met no other stands under every policy. 'last-writer-wins' compares the device's time of
 * the edit with the cloud's metadata, in seconds: a tie, and an edit at an unknown time, go to
 * the cloud.
 */
export type ShadowPolicy<Owner> =
  | 'cloud-wins'
  | 'device-wins'
  | 'last-writer-wins'
  | ShadowMerge<Owner>;

export interface ShadowOptions<Owner> {
  /** By key of `desired`; keys without a handler are only reported. */
  readonly handlers: { readonly [key: string]: ShadowHandler<Owner> };
  /** Default 'cloud-wins'. */
  readonly policy?: ShadowPolicy<Owner>;
  /** Default CBOR; `jsonCodec` for AWS. */
  readonly codec?: ShadowCodec;
  /**
   * Bytes of the largest document, at least 512, default 1,024. The whole shadow has to fit it,
   * its metadata too, which takes some 20 bytes a value in CBOR and 40 in JSON.
   */
  readonly documentSizeMax?: number;
  /** Where edits are kept that the cloud has not taken; default 'shadow'. */
  readonly settingsKey?: string;
}

export class ShadowProfile<Owner> {
  readonly handlers: { readonly [key: string]: ShadowHandler<Owner> };
  /** Keys with handlers. */
  readonly keys: readonly string[];
  readonly policy: ShadowPolicy<Owner>;
  readonly codec: ShadowCodec;
  readonly documentSizeMax: number;
  readonly settingsKey: string;

  /** Throws a RangeError that names the option for values out of range. */
  constructor(options: ShadowOptions<Owner>) {
    this.handlers = options.handlers;
    this.keys = Object.keys(options.handlers);
    this.policy = options.policy === undefined ? 'cloud-wins' : options.policy;
    this.codec = options.codec === undefined ? cborCodec : options.codec;
    this.documentSizeMax =
      options.documentSizeMax === undefined ? DOCUMENT_SIZE_MAX : options.documentSizeMax;
    this.settingsKey = options.settingsKey === undefined ? 'shadow' : options.settingsKey;
    if (this.keys.length > KEY_COUNT_MAX) {
      throw new RangeError(`shadow.handlers: expected at most ${KEY_COUNT_MAX}`);
    }
    for (let index = 0; index < this.keys.length; index += 1) {
      const key = this.keys[index] as string;
      if (!isKey(key)) throw new RangeError(`shadow.handlers: '${key}' is no key`);
    }
    if (!(this.documentSizeMax >= 512)) {
      throw new RangeError('shadow.documentSizeMax: expected at least 512 bytes');
    }
    const length = this.settingsKey.length;
    if (length < 1 || length > SETTINGS_KEY_LENGTH_MAX) {
      throw new RangeError(`shadow.settingsKey: expected 1-${SETTINGS_KEY_LENGTH_MAX} characters`);
    }
  }

  /** Bytes of all values together: the document holds most of them twice, and metadata. */
  get stateSizeMax(): number {
    return this.documentSizeMax >> 1;
  }

  /** Bytes of an update: its answer holds it and metadata. */
  get updateSizeMax(): number {
    return this.documentSizeMax >> 1;
  }

  /** Bytes of one value: twice that, in reported and desired, fits an update. */
  get valueSizeMax(): number {
    return Math.floor(this.documentSizeMax / 6);
  }

  handlerOf(key: string): ShadowHandler<Owner> | undefined {
    return Object.prototype.hasOwnProperty.call(this.handlers, key)
      ? this.handlers[key]
      : undefined;
  }
}

export function isKey(key: string): boolean {
  return key !== '' && key !== '__proto__' && utf8Size(key) <= KEY_SIZE_MAX;
}
