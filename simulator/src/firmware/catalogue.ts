// All images of a scenario: what the fleets begin with, what is released, and what is signed again
// to go back to. They follow from the scenario, so each thread makes its own.

import { readFileSync } from 'node:fs';
import { readImage } from '@flotilla/bootloader-sim/images/mcuboot';
import { nodeCrypto } from '@flotilla/bootloader-sim/node-crypto';
import { toHex } from '@flotilla/sdk/codec/bytes';
import type { Scenario } from '../scenario/schema.ts';
import type { Behaviour, ImageForm, ReleaseEvent } from '../scenario/update.ts';
import { createFirmwareImage, signAgain } from './images.ts';
import { createRunKey, type RunKey } from './keys.ts';

export interface CatalogueImage {
  readonly deviceClass: string;
  readonly version: string;
  readonly securityCounter: number;
  readonly bytes: Uint8Array;
  /** SHA-256 of the file: what manifests and deltas name it by. */
  readonly sha256: Uint8Array;
  /** What a boot decision names it by, hex. */
  readonly digest: string;
  readonly behaviour: Behaviour;
}

/** A release with what is uploaded beside it. */
export interface CatalogueRelease {
  readonly event: ReleaseEvent;
  readonly image: CatalogueImage;
  /** Grows from release to release. */
  readonly sequence: number;
  readonly rollback?: CatalogueImage;
}

/** What fleets begin with. */
export const SECURITY_COUNTER_START = 1;

export class Catalogue {
  readonly key: RunKey;
  readonly releases: readonly CatalogueRelease[];
  /** By fleet; undefined where it has no firmware. */
  readonly factory: readonly (CatalogueImage | undefined)[];
  private readonly byDigest = new Map<string, CatalogueImage>();
  private readonly images: CatalogueImage[] = [];
  private readonly seed: number;

  /** Throws where a file of the user's is no MCUboot image. */
  constructor({ fleets, seed, timeline }: Scenario) {
    this.seed = seed;
    this.key = createRunKey(seed, 'image');
    this.factory = fleets.map(({ firmware }) => {
      return firmware && this.add(firmware, firmware.deviceClass, SECURITY_COUNTER_START);
    });
    const events = timeline.filter((event) => event.kind === 'release');
    this.releases = events.map((event, index) => this.addRelease(event, index + 1));
  }

  /** By the digest of a boot decision, hex. */
  imageOf(digest: string): CatalogueImage | undefined {
    return this.byDigest.get(digest);
  }

  /** The first of this version; a rollback of it comes later. */
  find(deviceClass: string, version: string): CatalogueImage | undefined {
    const isIt = (image: CatalogueImage) =>
      image.deviceClass === deviceClass && image.version === version;
    return this.images.find(isIt);
  }

  private addRelease(event: ReleaseEvent, number: number): CatalogueRelease {
    const { deviceClass, rollbackTo } = event;
    const securityCounter = SECURITY_COUNTER_START + number;
    const image = this.add(event, deviceClass, securityCounter);
    // Beside each release there is room for its rollback.
    const release = { event, image, sequence: 2 * number };
    const old = rollbackTo === undefined ? undefined : this.find(deviceClass, rollbackTo);
    if (old === undefined) return release;
    const read = readImage(old.bytes);
    if (!read.ok) throw new Error(`firmware ${old.version}: ${read.reason}`);
    const bytes = signAgain(old.bytes, read.image, old.version, securityCounter, this.key);
    const rollback = this.keep(bytes, deviceClass, old.behaviour);
    return { ...release, rollback };
  }

  private add(form: ImageForm, deviceClass: string, securityCounter: number): CatalogueImage {
    const { behaviour, file, size, version } = form;
    if (file !== undefined) return this.keep(readFileSync(file), deviceClass, behaviour);
    // Fleets of one class may begin with the same.
    const known = this.find(deviceClass, version);
    if (known !== undefined && known.securityCounter === securityCounter) return known;
    const name = deviceClass;
    const options = { seed: this.seed, name, version, securityCounter, size, behaviour };
    return this.keep(createFirmwareImage(options, this.key), deviceClass, behaviour);
  }

  private keep(bytes: Uint8Array, deviceClass: string, behaviour: Behaviour): CatalogueImage {
    const read = readImage(bytes);
    if (!read.ok) throw new Error(`firmware of ${deviceClass}: ${read.reason}`);
    const { major, minor, revision } = read.image.version;
    const image: CatalogueImage = {
      deviceClass,
      version: `${major}.${minor}.${revision}`,
      securityCounter: read.image.securityCounter,
      bytes,
      sha256: nodeCrypto.sha256(bytes),
      digest: toHex(read.image.digest),
      behaviour,
    };
    this.images.push(image);
    this.byDigest.set(image.digest, image);
    return image;
  }
}
