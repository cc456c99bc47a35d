// Runs one sequence of the model test and judges it.

import { ClientProfile } from '../../src/mqtt/client-profile.ts';
import type { Qos } from '../../src/mqtt/packet.ts';
import { BrokerModel } from './broker-model.ts';
import { judge, judgeMemory } from './model-judge.ts';
import { ModelOwner, stamp, unstamp } from './model-owner.ts';
import type { Notice, Plan, Step } from './model-plan.ts';
import { Random } from './random.ts';
import { VirtualPlatform } from './virtual-platform.ts';
import { WireAudit } from './wire-audit.ts';

/** Virtual time after which what is not delivered never will be. */
const SETTLE_MS_MAX = 600_000;
const WILL_TOPIC = 'devices/d1/status';

/** A message to the device, and what the broker could promise about it. */
export interface Sent {
  readonly number: number;
  readonly qos: Qos;
  /** The session that it was queued in; 0 = nobody was subscribed. */
  readonly sessionNumber: number;
  /** True where the client may skip it. */
  readonly oversize: boolean;
  readonly life: number;
}

/** What happened, to be summed up over sequences. */
export class Counts {
  published = 0;
  taken = 0;
  takenTwice = 0;
  sent = 0;
  received = 0;
  connects = 0;
  resumed = 0;
  cuts = 0;
  packets = 0;
  bytes = 0;
  virtualMs = 0;
}

export class ModelRun {
  readonly plan: Plan;
  platform: VirtualPlatform;
  owner: ModelOwner;
  readonly broker: BrokerModel;
  readonly audit: WireAudit;
  readonly sent: Sent[] = [];
  readonly profile: ClientProfile;
  /** What is wrong; empty = PASS. */
  readonly failures: string[] = [];
  readonly counts = new Counts();
  /** Allocations outstanding after a turn, at most. */
  viewCountMax = 0;
  /** Messages that the broker refused: others may overtake them. */
  readonly refused = new Set<number>();
  /** Sessions of the broker that the client was told to be new. */
  readonly toldSessions = new Set<number>();
  /** When the device was reset. */
  private readonly resetsMs: number[] = [];
  private readonly random: Random;
  private refuseCode = 0;
  private refuseCount = 0;
  private loseCount = 0;

  constructor(plan: Plan) {
    this.plan = plan;
    const { setup } = plan;
    this.random = new Random(setup.seed);
    const { receiveSize, transmitSize } = setup;
    this.platform = new VirtualPlatform({
      seed: setup.seed ^ 0x5bd1e995,
      transmitSize,
      receiveSize,
      scratchSize: transmitSize,
    });
    this.profile = new ClientProfile({
      broker: { host: 'broker', port: 1883 },
      protocol: setup.protocol,
      inflightMax: setup.inflightMax,
      receiveMax: setup.receiveMax,
      packetSizeMax: setup.packetSizeMax,
      keepAliveMs: setup.keepAliveS * 1000,
      sessionExpiryS: setup.sessionExpiryS,
      retryMsMin: 100,
      retryMsMax: 2000,
    });
    this.broker = new BrokerModel(this.platform.world);
    this.audit = new WireAudit(this.platform.world, {
      inflightMax: setup.inflightMax,
      keepAliveS: setup.keepAliveS,
    });
    this.setUpNetwork();
    this.setUpBroker();
    this.owner = this.newOwner();
  }

  run(): void {
    const { world } = this.platform;
    world.turn(() => this.owner.start());
    for (const step of this.plan.steps) {
      this.take(step);
      // What a step began goes on for a little before the next.
      if (!this.random.oneIn(3)) world.advance(this.random.pick([0, 1, 2, 5, 12]));
    }
    this.settle();
  }

  /** Resets of the device before `ms`: it knows nothing of what it sent before them. */
  lifeAt(ms: number): number {
    return this.resetsMs.filter((atMs) => atMs <= ms).length;
  }

  private get link() {
    return this.platform.link;
  }

