// The run's side of firmware updates: an OTA server with the devices of the run, releases signed by
// the keys of its seed, the timeline's rollouts, and what became of them.

import { type SignedRelease, signRelease } from '@flotilla/ota-server/releases';
import { toHex } from '@flotilla/sdk/codec/bytes';
import { Catalogue, type CatalogueRelease } from '../firmware/catalogue.ts';
import {
  createRunKey,
  deviceToken,
  idOf,
  publicPem,
  type RunKey,
  VENDOR,
} from '../firmware/keys.ts';
import type { Registry } from '../metrics/registry.ts';
import type { AttackSummary, RolloutSummary } from '../report/updates.ts';
import { deviceId, type Scenario } from '../scenario/schema.ts';
import type { ReleaseEvent, RolloutEvent } from '../scenario/update.ts';
import { AttackPart, needsAttacks } from './attack-part.ts';
import type { OtaUrls, Target } from './messages.ts';
import {
  type DeviceInput,
  type OtaAdmin,
  type RolloutInput,
  type RolloutStatus,
  remoteOtaAdmin,
  startOtaAdmin,
} from './ota-admin.ts';

/** A server that somebody else runs. */
export interface RemoteServer {
  readonly url: string;
  readonly adminKey: string;
}

export interface UpdatePartOptions {
  readonly scenario: Scenario;
  readonly run: string;
  readonly broker: Target;
  /** Absent: the run starts its own. */
  readonly remote?: RemoteServer;
  /** Ms since the scenario began. */
  elapsedMs(): number;
  /** All rollouts came to their end `endAfterRollouts` ago. */
  onEnd(): void;
  /** Ends the run, with the reason. */
  fail(message: string): void;
}

/** How often rollouts are evaluated, and how often their state is asked for. */
const EVALUATE_MS = 250;
const STATUS_MS = 500;
/** States that a rollout does not leave by itself. */
const ENDS: readonly string[] = ['completed', 'stopped', 'aborted', 'rolled-back'];
const COSE_ED25519 = -19;
/** Between two attempts of a device, and at most. */
const RETRY_MS = 1000;
const RETRY_MS_MAX = 5000;

export class UpdatePart {
  private readonly options: UpdatePartOptions;
  private readonly catalogue: Catalogue;
  private readonly key: RunKey;
  /** What is uploaded when the event comes: the release, and the one that takes it back. */
  private readonly signed = new Map<ReleaseEvent, readonly SignedRelease[]>();
  /** By version. */
  private readonly releaseIds = new Map<string, string>();
  private readonly timers: NodeJS.Timeout[] = [];
  private readonly rollouts: string[] = [];
  private statuses: readonly RolloutStatus[] = [];
  private admin: OtaAdmin | undefined;
  private attacks: AttackPart | undefined;
  /** Events happen one after another: a rollout needs its release. */
  private work: Promise<void> = Promise.resolve();
  private stopped = false;
  /** Since when all rollouts are at their end; ms since the scenario began. */
  private overSinceMs = Number.POSITIVE_INFINITY;

  constructor(options: UpdatePartOptions) {
    this.options = options;
    this.catalogue = new Catalogue(options.scenario);
    this.key = createRunKey(options.scenario.seed, 'manifest');
  }

  /** Resolves with the URL of the server, which knows the devices of the run. */
  async start(): Promise<OtaUrls> {
    const { broker, remote, run, scenario } = this.options;
    if (needsAttacks(scenario)) this.attacks = new AttackPart(scenario, run, this.catalogue);
    const attacker = await this.attacks?.start();
    const pollsMs = scenario.fleets.flatMap(({ firmware }) => firmware?.pollMs ?? []);
    for (const release of this.catalogue.releases) {
      this.signed.set(release.event, this.sign(release));
    }
    this.admin =
      remote === undefined
        ? await startOtaAdmin({
            key: this.key,
            broker,
            connectMsMax: scenario.connect.timeoutMs,
            topics: scenario.topics,
            clientId: `${run}-ota`,
            pollMs: Math.min(...pollsMs),
            evaluateMs: EVALUATE_MS,
          })
        : remoteOtaAdmin(remote.url, remote.adminKey);
    // The run may have ended meanwhile.
    if (this.stopped) await this.stop();
    const { admin } = this;
    await admin?.register(this.devices());
    return { server: admin?.url ?? '', attacker };
  }

