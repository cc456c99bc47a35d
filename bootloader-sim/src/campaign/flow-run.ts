// One update, from the field through faults to its fixed point, with the invariants checked after
// every boot. What the run knows of the truth (what was staged, confirmed, how often a trial ran)
// is kept outside of the flash, as an observer would.

import { isSameBytes, toHex } from '@flotilla/sdk/codec/bytes';
import { type BootReason, PowerLoss } from '@flotilla/sdk/platform';
import { Bootloader } from '../bootloader.ts';
import { FlashError } from '../flash/flash.ts';
import type { BootDecision, Machine } from '../machine.ts';
import { TRIES_MAX } from '../profiles/hardened.ts';
import { UpdateSlot } from '../update-slot.ts';
import type { Flow } from './flows.ts';
import { type CampaignWorld, COUNTER_START, type GoodImage, LAYOUT, writeSlot } from './world.ts';

/** Boots in which a machine without events must come to rest (I8), after its trials. */
const SETTLE_BOOTS_MAX = 3;
/** More boots than any flow needs. */
const BOOTS_MAX = 24;
/** Boots for which a finished update must go on running when weak bits are about. */
const STABLE_BOOTS = 6;

/** A broken invariant; thrown, so that a case ends at its first. */
export class Violation {
  readonly invariant: string;
  readonly text: string;

  constructor(invariant: string, text: string) {
    this.invariant = invariant;
    this.text = text;
  }
}

/** What the observer knows. */
interface Truth {
  /** Last image known to be VALID, and what may be instead when a confirm was cut. */
  valid: GoodImage;
  maybeValid: GoodImage | undefined;
  trialRuns: number;
  finalTrialRuns: number;
  cuts: number;
  /** Once it ran without a trial, a confirmed image must not be given up. */
  settled: GoodImage | undefined;
}

export interface FlowOptions {
  /** Rule 6; false only to prove it necessary. */
  readonly erasesAlways: boolean;
}

export class FlowRun {
  readonly machine: Machine;
  private readonly world: CampaignWorld;
  private readonly flow: Flow;
  private readonly options: FlowOptions;
  private readonly bootloader: Bootloader;
  private truth: Truth = {
    valid: 'running',
    maybeValid: undefined,
    trialRuns: 0,
    finalTrialRuns: 0,
    cuts: 0,
    settled: undefined,
  };

  constructor(world: CampaignWorld, flow: Flow, machine: Machine, options: FlowOptions) {
    this.world = world;
    this.flow = flow;
    this.machine = machine;
    this.options = options;
    this.bootloader = new Bootloader(machine, world.profile);
  }

  /** The same run at this moment, on a machine of its own. */
  fork(): FlowRun {
    const { machine } = this;
    const copy = { ...machine, flash: machine.flash.clone(), fuses: machine.fuses.clone() };
    const run = new FlowRun(this.world, this.flow, copy, this.options);
    run.truth = { ...this.truth };
    return run;
  }

  /** The update without a fault; hooks on flash and fuses see every operation. */
  update(): void {
    const { flow, world } = this;
    this.machine.flash.powerOn();
    const decision = this.boot('power-on');
    const image = flow.hostile === undefined ? world.images[this.nextName()] : this.hostileImage();
    this.install(decision, image);
    // Switched off after staging and after everything: each recommits the record.
    this.settle('power-on');
    this.settle('power-on');
  }

  /** Power was cut: back to the fixed point, then another update to its end (I9). */
  recover(): void {
    this.truth.cuts += 1;
    const decision = this.settle('power-on');
    const weak = this.machine.flash.hasWeakBits;
    this.install(decision, this.world.images.final);
    const last = this.settle('restart');
    const name = this.nameOf(last);
    if (name !== 'final') throw new Violation('I9', `staging again ended with ${name}`);
    if (!weak) return;
    for (let boot = 0; boot < STABLE_BOOTS; boot += 1) {
      const again = this.nameOf(this.settle('power-on'));
      if (again !== 'final') throw new Violation('I6', `the confirmed image gave way to ${again}`);
    }
  }

  private install(decision: BootDecision, image: Uint8Array): void {
    const { machine } = this;
    const firmware = new UpdateSlot(this.bootloader, decision, () => undefined);
    if (firmware.trial) throw new Violation('I8', 'still on trial at the fixed point');
    const target = decision.slot === 0 ? 1 : 0;
    if (decision.slot < 0) throw new Violation('I3', `no slot runs: ${decision.reason}`);
    if (image === this.world.images.final) {
      // After a second cut it may be installed over itself: a trial of its own, with its own tries.
      this.truth.finalTrialRuns = 0;
      if (this.truth.settled === 'final') this.truth.settled = undefined;
    }
    this.guard(() => writeSlot(machine, target, image, this.options.erasesAlways));
    this.guard(() => firmware.stage());
  }

  /** Boots, lets the application act, resets as it does, until nothing changes any more. */
  private settle(first: BootReason): BootDecision {
    let reset: BootReason = first;
    let calm = 0;
    let last: BootDecision | undefined;
    for (let boots = 0; boots < BOOTS_MAX; boots += 1) {
      this.machine.flash.powerOn();
      const decision = this.boot(reset);
      const next = decision.trial ? this.act(decision) : undefined;
      if (next !== undefined) {
        reset = next;
        calm = 0;
        continue;
      }
      const same = last !== undefined && sameImage(last, decision);
      if (calm > SETTLE_BOOTS_MAX && !same) throw new Violation('I8', 'no fixed point');
      calm += 1;
      if (same) return decision;
      last = decision;
      reset = 'restart';
    }
    throw new Violation('I8', `no fixed point in ${BOOTS_MAX} boots`);
  }