  private newOwner(before?: ModelOwner): ModelOwner {
    const owner = new ModelOwner(this.platform, this.profile, before);
    owner.audit = this.audit;
    owner.onNewSession = () => {
      const session = this.broker.sessions.get('d1');
      if (session !== undefined) this.toldSessions.add(session.number);
    };
    if (this.plan.setup.hasWill) {
      owner.willMessage = {
        topic: WILL_TOPIC,
        payload: stamp(0, 1, 5),
        qos: 1,
        retain: false,
        delayS: 0,
      };
    }
    const { platform } = this;
    const { endTurn } = platform.memory;
    platform.world.onTurnEnd = () => {
      endTurn.call(platform.memory);
      this.viewCountMax = Math.max(this.viewCountMax, platform.memory.outstandingCount);
    };
    return owner;
  }

  private setUpNetwork(): void {
    const { link, random } = this;
    const { announceMsMax, chunkDownMax, chunkUpMax, delayMsMax, roomMax } = this.plan.setup;
    link.roomMax = roomMax;
    link.delayMs = () => random.below(delayMsMax + 1);
    link.announceMs = () => random.below(announceMsMax + 1);
    link.chunk = (direction, waiting) => {
      const max = direction === 'up' ? chunkUpMax : chunkDownMax;
      return max === 0 ? waiting : 1 + random.below(Math.min(max, waiting));
    };
    link.listener = (socket) => this.broker.accept(socket);
    link.taps.push(this.audit);
  }

  private setUpBroker(): void {
    const { broker, random } = this;
    const { ackDelayMsMax, acksInOrder, passOnAt, refusal, sendMax } = this.plan.setup;
    broker.speaks5 = refusal === 'none';
    if (refusal !== 'none') broker.versionRefusal = refusal;
    broker.ackDelayMs = () => random.below(ackDelayMsMax + 1);
    broker.acksInOrder = acksInOrder;
    broker.passOnAt = passOnAt;
    broker.sendMax = sendMax;
    broker.reasonOf = (_, payload) => {
      if (this.refuseCount === 0) return 0;
      this.refuseCount -= 1;
      this.refused.add(unstamp(payload));
      return this.refuseCode;
    };
  }

  private take(step: Step): void {
    const { broker, link } = this;
    const { world } = this.platform;
    switch (step.kind) {
      case 'publish': {
        const { qos, retain, size, topic } = step;
        world.turn(() => this.owner.send(topic, qos, size, retain));
        return;
      }
      case 'send':
      case 'oversize':
        this.send(step.qos, step.size, step.kind === 'oversize');
        return;
      case 'wait':
        world.advance(step.ms);
        return;
      case 'cut':
        this.planCut(step.direction, step.after, step.notice);
        return;
      case 'stall':
        link.stalledUntilMs = world.nowMs + step.ms;
        return;
      case 'outage':
        this.outage(step.ms, step.mute);
        return;
      case 'reset':
        this.reset();
        return;
      case 'restart':
        world.turn(() => this.owner.stop());
        world.advance(this.random.below(5));
        world.turn(() => this.owner.start());
        return;
      case 'refuse':
        this.refuseCode = step.code;
        this.refuseCount = step.count;
        return;
      case 'limits': {
        const { kind: _, ...limits } = step;
        Object.assign(broker.limits, limits);
        // They hold from the next connection on.
        for (const connection of [...broker.connections]) connection.crash();
        return;
      }
      default:
        this.takeBrokerStep(step);
    }
  }

  private takeBrokerStep(step: Step): void {
    const { broker } = this;
    const { world } = this.platform;
    switch (step.kind) {
      case 'crash':
        broker.restart(step.keeps);
        return;
      case 'forget':
        for (const connection of [...broker.connections]) connection.crash();
        broker.forget('d1');
        return;
      case 'disconnect':
        for (const connection of [...broker.connections]) connection.disconnect(step.code);
        return;
      case 'lose':
        this.loseCount = step.count;
        broker.loses = (cmd) => {
          if (cmd !== step.cmd || this.loseCount === 0) return false;
          this.loseCount -= 1;
          return true;
        };
        return;
      case 'garbage':
        for (const connection of broker.connections) {
          if (connection.session !== undefined) connection.write(Uint8Array.from(step.bytes));
        }
        return;
      case 'silence':
        broker.silent = true;
        world.advance(step.ms);
        broker.silent = false;
        // What it did not answer, it never will on these.
        for (const connection of [...broker.connections]) connection.crash();
        return;
      case 'reject':
        broker.connackCode = step.code;
        for (const connection of [...broker.connections]) connection.crash();
        world.advance(step.ms);
        broker.connackCode = 0;
        return;
      default:
        throw new Error(`model: step ${step.kind}`);
    }
  }