  /** The scenario begins: its timeline counts from now. */
  begin(): void {
    if (this.admin !== undefined) this.attacks?.begin(this.admin.url);
    for (const event of this.options.scenario.timeline) {
      if (event.kind !== 'release' && event.kind !== 'rollout') continue;
      this.timers.push(setTimeout(() => this.enqueue(() => this.apply(event)), event.atMs));
    }
    this.timers.push(setInterval(() => this.enqueue(() => this.look()), STATUS_MS));
  }

  /** Takes the last state of the rollouts. */
  async finish(): Promise<void> {
    this.clear();
    await this.work;
    if (this.admin !== undefined) await this.look();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.clear();
    const { admin } = this;
    this.admin = undefined;
    await this.attacks?.stop();
    await admin?.stop();
  }

  /** What the server knows, beside what the devices count themselves. */
  addTo(registry: Registry): void {
    this.attacks?.addTo(registry);
    const { fleets, timeline } = this.options.scenario;
    // Each device may be offered a release so often, and be taken back.
    const attempts = timeline.flatMap((event) =>
      event.kind === 'rollout' ? event.attemptsMax : [],
    );
    const hasRollback = timeline.some(
      (event) => event.kind === 'release' && event.rollbackTo !== undefined,
    );
    const updatesMax = Math.max(0, ...attempts) + Number(hasRollback);
    const fleet = fleets.findIndex(({ firmware }) => firmware !== undefined);
    let uninvited = 0;
    let invited = 0;
    let waveCount = 0;
    for (const { history, waves } of this.statuses) {
      for (const entry of history) if (entry.type === 'alert') this.countAlert(entry, registry);
      for (const { byStatus, open, size } of waves) {
        const untouched = byStatus.pending + byStatus.already + byStatus.excluded;
        if (!open) uninvited += Math.max(0, size - untouched);
        if (open) invited += size * updatesMax;
        if (open) waveCount += 1;
      }
    }
    registry.gauge('ota_waves', fleet).set(waveCount);
    // Also where the server does not know of it: devices that began without an open wave.
    const beyond = Math.max(0, registry.total('ota_started') - invited);
    registry.counter('ota_uninvited', fleet).add(Math.max(uninvited, beyond));
  }

  /** An alert is of the fleets whose hardware it names. */
  private countAlert({ deviceClasses }: { deviceClasses: readonly string[] }, registry: Registry) {
    for (const [index, { firmware }] of this.options.scenario.fleets.entries()) {
      const isNamed = firmware !== undefined && deviceClasses.includes(firmware.hardware);
      if (isNamed) registry.counter('ota_alerts', index).add();
    }
  }

  /** For the summary. */
  results(): { rollouts: RolloutSummary[]; attacks?: AttackSummary[] } {
    const attacks = this.attacks?.summaries();
    const rollouts = this.summaries();
    return { rollouts, ...(attacks === undefined ? {} : { attacks }) };
  }

  private summaries(): RolloutSummary[] {
    const now = Date.now();
    const elapsedMs = this.options.elapsedMs();
    return this.statuses.map((status) => summaryOf(status, (atMs) => elapsedMs - (now - atMs)));
  }

  private enqueue(act: () => Promise<void>): void {
    this.work = this.work.then(async () => {
      if (this.stopped) return;
      try {
        await act();
      } catch (error) {
        this.options.fail((error as Error).message);
      }
    });
  }

  private clear(): void {
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.length = 0;
  }

  private async apply(event: ReleaseEvent | RolloutEvent): Promise<void> {
    const { admin, options } = this;
    if (admin === undefined) return;
    if (event.kind === 'release') {
      const [release, rollback] = this.signed.get(event)!;
      this.releaseIds.set(event.version, await this.upload(admin, release!));
      if (rollback !== undefined) await this.upload(admin, rollback);
      return;
    }
    const salt = `${options.run} ${this.rollouts.length}`;
    // Its id: a rollback release may have the same version.
    const release = this.releaseIds.get(event.release) ?? event.release;
    this.rollouts.push(await admin.createRollout({ ...rolloutInput(event, salt), release }));
  }

