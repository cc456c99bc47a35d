// The oracle: devices as a list, each with the log of all that happened to it; whatever is asked is
// recomputed from the logs. Slow, and without counters, status bytes or columns to get wrong.

import type {
  CheckEvent,
  DeviceStatusName,
  EnrolEvent,
  Offer,
  OperatorEvent,
  RolloutEvent,
  RolloutOptions,
  RolloutStatus,
  Stage,
} from '../../src/rollout/index.ts';
import { positionOf } from '../../src/rollout/index.ts';

type Fact =
  | { what: 'check'; atMs: number; event: CheckEvent; isBack: boolean }
  | { what: 'report'; atMs: number; attempt: number; stage: Stage }
  | { what: 'time'; atMs: number; isWithdrawn: boolean }
  | { what: 'grant'; atMs: number }
  | { what: 'renew'; atMs: number };

interface RefDevice {
  readonly deviceClass: string;
  readonly share: number;
  readonly log: Fact[];
  readonly firstAttempt: number;
  isGone: boolean;
}

export interface Replay {
  status: DeviceStatusName;
  attempt: number;
  used: number;
  confirmedMs: number;
  /** Timeout, silence or back-off, by status. */
  untilMs: number | undefined;
}

const PROGRESS: readonly string[] = [
  'offered',
  'downloading',
  'downloaded',
  'verified',
  'staged',
  'rebooting',
  'trial',
];
/** Later ones hold against earlier ones of the same attempt. */
const ORDER = [...PROGRESS, 'timedOut', 'confirmed', 'silent', 'unstable', 'failed', 'reverted'];
const BAD: readonly string[] = ['timedOut', 'silent', 'unstable', 'failed', 'reverted'];

export class Reference {
  status: RolloutStatus = 'draft';
  before: RolloutStatus = 'running';
  opened = 0;
  soakEndsMs = 0;
  waiting = 0;
  openedMs = 0;
  heldMs = 0;
  hasRollback: boolean;
  readonly devices: RefDevice[] = [];
  readonly options: RolloutOptions;

  constructor(options: RolloutOptions, devices: readonly { id: string; deviceClass: string }[]) {
    this.options = options;
    this.hasRollback = options.rollbackRelease !== undefined;
    for (const { id, deviceClass } of devices) this.add(id, deviceClass);
  }

  step(event: RolloutEvent, atMs: number): void {
    switch (event.type) {
      case 'check':
        this.log(event.device, { what: 'check', atMs, event, isBack: this.isBack });
        return;
      case 'report':
        this.log(event.device, {
          what: 'report',
          atMs,
          attempt: event.attempt,
          stage: event.stage,
        });
        return;
      case 'tick':
        this.tick(atMs);
        return;
      case 'enrol':
        this.enrol(event);
        return;
      case 'remove':
        if (this.devices[event.device]) this.devices[event.device]!.isGone = true;
        return;
      default:
        this.operate(event, atMs);
    }
  }

  /** Devices of a wave, those that left not counted. */
  members(wave: number): Replay[] {
    return this.devices
      .filter((device) => !device.isGone && this.waveOf(device) === wave)
      .map((device) => this.replay(device));
  }

  waveOf({ share }: RefDevice): number {
    return this.options.waves.findIndex(({ percent }) => share * 100 < percent);
  }

  replay(device: RefDevice): Replay {
    const now: Replay = {
      status: 'pending',
      attempt: device.firstAttempt,
      used: 0,
      confirmedMs: 0,
      untilMs: undefined,
    };
    const soakMs = this.options.waves[this.waveOf(device)]!.soakMs;
    for (const fact of device.log) this.apply(now, fact, soakMs);
    return now;
  }

  static isFailed({ status, used }: Replay): boolean {
    return BAD.includes(status) || (PROGRESS.includes(status) && used > 1);
  }

  private get isBack(): boolean {
    return this.status === 'rolling-back' || this.status === 'rolled-back';
  }

  private add(id: string, deviceClass: string, index = this.devices.length, firstAttempt = 0) {
    const share = positionOf(this.options.salt, id) / 2 ** 32;
    this.devices[index] = { deviceClass, share, log: [], firstAttempt, isGone: false };
  }

  private enrol({ device, deviceClass, id }: EnrolEvent): void {
    const known = this.devices[device];
    if (device === this.devices.length) this.add(id, deviceClass);
    else if (known?.isGone) this.add(id, deviceClass, device, this.replay(known).attempt);
  }

  private log(device: number, fact: Fact): void {
    const known = this.devices[device];
    if (known?.isGone === false) known.log.push(fact);
  }

