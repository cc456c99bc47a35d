// Firmware in a scenario: what runs on the devices of a fleet, the releases that the timeline
// makes, how they are rolled out, and attacks on all of that. Times in ms, sizes in bytes.

/** How an image behaves on devices. Which devices a share hits follows from the seed. */
export interface Behaviour {
  /** Share of the devices on which it crashes as it starts. */
  readonly crashOnBoot: number;
  /** Crashes this long after each start, on `crashShare` of the devices; absent = never. */
  readonly crashAfterMs?: number;
  readonly crashShare: number;
  /** Share of the devices on which its own health check fails. */
  readonly failHealth: number;
  /** Hardware on which its own health check fails. */
  readonly failHardware?: string;
}

/** Attacks on updates, after Uptane; docs/ota-scenarios.md says what each does. */
export const ATTACK_KINDS = [
  'freeze',
  'rollback',
  'endless-data',
  'slow-retrieval',
  'mix-and-match',
  'arbitrary-software',
  'altered-image',
  'compromised-server',
  'wrong-device',
  'check-then-change',
  'url-abuse',
  'forged-reports',
] as const;

export type AttackKind = (typeof ATTACK_KINDS)[number];

/** These are on the server: the device itself is left alone. */
export const DIRECT_ATTACKS: readonly AttackKind[] = ['url-abuse', 'forged-reports'];

/** The attack that the device `index` of a fleet gets; the kinds take turns. */
export function attackOf({ attacks }: FleetFirmware, index: number): AttackKind | undefined {
  return attacks.length === 0 ? undefined : attacks[index % attacks.length];
}

/** An image: the simulation makes it, or the user did. */
export interface ImageForm {
  /** `major.minor.patch`. */
  readonly version: string;
  /** Of a simulated image as a whole. */
  readonly size: number;
  /** Absolute path of the user's own signed MCUboot image. */
  readonly file?: string;
  readonly behaviour: Behaviour;
}

/** The firmware of a fleet's devices, and how they take updates. */
export interface FleetFirmware extends ImageForm {
  /** Name of the device class that manifests are for. */
  readonly deviceClass: string;
  /** Name of the hardware, a label of the devices at the server. */
  readonly hardware: string;
  /** Absolute path of a PEM file: the public key of the user's own images. */
  readonly key?: string;
  /** From reset to a running program. */
  readonly bootMs: number;
  readonly pollMs: number;
  readonly trialMs: number;
  /** Where network or broker are all that fails, a trial lasts until then. */
  readonly trialOfflineMs: number;
  /** Mean bytes of a download between two losses of the link; 0 = it holds. */
  readonly linkDropSize: number;
  /** Mean flash operations between two power cuts; 0 = none. */
  readonly powerCutOperations: number;
  /** What the devices of the fleet are attacked with, in turn; none = nobody attacks. */
  readonly attacks: readonly AttackKind[];
}

/** A release is built, signed by the keys of the run, and uploaded. */
export interface ReleaseEvent extends ImageForm {
  readonly kind: 'release';
  readonly atMs: number;
  readonly deviceClass: string;
  /** Versions, of releases before or of fleets, that deltas are made from. */
  readonly from: readonly string[];
  /** A version whose payload is signed again, to go back to. */
  readonly rollbackTo?: string;
}

/** As the rollout engine's `WaveOptions`. */
export interface RolloutWave {
  /** Share of the devices in this wave and those before, 0-100; the last is 100. */
  readonly percent: number;
  readonly soakMs: number;
  readonly failureRatioMax: number;
  readonly successRatioMin: number;
  readonly sampleMin: number;
  readonly spreadMs: number;
}

/** A release goes out in waves. */
export interface RolloutEvent {
  readonly kind: 'rollout';
  readonly atMs: number;
  /** The version. */
  readonly release: string;
  readonly waves: readonly RolloutWave[];
  readonly offerTimeoutMs: number;
  /** Offers to one device. */
  readonly attemptsMax: number;
  readonly onFailure: 'stop' | 'roll-back';
  readonly abnormalResetsMax: number;
  readonly silenceMsMax: number;
}
