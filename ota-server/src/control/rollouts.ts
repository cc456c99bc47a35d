// The rollouts: the pure engine's states with what they need of the world. Every event that moves
// one is noted in the journal, so that a restart replays what came after the last saved state.

import type { CheckRequest, Offer, ReportRequest } from '../device-api/index.ts';
import { Problem } from '../problem.ts';
import * as engine from '../rollout/index.ts';
import type { Journal } from '../store/journal.ts';
import type { EventRow, RolloutRow } from '../store/schema.ts';
import type { Device, Devices } from './devices.ts';
import type { ParsedRollout, Target } from './input.ts';
import { invalidFields } from './input.ts';
import type { Releases, StoredRelease } from './releases.ts';
import { isImageOf, isTarget, mayOffer, rosterEntry } from './targeting.ts';

/** What a rollout was created with. */
interface Definition {
  readonly release: string;
  readonly rollbackRelease?: string;
  readonly target: Target;
  /** Alerts and transitions, the newest HISTORY_COUNT_MAX. */
  readonly history: readonly HistoryEntry[];
}

export type HistoryEntry = (engine.AlertEffect | engine.RecordEffect) & { readonly atMs: number };

/** For people and the API. */
export interface RolloutStatusView extends engine.RolloutView {
  readonly createdMs: number;
  /** Of the release. */
  readonly version: string;
  readonly target: Target;
  readonly history: readonly HistoryEntry[];
}

interface Managed {
  readonly id: string;
  readonly createdMs: number;
  readonly target: Target;
  readonly release: string;
  rollbackRelease: string | undefined;
  readonly state: engine.RolloutState;
  /** Kept here because views are costly, and each check asks. */
  status: engine.RolloutStatus;
  lastEvent: number;
  savedEvent: number;
  history: HistoryEntry[];
}

export interface RolloutListeners {
  onAlert(rollout: string, alert: engine.AlertEffect): void;
  /** Devices should check now; `isMeant` tells which, when asked later too. */
  onNotify(rollout: string, isMeant: (device: Device) => boolean): void;
}

/** Alerts and transitions that a rollout remembers. */
export const HISTORY_COUNT_MAX = 256;
export const ROLLOUT_COUNT_MAX = 10_000;
/** A state is saved again after so many events, or as many as it has devices. */
const SAVE_EVENT_COUNT = 10_000;

/** States in which checks and time change nothing; a device may still report in them. */
const INERT: readonly engine.RolloutStatus[] = ['draft', 'aborted'];
const ACTIVE: readonly engine.DeviceStatusName[] = [
  'offered',
  'downloading',
  'downloaded',
  'verified',
  'staged',
  'rebooting',
  'trial',
  'rollbackOffered',
  'rollbackStarted',
];

export class Rollouts {
  private readonly devices: Devices;
  private readonly releases: Releases;
  private readonly journal: Journal;
  private readonly listeners: RolloutListeners;
  private readonly byId = new Map<string, Managed>();
  /** Those that are not inert, the newest first: each check looks at these. */
  private live: Managed[] = [];
  /** The engines' time never goes back, whatever the machine's clock does. */
  private latestMs = 0;

  constructor(devices: Devices, releases: Releases, journal: Journal, listeners: RolloutListeners) {
    this.devices = devices;
    this.releases = releases;
    this.journal = journal;
    this.listeners = listeners;
  }

  get ids(): readonly string[] {
    return [...this.byId.keys()];
  }

  /** Loads what was saved, and replays what happened since. */
  restore(rows: readonly RolloutRow[], events: readonly EventRow[]): void {
    for (const row of rows) {
      const definition = JSON.parse(row.definition) as Definition;
      const rollout: Managed = {
        id: row.id,
        createdMs: row.created_ms,
        target: definition.target,
        release: definition.release,
        rollbackRelease: definition.rollbackRelease,
        state: engine.load(row.state),
        status: 'draft',
        lastEvent: row.last_event,
        savedEvent: row.last_event,
        history: [...definition.history],
      };
      this.byId.set(row.id, rollout);
    }
    for (const { at_ms, event, rollout: id, sequence } of events) {
      const rollout = this.byId.get(id);
      if (rollout === undefined) continue;
      if (sequence !== rollout.lastEvent + 1) throw new Error(`rollout ${id}: event ${sequence}`);
      rollout.lastEvent = sequence;
      this.latestMs = Math.max(this.latestMs, at_ms);
      const effects = engine.step(rollout.state, JSON.parse(event) as engine.RolloutEvent, at_ms);
      // A way back that was added after the start is known from that event alone.
      rollout.rollbackRelease = rollout.state.head.rollbackRelease ?? rollout.rollbackRelease;
      this.remember(rollout, effects, at_ms);
    }
    for (const rollout of this.byId.values()) this.refresh(rollout);
  }