  private apply(now: Replay, fact: Fact, soakMs: number): void {
    const { silenceMsMax, abnormalResetsMax, offerTimeoutMs } = this.options;
    const watch = (atMs: number) => {
      const untilMs = atMs + silenceMsMax;
      now.untilMs = untilMs <= now.confirmedMs + soakMs ? untilMs : undefined;
    };
    const fail = (status: DeviceStatusName) => {
      const { retryDelayMs, retryDelayMsMax } = this.options;
      let delayMs = retryDelayMs;
      for (let used = 1; used < now.used; used += 1) delayMs *= 2;
      now.status = status;
      now.untilMs = fact.atMs + Math.min(delayMs, retryDelayMsMax);
    };
    const confirm = () => {
      now.status = 'confirmed';
      now.confirmedMs = fact.atMs;
      watch(fact.atMs);
    };
    const settle = (status: DeviceStatusName) => {
      now.status = status;
      now.untilMs = undefined;
    };
    if (fact.what === 'grant') {
      if (['failed', 'reverted', 'timedOut', 'silent'].includes(now.status)) {
        settle('granted');
        now.used = 0;
      }
    } else if (fact.what === 'renew') {
      if (now.status === 'offered') now.untilMs = fact.atMs + offerTimeoutMs;
    } else if (fact.what === 'time') {
      if (now.untilMs === undefined || now.untilMs > fact.atMs) return;
      if (now.status === 'offered' && fact.isWithdrawn) return;
      if (PROGRESS.includes(now.status)) fail('timedOut');
      else if (now.status === 'confirmed') settle('silent');
      else if (now.status === 'rollbackOffered' || now.status === 'rollbackStarted') {
        fail('rollbackFailed');
      }
    } else if (fact.what === 'report') {
      if (fact.attempt === 0 || fact.attempt !== now.attempt) return;
      const isGood = fact.stage === 'confirmed';
      const isBad = fact.stage === 'failed' || fact.stage === 'reverted';
      if (now.status.startsWith('rollback')) {
        if (isGood) settle('rolledBack');
        else if (isBad && now.status !== 'rollbackFailed') fail('rollbackFailed');
        else if (!isBad && now.status === 'rollbackOffered') now.status = 'rollbackStarted';
        return;
      }
      if (!ORDER.includes(now.status)) return;
      if (ORDER.indexOf(fact.stage) <= ORDER.indexOf(now.status)) return;
      if (isGood) confirm();
      else if (isBad) fail(fact.stage);
      else now.status = fact.stage;
    } else {
      const { running, abnormalResets, offered } = fact.event;
      if (running === 'release') {
        if (now.status === 'pending') now.status = 'already';
        else if ([...PROGRESS, 'timedOut', 'granted'].includes(now.status)) confirm();
      }
      if (fact.isBack) {
        const isOn = ['confirmed', 'silent', 'unstable', 'already'].includes(now.status);
        if (running === 'release' && now.status === 'rolledBack') now.status = 'already';
        else if (isOn && running === 'other') settle('rolledBack');
        else if (running === 'rollback' && (isOn || now.status.startsWith('rollback'))) {
          settle('rolledBack');
        }
      }
      if (now.status === 'silent' || now.status === 'confirmed') {
        now.status = 'confirmed';
        watch(fact.atMs);
        const isWatched = fact.atMs <= now.confirmedMs + soakMs;
        if (running === 'release' && abnormalResets > abnormalResetsMax && isWatched) {
          settle('unstable');
        }
      }
      this.take(now, offered, fact.atMs);
    }
  }

  private take(now: Replay, offered: Offer | undefined, atMs: number): void {
    if (offered === undefined || offered.attempt !== now.attempt + 1) return;
    if (offered.image === 'release') {
      if (!['pending', 'timedOut', 'failed', 'reverted', 'granted'].includes(now.status)) return;
      now.used += 1;
      now.status = 'offered';
    } else {
      now.used = now.status.startsWith('roll') ? now.used + 1 : 1;
      now.status = 'rollbackOffered';
    }
    now.attempt = offered.attempt;
    now.untilMs = atMs + this.options.offerTimeoutMs;
  }

  private tick(atMs: number): void {
    const isWithdrawn = ['stopped', 'aborted', 'rolling-back', 'rolled-back'].includes(this.status);
    for (const device of this.devices.keys()) this.log(device, { what: 'time', atMs, isWithdrawn });
    if (this.status === 'rolling-back') {
      const busy = this.devices
        .filter(({ isGone }) => !isGone)
        .map((device) => this.replay(device).status)
        .filter((status) =>
          [
            ...PROGRESS.slice(1),
            'confirmed',
            'silent',
            'unstable',
            'already',
            'rollbackOffered',
            'rollbackStarted',
          ].includes(status),
        );
      if (busy.length === 0) this.status = 'rolled-back';
      return;
    }
    if (isWithdrawn || this.status === 'draft') return;
    if (this.isBroken()) {
      if (this.options.onFailure === 'roll-back' && this.hasRollback) this.status = 'rolling-back';
      else this.halt('stopped', atMs);
      return;
    }
    while (this.status === 'running' || this.status === 'soaking') {
      const isMet = this.isMet(atMs);
      if (!isMet) {
        this.status = 'running';
        return;
      }
      if (this.status === 'running') {
        this.status = 'soaking';
        this.soakEndsMs = atMs + this.options.waves[this.opened - 1]!.soakMs;
      }
      if (atMs < this.soakEndsMs) return;
      if (this.opened === this.options.waves.length) {
        const isBusy = this.devices.some(
          (device) => !device.isGone && PROGRESS.includes(this.replay(device).status),
        );
        if (!isBusy) this.status = 'completed';
        return;
      }
      if (this.options.waves[this.opened]!.approval === true) this.status = 'waiting-approval';
      else this.open(atMs);
    }
  }

