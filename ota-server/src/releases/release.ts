// A release as the server holds it: a signed envelope, and what it says once its signature has been
// checked.

/** The image for one of the device's two slots. */
export interface ReleaseImage {
  /** 0 or 1. */
  readonly slot: number;
  /** SHA-256 of the image file. */
  readonly digest: Uint8Array;
  /** Bytes of the image file. */
  readonly size: number;
  /** Relative name, `<hex digest>.bin`. */
  readonly uri: string;
}

/** How the running version must stand to `version` (draft-ietf-suit-update-management §4.3). */
export interface VersionCondition {
  readonly comparison: 'greater' | 'greater-equal' | 'equal' | 'lesser-equal' | 'lesser';
  /** `major.minor.patch`. */
  readonly version: string;
}

export interface Release {
  /** The envelope as it goes to devices. */
  readonly envelope: Uint8Array;
  /** `major.minor.patch`. A rollback release has the version that it goes back to. */
  readonly version: string;
  /** Devices refuse a lower one than they hold. */
  readonly sequence: number;
  /** Of the image for slot 0; the same for both slots unless `images` differ. */
  readonly digest: Uint8Array;
  readonly size: number;
  /** For slot 0 and slot 1. */
  readonly images: readonly [ReleaseImage, ReleaseImage];
  /** UUIDs, 16 bytes each. */
  readonly vendorId: Uint8Array;
  readonly classId: Uint8Array;
  /** From this epoch second on devices refuse it; 0 = never. */
  readonly expiresS: number;
  /** Devices with another running version refuse it. */
  readonly requires: VersionCondition | undefined;
  /** In a release that `sign --rollback-to` made: the version that it takes back. */
  readonly rollbackFrom: string | undefined;
}

export type ReleaseResult =
  | { readonly ok: true; readonly release: Release }
  /** A code of `readManifest`, and a sentence for people. */
  | { readonly ok: false; readonly reason: string; readonly message: string };