  private async upload(admin: OtaAdmin, signed: SignedRelease): Promise<string> {
    try {
      return await admin.addRelease(signed);
    } catch (error) {
      if (this.options.remote === undefined) throw error;
      // The commonest mistake: the server does not know the keys of this seed.
      const pem = publicPem(this.key);
      const advice = 'It has to trust the release key of this seed: flotilla-ota serve --key FILE';
      throw new Error(`${(error as Error).message}\n${advice}\n${pem}`);
    }
  }

  private async look(): Promise<void> {
    const { admin } = this;
    if (admin === undefined) return;
    this.statuses = await Promise.all(this.rollouts.map((rollout) => admin.status(rollout)));
    const { elapsedMs, onEnd, scenario } = this.options;
    const count = scenario.timeline.filter(({ kind }) => kind === 'rollout').length;
    const isOver = (status: RolloutStatus) => ENDS.includes(status.status);
    const areDone = count > 0 && this.statuses.length === count && this.statuses.every(isOver);
    // Who is attacked takes no part in a rollout, so that does not end.
    const areOver = this.attacks === undefined ? areDone : this.attacks.isOver;
    if (!areOver) this.overSinceMs = Number.POSITIVE_INFINITY;
    else this.overSinceMs = Math.min(this.overSinceMs, elapsedMs());
    const { endAfterRolloutsMs = Number.POSITIVE_INFINITY } = scenario;
    if (elapsedMs() - this.overSinceMs >= endAfterRolloutsMs) onEnd();
  }

  private devices(): DeviceInput[] {
    const { run, scenario } = this.options;
    return scenario.fleets.flatMap(({ count, firmware, id: pattern, name }) => {
      if (firmware === undefined) return [];
      return Array.from({ length: count }, (_, index) => {
        const id = deviceId(pattern, run, name, index);
        return {
          id,
          token: deviceToken(scenario.seed, id),
          vendor: toHex(idOf(VENDOR)),
          class: toHex(idOf(firmware.deviceClass)),
          hardware: firmware.hardware,
          groups: [name],
        };
      });
    });
  }

  /** The release, and beside it the one that takes it back. */
  private sign({ event, image, rollback, sequence }: CatalogueRelease): SignedRelease[] {
    const key = { ...this.key, algorithm: 'ed25519', coseAlgorithm: COSE_ED25519 } as const;
    const form = { vendorId: idOf(VENDOR), classId: idOf(event.deviceClass) };
    const bases = event.from.flatMap((version) => {
      return this.catalogue.find(event.deviceClass, version)?.bytes ?? [];
    });
    const { version } = image;
    const release = signRelease({ ...form, sequence, version, images: [image.bytes], bases }, key);
    if (rollback === undefined) return [release];
    const back = signRelease(
      {
        ...form,
        sequence: sequence + 1,
        version: rollback.version,
        requires: { comparison: 'equal', version },
        images: [rollback.bytes],
        bases: [image.bytes],
      },
      key,
    );
    return [release, back];
  }
}

function rolloutInput(event: RolloutEvent, salt: string): RolloutInput {
  const { atMs: _, kind: __, waves, ...numbers } = event;
  return {
    ...numbers,
    salt,
    waves: waves.map(({ spreadMs, ...wave }) => ({
      ...wave,
      ...(spreadMs === 0 ? {} : { spreadMs }),
    })),
    retryDelayMs: RETRY_MS,
    retryDelayMsMax: RETRY_MS_MAX,
  };
}

/** `since`: from ms since 1970 to ms since the scenario began. */
function summaryOf(status: RolloutStatus, since: (atMs: number) => number): RolloutSummary {
  const { history, rollout, version, waves } = status;
  return {
    rollout,
    version,
    status: status.status,
    waves: waves.map(({ byStatus, confirmed, failed, open, percent, size }) => ({
      percent,
      open,
      size,
      confirmed,
      failed,
      byStatus: Object.fromEntries(Object.entries(byStatus).filter(([, count]) => count > 0)),
    })),
    alerts: history.flatMap((entry) => {
      if (entry.type !== 'alert') return [];
      const { atMs, deviceClasses, failed, reason, resolved, wave } = entry;
      return [{ atMs: since(atMs), reason, wave, deviceClasses, failed, resolved }];
    }),
    history: history.flatMap((entry) => {
      if (entry.type !== 'record') return [];
      return [{ atMs: since(entry.atMs), to: entry.to, cause: entry.cause }];
    }),
  };
}
