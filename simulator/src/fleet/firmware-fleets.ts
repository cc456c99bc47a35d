// The devices with firmware of one thread: their machines, what their images do to them, and what
// is measured of that.

import { type BootDecision, KEY_COUNT_MAX } from '@flotilla/bootloader-sim';
import type { Device } from '@flotilla/sdk';
import { isSameBytes, toHex } from '@flotilla/sdk/codec/bytes';
import { UpdateProfile } from '@flotilla/sdk/ota/update-profile';
import { Catalogue, type CatalogueImage } from '../firmware/catalogue.ts';
import { hashOf } from '../firmware/images.ts';
import { createRunKey, deviceToken, idOf, readPublicKey, VENDOR } from '../firmware/keys.ts';
import { MachineKind, MachineParts, SimulatedMachine } from '../firmware/machine.ts';
import type { Registry } from '../metrics/registry.ts';
import type { Scenario } from '../scenario/schema.ts';
import {
  type AttackKind,
  attackOf,
  DIRECT_ATTACKS,
  type FleetFirmware,
} from '../scenario/update.ts';
import { DevicePlaces } from './device-places.ts';
import { FirmwarePlatform } from './firmware-platform.ts';
import type { HttpLinkOwner } from './http-link.ts';
import type { Place, ProgramWorld } from './program-platform.ts';
import { BEHAVIOUR_STREAM, DOWNLOAD_STREAM, randomUnit } from './random.ts';

/** The update client's own bound. */
const RETRY_MS_MIN = 1000;
/** A slot has room beyond the largest image: the bootloader's trailer, and hostile ones. */
const SLOT_RESERVE = 4096;

/** From a confirmation to the power cut of the attack `rollback`. */
const ROLLBACK_CUT_MS = 300;
/** Where an attacker flips a bit, bytes from the start of the slot: in the payload. */
const TAMPERED_AT = 2000;

/** What a thread is told of firmware. */
export interface FirmwareTask {
  readonly scenario: Scenario;
  /** Base URLs of the OTA server, and of the attacker before it. */
  readonly ota?: { readonly server: string; readonly attacker?: string | undefined } | undefined;
}

export class FirmwareFleets {
  readonly catalogue: Catalogue;
  private readonly scenario: Scenario;
  private readonly ota: FirmwareTask['ota'];
  private readonly places: DevicePlaces;
  private readonly world: ProgramWorld;
  private readonly registry: Registry;
  /** By fleet; undefined where it has no firmware. */
  private readonly kinds: readonly (MachineKind | undefined)[];

  constructor({ ota, scenario }: FirmwareTask, registry: Registry, world: ProgramWorld) {
    this.scenario = scenario;
    this.ota = ota;
    this.places = new DevicePlaces(scenario.fleets);
    this.world = world;
    this.registry = registry;
    this.catalogue = new Catalogue(scenario);
    const parts = new MachineParts();
    this.kinds = scenario.fleets.map(({ firmware }, fleet) => {
      return firmware && this.createKind(parts, firmware, this.catalogue.factory[fleet]!);
    });
  }

  /** The platform of a device; undefined where its fleet has no firmware. */
  createPlatform(place: Place): FirmwarePlatform | undefined {
    const kind = this.kinds[place.fleet];
    const firmware = this.scenario.fleets[place.fleet]!.firmware;
    if (kind === undefined || firmware === undefined) return undefined;
    const { seed } = this.scenario;
    const cuts = {
      seed,
      device: place.deviceIndex,
      meanOperations: firmware.powerCutOperations,
      onCut: () => this.registry.counter('power_cuts', place.fleet).add(),
    };
    const machine = new SimulatedMachine(kind, cuts);
    return new FirmwarePlatform(this.world, place, machine, (platform) =>
      this.linkOwner(platform, firmware),
    );
  }

  /** The update client of a fleet; undefined where it has no firmware. */
  createProfile(fleet: number): UpdateProfile<Device> | undefined {
    const { fleets, seed } = this.scenario;
    const { firmware, retry } = fleets[fleet]!;
    if (firmware === undefined || this.ota === undefined) return undefined;
    return new UpdateProfile<Device>({
      url: this.ota.server,
      token: (id) => deviceToken(seed, id),
      vendorId: idOf(VENDOR),
      classId: idOf(firmware.deviceClass),
      keys: [{ algorithm: 'ed25519', key: createRunKey(seed, 'manifest').publicKey }],
      pollMs: firmware.pollMs,
      healthMsMax: firmware.trialMs,
      trialOfflineMsMax: firmware.trialOfflineMs,
      retryMsMax: Math.max(RETRY_MS_MIN, retry.maxMs),
      healthChecks: {
        application: ({ platform }) => this.isHealthy(platform as FirmwarePlatform),
      },
    });
  }