  private boot(reset: BootReason): BootDecision {
    const counter = this.machine.fuses.rollbackCounter;
    const decision = this.guard(() => this.bootloader.boot(reset));
    this.check(decision, counter);
    return decision;
  }

  /** The trial image acts; returns the reset that follows, undefined = it goes on running. */
  private act(decision: BootDecision): BootReason | undefined {
    const name = this.nameOf(decision);
    if (name === 'final') {
      this.confirm(decision, name);
      return 'restart';
    }
    switch (this.flow.behaviour) {
      case 'confirm':
        this.confirm(decision, name);
        return 'restart';
      case 'crash':
        return 'crash';
      case 'reject': {
        const firmware = new UpdateSlot(this.bootloader, decision, () => undefined);
        this.guard(() => firmware.reject('unfit'));
        return 'restart';
      }
      case 'hang-once':
        if (this.truth.trialRuns < 2) return 'watchdog';
        this.confirm(decision, name);
        return 'restart';
      case 'crash-later':
        this.confirm(decision, name);
        return 'crash';
      case 'never-confirm':
        return 'power-on';
    }
  }

  private confirm(decision: BootDecision, name: GoodImage): void {
    const firmware = new UpdateSlot(this.bootloader, decision, () => undefined);
    this.truth.maybeValid = name;
    this.guard(() => firmware.confirm());
    this.truth.valid = name;
    this.truth.maybeValid = undefined;
  }

  // The invariants.

  private check(decision: BootDecision, counterBefore: number): void {
    const { fuses } = this.machine;
    const { truth } = this;
    if (decision.outcome === 'halt') throw new Violation('I3', `halted: ${decision.reason}`);
    const name = this.nameOf(decision);
    if (decision.outcome === 'recovery') {
      throw new Violation('I3', `recovery, though ${truth.valid} is intact: ${decision.reason}`);
    }
    this.checkBytes(decision, name);
    if (decision.securityVersion < counterBefore) {
      throw new Violation('I2', `${name} runs below the rollback counter ${counterBefore}`);
    }
    this.checkCounter(counterBefore, fuses.rollbackCounter);
    if (decision.trial) this.checkTrial(name);
    else this.checkSettled(name);
  }

  /** I1: what runs is byte for byte an image that we signed. */
  private checkBytes(decision: BootDecision, name: GoodImage): void {
    const { start } = LAYOUT.slots[decision.slot as 0 | 1];
    const image = this.world.images[name];
    const bytes = new Uint8Array(image.length);
    this.machine.flash.read(start, bytes);
    if (!equalWords(bytes, image)) {
      throw new Violation('I1', `slot ${decision.slot} runs as ${name} with other bytes`);
    }
  }

  private checkCounter(before: number, after: number): void {
    const { truth } = this;
    if (after < before) throw new Violation('I4', `the counter fell from ${before} to ${after}`);
    const allowed = [truth.valid, truth.maybeValid].map((name) => this.securityOf(name));
    if (after > Math.max(COUNTER_START, ...allowed)) {
      throw new Violation('I4', `the counter is ${after}, and ${truth.valid} is what is VALID`);
    }
  }

  private checkTrial(name: GoodImage): void {
    const { truth } = this;
    if (name !== this.nextName() && name !== 'final') {
      throw new Violation('I6', `${name} is on trial`);
    }
    const isFinal = name === 'final';
    if (isFinal) truth.finalTrialRuns += 1;
    else truth.trialRuns += 1;
    const runs = isFinal ? truth.finalTrialRuns : truth.trialRuns;
    if (runs > TRIES_MAX + truth.cuts) {
      throw new Violation('I5', `${name} ran ${runs} times without being confirmed`);
    }
    if (truth.settled === name) {
      throw new Violation('I6', `${name} was confirmed, and is on trial again`);
    }
  }

  private checkSettled(name: GoodImage): void {
    const { truth } = this;
    if (name !== truth.valid && name !== truth.maybeValid) {
      throw new Violation('I6', `${name} runs, and ${truth.valid} is what was confirmed last`);
    }
    // The cut confirm turned out one way; from here on it must stay so.
    truth.valid = name;
    truth.maybeValid = undefined;
    truth.settled = name;
  }

  private securityOf(name: GoodImage | undefined): number {
    return name === 'final' || name === 'next-secure' ? 2 : COUNTER_START;
  }

  private nextName(): GoodImage {
    return this.flow.secure ? 'next-secure' : 'next';
  }

  private nameOf(decision: BootDecision): GoodImage {
    const name = this.world.names.get(toHex(decision.digest));
    if (name === undefined) throw new Violation('I1', 'an image runs that nobody signed');
    return name;
  }

  private hostileImage(): Uint8Array {
    const image = this.world.hostile[this.flow.hostile!];
    if (image === undefined) throw new Error(`no hostile image ${this.flow.hostile}`);
    return image;
  }

  /** Runs a step of the firmware; a rule of the flash that it breaks is a violation (I7, I10). */
  private guard<T>(step: () => T): T {
    try {
      return step();
    } catch (error) {
      if (error instanceof PowerLoss || error instanceof Violation) throw error;
      if (error instanceof FlashError) throw new Violation('I10', error.message);
      throw error;
    }
  }
}

function sameImage(a: BootDecision, b: BootDecision): boolean {
  return a.slot === b.slot && isSameBytes(a.digest, b.digest) && a.trial === b.trial;
}

function equalWords(a: Uint8Array, b: Uint8Array): boolean {
  const left = new Uint32Array(a.buffer, a.byteOffset, a.length >> 2);
  const right = new Uint32Array(b.buffer, b.byteOffset, b.length >> 2);
  for (let index = 0; index < left.length; index += 1) {
    if (left[index] !== right[index]) return false;
  }
  return true;
}