  private send(qos: Qos, size: number, oversize: boolean): void {
    const number = this.sent.length;
    this.broker.ignoresPacketSize = oversize;
    const session = this.broker.sessions.get('d1');
    const subscribed = session !== undefined && session.qosFor('devices/d1/in/x') >= 0;
    this.sent.push({
      number,
      qos,
      sessionNumber: subscribed ? session.number : 0,
      oversize: size + 40 > this.plan.setup.packetSizeMax,
      life: this.owner.life,
    });
    const payload = stamp(number, qos, size);
    this.broker.publish({ topic: 'devices/d1/in/x', payload, qos, retain: false });
  }

  private planCut(direction: 'up' | 'down', after: number, notice: Notice): void {
    const { link } = this;
    link.cutAfter = { up: undefined, down: undefined };
    link.cutAfter[direction] = after;
    const late = this.random.pick([40, 2500]);
    link.deviceNoticesMs =
      notice === 'device-never' ? undefined : notice === 'device-late' ? late : 1;
    link.serverNoticesMs =
      notice === 'server-never' ? undefined : notice === 'server-late' ? late : 1;
  }

  private outage(ms: number, mute: boolean): void {
    const { link } = this;
    link.refusal = mute ? undefined : 'connection refused';
    link.mute = mute;
    link.cut();
    this.platform.world.advance(ms);
    link.refusal = undefined;
    link.mute = false;
  }

  private reset(): void {
    this.resetsMs.push(this.platform.world.nowMs);
    this.platform.world.turn(() => {
      this.platform = this.platform.restart();
      this.audit.reset();
    });
    this.owner = this.newOwner(this.owner);
    this.platform.world.turn(() => this.owner.start());
  }

  /** Faults stop; everything comes to its end. */
  private settle(): void {
    const { link } = this;
    const { world } = this.platform;
    link.heal(this.hasNoKeepAlive());
    this.refuseCount = 0;
    this.loseCount = 0;
    world.until(() => this.isQuiet(), SETTLE_MS_MAX);
    // The subscription is there, whatever happened before.
    const before = this.owner.received.length;
    this.send(1, 5, false);
    world.until(() => this.owner.received.length > before && this.isQuiet(), SETTLE_MS_MAX);
    judge(this);
    world.turn(() => this.owner.stop());
    judgeMemory(this);
    this.count();
  }

  private count(): void {
    const { audit, broker, counts, link, owner, sent } = this;
    counts.published += owner.messages.length;
    counts.sent += sent.length;
    counts.connects += broker.connectCount[4] + broker.connectCount[5];
    counts.resumed += audit.resumedCount;
    counts.cuts += link.cutCount;
    for (const kind of Object.keys(audit.written)) counts.packets += audit.written[kind] ?? 0;
    counts.bytes += link.movedCount.up + link.movedCount.down;
    counts.virtualMs += this.platform.world.nowMs;
  }

  /** Without a keep-alive nobody notices a dead connection. */
  private hasNoKeepAlive(): boolean {
    const { setup, steps } = this.plan;
    if (setup.keepAliveS === 0) return true;
    return steps.some((step) => step.kind === 'limits' && step.serverKeepAliveS === 0);
  }

  private isQuiet(): boolean {
    const { broker, owner } = this;
    const session = broker.sessions.get('d1');
    return (
      owner.client.state === 'connected' &&
      owner.pendingCount === 0 &&
      owner.session.inflightCount === 0 &&
      owner.subscribedCount > 0 &&
      session !== undefined &&
      session.connection !== undefined &&
      session.subscriptions.size > 0 &&
      session.pendingCount === 0 &&
      this.audit.owedCount === 0
    );
  }
}

/** Runs a plan; what it throws is a failure like any other. */
export function runPlan(plan: Plan): ModelRun {
  const run = new ModelRun(plan);
  try {
    run.run();
  } catch (error) {
    run.failures.push(`threw ${error instanceof Error ? error.stack : String(error)}`);
  }
  return run;
}