  private isMet(atMs: number): boolean {
    const { sampleMin, spreadMs, successRatioMin } = this.options.waves[this.opened - 1]!;
    if (atMs < this.openedMs + (spreadMs ?? 0)) return false;
    const members = this.members(this.opened - 1).filter(({ status }) => status !== 'already');
    const good = members.filter(({ status }) => status === 'confirmed').length;
    const resolved = good + members.filter(Reference.isFailed).length;
    return resolved >= Math.min(sampleMin, members.length) && good >= successRatioMin * resolved;
  }

  private isBroken(): boolean {
    const inOpen: { wave: number; deviceClass: string; isFailed: boolean; isResolved: boolean }[] =
      [];
    for (const device of this.devices) {
      const wave = this.waveOf(device);
      if (device.isGone || wave >= this.opened) continue;
      const replay = this.replay(device);
      if (replay.status === 'already') continue;
      const isFailed = Reference.isFailed(replay);
      const isResolved = isFailed || replay.status === 'confirmed';
      inOpen.push({ wave, deviceClass: device.deviceClass, isFailed, isResolved });
    }
    for (let wave = 0; wave < this.opened; wave += 1) {
      const members = inOpen.filter((member) => member.wave === wave);
      const { failureRatioMax, sampleMin } = this.options.waves[wave]!;
      const resolved = members.filter(({ isResolved }) => isResolved).length;
      const failed = members.filter(({ isFailed }) => isFailed).length;
      if (resolved < Math.min(sampleMin, members.length)) continue;
      if (failed > failureRatioMax * resolved) return true;
    }
    if (this.opened === 0) return false;
    const { failureRatioMax, sampleMin } = this.options.waves[this.opened - 1]!;
    const classes = new Set(this.devices.map(({ deviceClass }) => deviceClass));
    if (classes.size < 2) return false;
    return [...classes].some((name) => {
      const members = inOpen.filter(({ deviceClass }) => deviceClass === name);
      const resolved = members.filter(({ isResolved }) => isResolved).length;
      const failed = members.filter(({ isFailed }) => isFailed).length;
      if (resolved >= sampleMin) return failed > failureRatioMax * resolved;
      return failed >= 2 && failed === members.length;
    });
  }

  private operate(event: OperatorEvent, atMs: number): void {
    const is = (...states: RolloutStatus[]) => states.includes(this.status);
    const all = (fact: Fact) => {
      for (const device of this.devices.keys()) this.log(device, fact);
    };
    switch (event.type) {
      case 'start':
        if (!is('draft')) return;
        if (this.options.waves[0]!.approval === true) this.status = 'waiting-approval';
        else this.open(atMs);
        return;
      case 'approve':
        if (is('waiting-approval')) this.open(atMs);
        return;
      case 'pause':
        if (is('waiting-approval', 'running', 'soaking', 'completed')) this.halt('paused', atMs);
        return;
      case 'resume':
        if (!is('paused', 'stopped')) return;
        if (is('stopped')) all({ what: 'renew', atMs });
        this.openedMs += atMs - this.heldMs;
        this.heldMs = 0;
        this.status = this.before;
        return;
      case 'abort':
        if (!is('aborted', 'rolling-back', 'rolled-back')) this.status = 'aborted';
        return;
      case 'rollback':
        if (is('draft', 'rolling-back', 'rolled-back') || this.opened === 0) return;
        if (event.rollbackRelease !== undefined) this.hasRollback = true;
        if (this.hasRollback) this.status = 'rolling-back';
        return;
      case 'retry':
        if (event.device === undefined) all({ what: 'grant', atMs });
        else this.log(event.device, { what: 'grant', atMs });
    }
  }

  private halt(status: 'paused' | 'stopped', atMs: number): void {
    if (this.status !== 'paused') {
      this.before = this.status;
      this.heldMs = atMs;
    }
    this.status = status;
  }

  private open(atMs: number): void {
    this.status = 'running';
    this.opened += 1;
    this.openedMs = atMs;
  }
}