  create(input: ParsedRollout, salt: string, nowMs: number): string {
    const release = this.readyRelease(input.release);
    const rollback =
      input.rollbackRelease === undefined
        ? this.releases.rollbackOf(release)
        : this.readyRelease(input.rollbackRelease);
    const id = input.id ?? this.freeId(release.version);
    if (this.byId.has(id)) throw new Problem(409, 'rollout-exists', `rollout ${id} exists already`);
    if (this.byId.size >= ROLLOUT_COUNT_MAX) {
      throw new Problem(507, 'too-many-rollouts', `${ROLLOUT_COUNT_MAX} rollouts`);
    }
    const { release: _, rollbackRelease: __, id: ___, start, target, ...numbers } = input;
    const options: engine.RolloutOptions = {
      ...numbers,
      rollout: id,
      salt,
      release: release.id,
      ...(rollback === undefined ? {} : { rollbackRelease: rollback.id }),
    };
    const mistakes = engine.checkOptions(options);
    if (mistakes.length > 0) throw invalidFields(mistakes.map(splitPath));
    const rollout: Managed = {
      id,
      createdMs: nowMs,
      target,
      release: release.id,
      rollbackRelease: rollback?.id,
      state: engine.createRollout(options, this.roster(release, target)),
      status: 'draft',
      lastEvent: 0,
      savedEvent: 0,
      history: [],
    };
    this.byId.set(id, rollout);
    this.refresh(rollout);
    this.save(rollout);
    if (start) this.operate(id, { type: 'start' }, nowMs);
    return id;
  }

  /** An operator's decision; a Problem with the reason where the state does not allow it. */
  operate(id: string, event: engine.OperatorEvent, nowMs: number): void {
    const rollout = this.get(id);
    const effects = this.step(rollout, this.complete(rollout, event), nowMs);
    const refused = effects.find((effect) => effect.type === 'refused');
    if (refused === undefined) return;
    throw new Problem(409, refused.reason, explainRefusal(id, refused));
  }

  /** Time passed. */
  tick(nowMs: number): void {
    for (const rollout of [...this.live]) this.step(rollout, { type: 'tick' }, nowMs);
  }

  /** What a check gets; the engines hear of it. */
  check(device: Device, request: CheckRequest, nowMs: number): Offer | undefined {
    let chosen: { rollout: Managed; offer: engine.Offer; release: StoredRelease } | undefined;
    let isBegun = false;
    let isInTrial = false;
    const considered: { rollout: Managed; running: engine.Running }[] = [];
    const engineMs = this.forward(nowMs);
    for (const rollout of this.live) {
      if (device.position >= deviceCount(rollout)) continue;
      const running = this.runningOf(rollout, request);
      const { offer, why } = engine.offerFor(rollout.state, device.position, running, engineMs);
      if (why === 'not-targeted') continue;
      considered.push({ rollout, running });
      const { status } = engine.deviceStatusOf(rollout.state, device.position);
      const isActive = ACTIVE.includes(status);
      // A trial is not to be disturbed, by no other rollout either. Not one that we did not cause:
      // a device that left the factory with these bytes would be in trial for ever.
      if (why === 'in-trial' && isActive) isInTrial = true;
      const release = offer && this.offered(rollout, offer, device, request);
      if (offer === undefined || release === undefined) continue;
      // The newest rollout, but what was begun is carried on first.
      if (chosen === undefined || (isActive && !isBegun)) chosen = { rollout, offer, release };
      if (isActive) isBegun = true;
    }
    if (isInTrial) chosen = undefined;
    const { abnormalResets, uptimeS } = request;
    for (const { rollout, running } of considered) {
      const offered = rollout === chosen?.rollout ? { offered: chosen.offer } : {};
      const check = { type: 'check', device: device.position, running, uptimeS, abnormalResets };
      this.step(rollout, { ...check, ...offered } as engine.CheckEvent, nowMs);
    }
    if (chosen === undefined) return undefined;
    const { offer, release, rollout } = chosen;
    return { rollout: rollout.id, attempt: offer.attempt, release };
  }

  /** True when the report changed where the device stands. */
  report(device: Device, { attempt, rollout: id, stage }: ReportRequest, nowMs: number): boolean {
    const rollout = this.byId.get(id);
    // No error: a device that reports about what is long gone should forget it, not try again.
    if (rollout === undefined || device.position >= deviceCount(rollout)) return false;
    const before = engine.deviceStatusOf(rollout.state, device.position).status;
    this.step(rollout, { type: 'report', device: device.position, attempt, stage }, nowMs);
    return engine.deviceStatusOf(rollout.state, device.position).status !== before;
  }