  /**
   * Boots the machine. False when no program comes to run: the machine halted, or the image
   * crashed as it started and the next boot follows.
   */
  boot(platform: FirmwarePlatform): boolean {
    const { machine, resetReason } = platform;
    this.tamper(platform);
    const before = machine.decision;
    const wasTrial = machine.firmware?.trial === true;
    const decision = machine.boot(resetReason, {
      onRestart: () => this.world.reset(platform, 'restart'),
      onConfirm: () => this.confirmed(platform),
    });
    this.measure(platform, decision, wasTrial ? before : undefined);
    if (decision.outcome !== 'slot') return false;
    const behaviour = this.imageOf(decision)?.behaviour;
    if (behaviour === undefined) return true;
    if (this.isHit(platform, decision, 0, behaviour.crashOnBoot)) {
      this.world.reset(platform, 'crash');
      return false;
    }
    const { crashAfterMs, crashShare } = behaviour;
    if (crashAfterMs !== undefined && this.isHit(platform, decision, 1, crashShare)) {
      const crash = () => this.world.reset(platform, 'crash');
      platform.crashTimer = setTimeout(crash, crashAfterMs);
    }
    return true;
  }

  /** The update client came to a stage. */
  onStage(platform: FirmwarePlatform, stage: string): void {
    const { fleet } = platform;
    // A download that goes on after a reset is told once more.
    if (stage === 'downloading' && !platform.isUpdating) {
      this.registry.counter('ota_started', fleet).add();
      platform.isUpdating = true;
    }
    if (stage === 'failed') this.registry.counter('ota_failed', fleet).add();
    if (stage === 'failed' || stage === 'reverted' || stage === 'confirmed') {
      platform.isUpdating = false;
    }
  }

  /** What the running image's own health check says. */
  isHealthy(platform: FirmwarePlatform): boolean {
    const { decision } = platform.machine;
    const behaviour = decision === undefined ? undefined : this.imageOf(decision)?.behaviour;
    if (decision === undefined || behaviour === undefined) return true;
    const hardware = this.scenario.fleets[platform.fleet]!.firmware?.hardware;
    if (behaviour.failHardware !== undefined && behaviour.failHardware === hardware) return false;
    return !this.isHit(platform, decision, 2, behaviour.failHealth);
  }

  /** From a reset to the next boot. */
  bootMs(fleet: number): number {
    return this.scenario.fleets[fleet]!.firmware!.bootMs;
  }

  private imageOf({ digest }: BootDecision): CatalogueImage | undefined {
    return this.catalogue.imageOf(toHex(digest));
  }

  /** Whether this device is in the share of an image's behaviour number `which`. */
  private isHit(
    { deviceIndex }: FirmwarePlatform,
    { digest, version }: BootDecision,
    which: number,
    share: number,
  ): boolean {
    if (share === 0) return false;
    // Another image, another share of the devices.
    const salt = hashOf(`${version} ${digest[0]} ${which}`);
    return randomUnit(this.scenario.seed, deviceIndex, BEHAVIOUR_STREAM, salt) < share;
  }

  private createKind(
    parts: MachineParts,
    firmware: FleetFirmware,
    factory: CatalogueImage,
  ): MachineKind {
    const { key, releases } = this.catalogue;
    const sizes = releases
      .flatMap(({ image, rollback }) => (rollback === undefined ? [image] : [image, rollback]))
      .map(({ bytes }) => bytes.length);
    const imageSizeMax = Math.max(factory.bytes.length, ...sizes) + SLOT_RESERVE;
    const own = firmware.key === undefined ? [] : [readPublicKey(firmware.key)];
    const keys = [key.publicKey, ...own].slice(0, KEY_COUNT_MAX);
    return new MachineKind(parts, { factory, imageSizeMax, keys });
  }

