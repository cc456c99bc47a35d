// What an attacker between devices and server offers, by the kind of attack (after Uptane; the table
// is in docs/ota-scenarios.md). Where an attack needs a key that was stolen, it has that key.

import { type SignedRelease, type SignOptions, signRelease } from '@flotilla/ota-server/releases';
import type { Catalogue, CatalogueImage } from '../firmware/catalogue.ts';
import { createFirmwareImage } from '../firmware/images.ts';
import { createRunKey, idOf, VENDOR } from '../firmware/keys.ts';
import type { AttackKind, FleetFirmware } from '../scenario/update.ts';

/** How the attacker serves the image of an offer. */
export type Serving = 'whole' | 'altered' | 'endless' | 'slow';

export interface AttackOffer {
  readonly release: SignedRelease;
  readonly version: string;
  readonly serving: Serving;
  /** False for what is genuine: it only prepares the attack. */
  readonly isHostile: boolean;
}

const COSE_ED25519 = -19;
/** Beyond what the run's own releases have. */
const SEQUENCE = 1000;
const VERSION = '9.9.9';
/** A manifest from before all others. */
const OLD_SEQUENCE = 1;
const OLD_VERSION = '0.9.0';
const HOUR_S = 3600;

/** What is offered in turn: the next one when the device has taken the one before. */
export function attackOffers(
  kind: AttackKind,
  catalogue: Catalogue,
  seed: number,
  { behaviour, deviceClass, size }: FleetFirmware,
): AttackOffer[] {
  const imageKey = createRunKey(seed, 'image');
  const foreignKey = createRunKey(seed, 'foreign');
  const imageOf = (version: string, securityCounter: number, key = imageKey) =>
    createFirmwareImage(
      { seed, name: deviceClass, version, securityCounter, size, behaviour },
      key,
    );
  const sign = (
    images: Uint8Array,
    more: Partial<SignOptions> = {},
    purpose = createRunKey(seed, 'manifest'),
  ) =>
    signRelease(
      {
        vendorId: idOf(VENDOR),
        classId: idOf(deviceClass),
        sequence: SEQUENCE,
        version: VERSION,
        ...more,
        images: [images],
      },
      { ...purpose, algorithm: 'ed25519', coseAlgorithm: COSE_ED25519 },
    );
  const hostile = (release: SignedRelease, version = VERSION, serving: Serving = 'whole') => {
    return [{ release, version, serving, isHostile: true }];
  };
  const genuine = genuineImage(catalogue, deviceClass);
  const { bytes, version } = genuine;
  switch (kind) {
    case 'freeze': {
      const expiresS = Math.floor(Date.now() / 1000) - HOUR_S;
      return hostile(sign(bytes, { version, expiresS }), version);
    }
    case 'rollback': {
      const first = { release: sign(bytes, { version }), version, serving: 'whole' } as const;
      const old = sign(imageOf(OLD_VERSION, 1), { version: OLD_VERSION, sequence: OLD_SEQUENCE });
      return [{ ...first, isHostile: false }, ...hostile(old, OLD_VERSION)];
    }
    case 'endless-data':
      return hostile(sign(bytes, { version }), version, 'endless');
    case 'slow-retrieval':
      return hostile(sign(bytes, { version }), version, 'slow');
    case 'mix-and-match':
      return hostile(
        sign(bytes, { version, requires: { comparison: 'equal', version: '5.5.5' } }),
        version,
      );
    case 'arbitrary-software':
      return hostile(sign(imageOf(VERSION, 9, foreignKey), {}, foreignKey));
    case 'altered-image':
      return hostile(sign(bytes, { version }), version, 'altered');
    case 'compromised-server':
      // Even with the key of the manifests: that of the images is elsewhere.
      return hostile(sign(imageOf(VERSION, 9, foreignKey)));
    case 'wrong-device':
      return hostile(sign(bytes, { version, classId: idOf('another class') }), version);
    case 'check-then-change':
      return hostile(sign(bytes, { version }), version);
    case 'url-abuse':
    case 'forged-reports':
      // These go to the server, not to the device.
      return [];
  }
}

/** A release of the run, which devices may have; else what they began with. */
function genuineImage({ factory, releases }: Catalogue, deviceClass: string): CatalogueImage {
  const release = releases.find(({ image }) => image.deviceClass === deviceClass);
  return release?.image ?? factory.find((image) => image?.deviceClass === deviceClass)!;
}