  /** Devices that are new or have other properties join the rollouts that target them. */
  enrol(devices: readonly Device[], nowMs: number): void {
    for (const rollout of this.byId.values()) {
      const release = this.releases.find(rollout.release);
      if (release === undefined) continue;
      const known = devices.filter(({ position }) => position < deviceCount(rollout));
      for (const device of known) this.enrolOne(rollout, release, device, nowMs);
      // Without a gap: also those that came while the release was not trusted.
      for (let position = deviceCount(rollout); position < this.devices.count; position += 1) {
        this.enrolOne(rollout, release, this.devices.all[position]!, nowMs);
      }
    }
  }

  view(id: string): RolloutStatusView {
    const rollout = this.get(id);
    const { createdMs, history, release, target } = rollout;
    const version = this.releases.find(release)?.version ?? release;
    return { ...engine.viewOf(rollout.state), createdMs, version, target, history };
  }

  /** How a device stands in a rollout. */
  deviceView(id: string, device: Device): ReturnType<typeof engine.deviceStatusOf> | undefined {
    const rollout = this.get(id);
    if (device.position >= deviceCount(rollout)) return undefined;
    return engine.deviceStatusOf(rollout.state, device.position);
  }

  /** Saves every state that has events after its last one. */
  saveAll(): void {
    for (const rollout of this.byId.values()) {
      if (rollout.lastEvent > rollout.savedEvent) this.save(rollout);
    }
  }

  private get(id: string): Managed {
    const rollout = this.byId.get(id);
    if (rollout === undefined) throw new Problem(404, 'no-rollout', `no rollout ${id}`);
    return rollout;
  }

  private step(
    rollout: Managed,
    event: engine.RolloutEvent,
    atMs: number,
  ): readonly engine.Effect[] {
    const nowMs = this.forward(atMs);
    const before = fingerprint(rollout.state, event, nowMs);
    const effects = engine.step(rollout.state, event, nowMs);
    const isNoted = effects.length > 0 || before !== fingerprint(rollout.state, event, nowMs);
    if (isNoted) this.note(rollout, event, nowMs);
    this.remember(rollout, effects, nowMs);
    if (effects.some(({ type }) => type === 'record')) this.refresh(rollout);
    for (const effect of effects) this.perform(rollout, effect);
    const saveAfter = Math.max(SAVE_EVENT_COUNT, deviceCount(rollout));
    if (rollout.lastEvent - rollout.savedEvent >= saveAfter) this.save(rollout);
    return effects;
  }

  private forward(nowMs: number): number {
    this.latestMs = Math.max(this.latestMs, nowMs);
    return this.latestMs;
  }

  /** Most checks and ticks change nothing, and are not worth a row. */
  private note(rollout: Managed, event: engine.RolloutEvent, nowMs: number): void {
    rollout.lastEvent += 1;
    this.journal.pending.events.push({
      rollout: rollout.id,
      sequence: rollout.lastEvent,
      at_ms: nowMs,
      event: JSON.stringify(event),
    });
    this.journal.soon();
  }

  private perform(rollout: Managed, effect: engine.Effect): void {
    if (effect.type === 'alert') this.listeners.onAlert(rollout.id, effect);
    if (effect.type !== 'notify') return;
    const isMeant = ({ position }: Device) =>
      position < deviceCount(rollout) && engine.isNotified(rollout.state, effect, position);
    this.listeners.onNotify(rollout.id, isMeant);
  }

  private remember(rollout: Managed, effects: readonly engine.Effect[], atMs: number): void {
    for (const effect of effects) {
      if (effect.type === 'alert' || effect.type === 'record') {
        rollout.history.push({ ...effect, atMs });
      }
    }
    if (rollout.history.length > HISTORY_COUNT_MAX) {
      rollout.history = rollout.history.slice(-HISTORY_COUNT_MAX);
    }
  }

  /** Takes over what the engine has decided about the rollout as a whole. */
  private refresh(rollout: Managed): void {
    rollout.status = engine.viewOf(rollout.state).status;
    this.live = [...this.byId.values()]
      .filter(({ status }) => !INERT.includes(status))
      .sort((a, b) => b.createdMs - a.createdMs);
  }

  private save(rollout: Managed): void {
    const { createdMs, history, id, lastEvent, release, rollbackRelease, target } = rollout;
    const definition: Definition = {
      release,
      ...(rollbackRelease === undefined ? {} : { rollbackRelease }),
      target,
      history,
    };
    this.journal.pending.rollouts.set(id, {
      id,
      created_ms: createdMs,
      definition: JSON.stringify(definition),
      state: engine.save(rollout.state),
      last_event: lastEvent,
    });
    rollout.savedEvent = lastEvent;
    this.journal.soon();
  }