  private linkOwner(platform: FirmwarePlatform, { linkDropSize }: FleetFirmware): HttpLinkOwner {
    const { registry, scenario, world } = this;
    const { deviceIndex, fleet } = platform;
    const downloaded = registry.counter('download_bytes', fleet);
    const attack = this.attackOn(platform);
    const { attacker, server } = this.ota ?? {};
    const isRerouted =
      attack !== undefined && attacker !== undefined && !DIRECT_ATTACKS.includes(attack);
    const losses = registry.counter('link_losses', fleet);
    let count = 0;
    return {
      guard: (act) => platform.guard(act),
      isUp: () => world.isLinkUp(fleet),
      onDownloaded: (size) => downloaded.add(size),
      route: (url) => (isRerouted ? url.replace(`${server}`, `${attacker}/${attack}`) : url),
      nextDropSize: () => {
        if (linkDropSize === 0) return Number.POSITIVE_INFINITY;
        // The first is drawn at the start.
        if (count > 0) losses.add();
        count += 1;
        const drawn = randomUnit(scenario.seed, deviceIndex, DOWNLOAD_STREAM, count);
        // Losses come without memory, so the bytes between them are exponential.
        return 1 - Math.log(1 - drawn) * linkDropSize;
      },
    };
  }

  private attackOn({ deviceIndex, fleet }: FirmwarePlatform): AttackKind | undefined {
    return attackOf(this.scenario.fleets[fleet]!.firmware!, this.places.indexOf(deviceIndex));
  }

  /** The attack `check-then-change`: a bit of the new image flips after its digest was checked. */
  private tamper(platform: FirmwarePlatform): void {
    const { isTampered, machine, resetReason } = platform;
    const { decision } = machine;
    if (isTampered || resetReason !== 'restart' || decision === undefined) return;
    if (this.attackOn(platform) !== 'check-then-change') return;
    platform.isTampered = true;
    const { flash, layout } = machine.machine;
    const slot = layout.slots[decision.slot === 0 ? 1 : 0];
    flash.flipBit(slot.start + TAMPERED_AT, 0);
  }

  private confirmed(platform: FirmwarePlatform): void {
    const { fleet } = platform;
    this.registry.counter('ota_confirmed', fleet).add();
    const trialMs = platform.elapsedMs - platform.trialStartMs;
    this.registry.trend('ota_trial_ms', fleet).record(trialMs);
    this.endTrial(platform);
    const version = platform.machine.decision?.securityVersion ?? 0;
    platform.securityCounter = Math.max(platform.securityCounter, version);
    if (this.attackOn(platform) !== 'rollback') return;
    // What forbids the older release has to outlive a power cut.
    const cut = () => this.world.reset(platform, 'power-on');
    clearTimeout(platform.crashTimer);
    platform.crashTimer = setTimeout(cut, ROLLBACK_CUT_MS);
  }

  /** `trial`: the boot before, if its image was still on trial when the machine was reset. */
  private measure(
    platform: FirmwarePlatform,
    decision: BootDecision,
    trial: BootDecision | undefined,
  ): void {
    const { registry } = this;
    const { fleet } = platform;
    const nowMs = platform.elapsedMs;
    if (decision.outcome === 'halt') {
      platform.isBricked = true;
      registry.counter('devices_bricked', fleet).add();
      return;
    }
    const isUpdated = decision.version !== this.catalogue.factory[fleet]!.version;
    const change = Number(isUpdated) - Number(platform.isUpdated);
    registry.gauge('devices_updated', fleet).add(change);
    platform.isUpdated = isUpdated;
    if (!this.isAllowed(platform, decision)) registry.counter('unsigned_boots', fleet).add();
    if (trial !== undefined && trial.slot !== decision.slot) {
      registry.counter('ota_reverted', fleet).add();
      registry.trend('ota_revert_ms', fleet).record(nowMs - platform.trialStartMs);
      this.endTrial(platform);
    }
    if (decision.trial && !(platform.trialStartMs <= nowMs)) {
      platform.trialStartMs = nowMs;
      registry.gauge('devices_on_trial', fleet).add(1);
    }
  }

  private endTrial(platform: FirmwarePlatform): void {
    platform.trialStartMs = Number.NaN;
    this.registry.gauge('devices_on_trial', platform.fleet).add(-1);
  }

  /** One of the run's images, for this class of devices, and none older than what it confirmed. */
  private isAllowed(platform: FirmwarePlatform, decision: BootDecision): boolean {
    const image = this.imageOf(decision);
    const { deviceClass } = this.scenario.fleets[platform.fleet]!.firmware!;
    const running = platform.firmware;
    if (image === undefined || running === undefined) return false;
    // All of it as it is in flash: what the image says of itself can be a lie.
    if (!isSameBytes(running.digest, image.sha256)) return false;
    if (image.deviceClass !== deviceClass) return false;
    return decision.securityVersion >= platform.securityCounter;
  }
}