  private roster(release: StoredRelease, target: Target): engine.Roster {
    const { all, count } = this.devices;
    return {
      count,
      entry: (index) => {
        const device = all[index]!;
        return isTarget(device, target, release) ? rosterEntry(device) : undefined;
      },
    };
  }

  private enrolOne(rollout: Managed, release: StoredRelease, device: Device, nowMs: number): void {
    const { position } = device;
    if (position < deviceCount(rollout)) {
      const { status } = engine.deviceStatusOf(rollout.state, position);
      if (status !== 'excluded' || !isTarget(device, rollout.target, release)) return;
    }
    this.step(rollout, { type: 'enrol', device: position, ...rosterEntry(device) }, nowMs);
    // The engine's places have no gap, so one that is not meant takes its own and leaves again.
    if (isTarget(device, rollout.target, release)) return;
    this.step(rollout, { type: 'remove', device: position }, nowMs);
  }

  /** What the check says that the device runs, as the engine wants it. */
  private runningOf({ release, rollbackRelease }: Managed, request: CheckRequest): engine.Running {
    const target = this.releases.find(release);
    if (target !== undefined && isImageOf(target, request.digest)) {
      return request.sequence >= target.signed.sequence ? 'release' : 'trial';
    }
    const back = rollbackRelease === undefined ? undefined : this.releases.find(rollbackRelease);
    if (back === undefined || !isImageOf(back, request.digest)) return 'other';
    return request.sequence >= back.signed.sequence ? 'rollback' : 'other';
  }

  /** The release of an offer, unless the device would have to refuse it. */
  private offered(
    { release, rollbackRelease = '' }: Managed,
    { image }: engine.Offer,
    device: Device,
    request: CheckRequest,
  ): StoredRelease | undefined {
    const found = this.releases.find(image === 'release' ? release : rollbackRelease);
    return found !== undefined && mayOffer(found, device, request) ? found : undefined;
  }

  /** With the rollback release, which may have been added after the rollout. */
  private complete(rollout: Managed, event: engine.OperatorEvent): engine.OperatorEvent {
    if (event.type !== 'rollback') return event;
    if (event.rollbackRelease !== undefined) {
      rollout.rollbackRelease = this.readyRelease(event.rollbackRelease).id;
    } else if (rollout.rollbackRelease === undefined) {
      const release = this.releases.find(rollout.release);
      rollout.rollbackRelease = release && this.releases.rollbackOf(release)?.id;
    }
    const { rollbackRelease } = rollout;
    return rollbackRelease === undefined ? event : { ...event, rollbackRelease };
  }

  private readyRelease(idOrVersion: string): StoredRelease {
    const release = this.releases.get(idOrVersion);
    if (release.ready) return release;
    throw new Problem(409, 'no-image', `upload the image of ${release.id} first`);
  }

  private freeId(version: string): string {
    for (let number = 1; ; number += 1) {
      const id = `${version}-r${number}`;
      if (!this.byId.has(id)) return id;
    }
  }
}

function deviceCount({ state }: Managed): number {
  return state.head.deviceCount;
}

/** Differs before and after an event exactly where the event changed something, or may have. */
function fingerprint(
  { columns, head, nextDueMs }: engine.RolloutState,
  event: engine.RolloutEvent,
  nowMs: number,
): unknown {
  switch (event.type) {
    case 'check':
    case 'report': {
      const { attempt, confirmedMs, dueMs, status, used } = columns;
      const at = event.device;
      return `${status[at]} ${attempt[at]} ${used[at]} ${dueMs[at]} ${confirmedMs[at]}`;
    }
    case 'tick':
      // Something was due: which devices it moved is not worth finding out.
      return nextDueMs <= nowMs ? Symbol() : JSON.stringify(head);
    default:
      return Symbol();
  }
}

/** `waves[1].percent: expected …` as a field problem. */
function splitPath(text: string): { path: string; message: string } {
  const at = text.indexOf(': ');
  return at < 0
    ? { path: '', message: text }
    : { path: text.slice(0, at), message: text.slice(at + 2) };
}

function explainRefusal(id: string, { event, reason, status }: engine.RefusedEffect): string {
  switch (reason) {
    case 'no-rollback-release':
      return `rollout ${id} has no rollback release: sign one with flotilla-ota sign --rollback-to, and add it`;
    case 'nothing-to-retry':
      return `no device of rollout ${id} failed so that it could try again`;
    case 'not-in-this-state':
      return `rollout ${id} is ${status}: it cannot ${event}`;
  }
}
