// A worker of a live run: one Piscina task for the whole run, with its own timer wheel on the
// real clock, its own sockets and its own devices.

import { setTimeout as sleep } from 'node:timers/promises';
import { type MessagePort, threadId } from 'node:worker_threads';
import {
  type BootReason,
  type ConnectOptions,
  Device,
  type DeviceProfile,
  type StreamHandlers,
  type Timer,
  type TimerTarget,
} from '@flotilla/sdk';
import { NodeStream, StreamBuffers } from '@flotilla/sdk/node';
import { type Application, loadApplication } from '../fleet/application.ts';
import { ApplicationTimer } from '../fleet/application-timer.ts';
import { DeviceClock } from '../fleet/device-clock.ts';
import { DevicePlaces, isSubscriber } from '../fleet/device-places.ts';
import type { FirmwareFleets } from '../fleet/firmware-fleets.ts';
import { FirmwarePlatform } from '../fleet/firmware-platform.ts';
import { FleetMemory } from '../fleet/fleet-memory.ts';
import { createFleetProfile } from '../fleet/fleet-profile.ts';
import { PlainClient } from '../fleet/plain-client.ts';
import { type Place, ProgramPlatform, type ProgramWorld } from '../fleet/program-platform.ts';
import { SimulatedPlatform } from '../fleet/simulated-platform.ts';
import { Wheel } from '../fleet/wheel.ts';
import { DeviceLedger } from '../ledger/device-ledger.ts';
import { FanOutPlan, hasSubscribers } from '../ledger/fan-out-plan.ts';
import { Registry } from '../metrics/registry.ts';
import { sentSizeMax } from '../scenario/message-size.ts';
import { type Fleet, hasFirmware } from '../scenario/schema.ts';
import { recordEnergy } from '../world/energy.ts';
import { Census } from './census.ts';
import { ConnectGate } from './connect-gate.ts';
import { DeviceMeter } from './device-meter.ts';
import { Disturbances } from './disturbances.ts';
import { FanOutMeter } from './fan-out-meter.ts';
import { Heartbeat } from './heartbeat.ts';
import type { FromWorker, ToWorker, WorkerReport, WorkerResult, WorkerTask } from './messages.ts';
import { ProgramWatch } from './program-watch.ts';
import { RunClock } from './run-clock.ts';

const REPORT_INTERVAL_MS = 250;
/** A report with trends, which are large; in between those of the one before stand. */
const TRENDS_EVERY = 8;
/** A report with a new census. */
const LOOK_EVERY = 32;
/** Between two looks at connects under way, and while there are none. */
const BUSY_HOUSE_MS = 10;
const HOUSE_MS = 250;
/** How late a message may be, at most, for the sake of sharing a wake-up with others. */
const WAKE_WINDOW_MS_MAX = 6;
const SUBSCRIBED_LOOK_MS = 20;
/** From a crash to a running program, without a bootloader that takes its own time. */
const BOOT_MS = 500;
/** How long the last bytes of all devices may take. */
const FAREWELL_MS_MAX = 3000;

class DeviceWorker implements ProgramWorld {
  readonly seed: number;
  readonly clock: RunClock;
  readonly memory: FleetMemory;
  private readonly task: WorkerTask;
  private readonly places: DevicePlaces;
  private readonly buffers: StreamBuffers;
  private readonly disturbances: Disturbances;
  private readonly gate: ConnectGate;
  private readonly heartbeat: Heartbeat;
  private readonly wheel: Wheel;
  private readonly registry: Registry;
  private readonly ledger: DeviceLedger;
  private readonly meter: DeviceMeter;
  private readonly census: Census;
  private readonly fanOut: FanOutMeter;
  /** Subscribers that wait for the answer to their first SUBSCRIBE, by local index. */
  private readonly unsubscribed = new Set<number>();
  private readonly platforms: SimulatedPlatform[] = [];
  /** By local index; absent until its turn in the ramp. */
  private readonly devices: (Device | undefined)[] = [];
  private readonly profiles: DeviceProfile[];
  /** Absent where no fleet has firmware. */
  private readonly firmware: FirmwareFleets | undefined;
  private readonly programs: ProgramWatch;
  private readonly brokerOptions: ConnectOptions;
  private sampling = true;
  /** The scenario has begun: devices may publish. */
  private hasBegun = false;
  private isOver = false;
  private isObserverBlind = false;
  private wakeMs = Number.POSITIVE_INFINITY;
  private wakeTimer: NodeJS.Timeout | undefined;
  /** Least time between two wakes; what is due within it fires together. */
  private wakeWindowMs = 1;
  private wokenMs = 0;
  private fireCount = 0;
  /** Keeps the loads of `warm` from being optimised away. */
  private warmth = 0;
  private houseDueMs = 0;
  private reportCount = 0;
  private readonly intervals: NodeJS.Timeout[] = [];

  /** `applications` by fleet. */
  constructor(
    task: WorkerTask,
    applications: readonly (Application | undefined)[],
    firmware: typeof import('../fleet/firmware-fleets.ts') | undefined,
  ) {
    this.task = task;
    const { scenario, target, start, worker, workerCount } = task;
    this.seed = scenario.seed;
    this.clock = new RunClock(start);
    this.buffers = new StreamBuffers(sentSizeMax(scenario, target));
    this.memory = new FleetMemory(this.buffers);
    this.disturbances = new Disturbances(scenario, this.clock, this.platforms, this.devices);
    this.registry = new Registry(scenario.fleets.map(({ name }) => name));
    this.census = new Census(this.platforms, this.devices, this.registry);
    const { host, port, tls } = target;
    this.brokerOptions = tls === undefined ? { host, port } : { host, port, tls };
    const { inFlight, rate, timeoutMs } = scenario.connect;
    const limits = {
      inFlight: Math.max(1, Math.floor(inFlight / workerCount)),
      rate: rate === undefined ? undefined : rate / workerCount,
      timeoutMs,
    };
    this.heartbeat = new Heartbeat(task.heartbeat);
    this.heartbeat.begin(threadId);
    this.programs = new ProgramWatch(applications, this.heartbeat, this.registry, (platform) =>
      this.idOf(platform),
    );
    this.gate = new ConnectGate(limits, (platform) => this.openStream(platform));
    this.firmware = firmware && new firmware.FirmwareFleets(task, this.registry, this);
    this.places = new DevicePlaces(scenario.fleets);
    for (let device = worker; device < this.places.total; device += workerCount) {
      const fleet = this.places.fleetOf(device);
      const localIndex = this.platforms.length;
      const place = { deviceIndex: device, localIndex, fleet };
      this.platforms.push(this.createPlatform(place));
    }
    this.wheel = new Wheel(this.platforms.length);
    this.ledger = new DeviceLedger(this.platforms.length);
    const { clock, firmware: firmwareFleets, gate, ledger, registry } = this;
    const plan = new FanOutPlan(scenario, task.run);
    this.fanOut = new FanOutMeter(plan, task, this.places, clock, registry);
    this.meter = new DeviceMeter({
      scenario,
      clock,
      registry,
      ledger,
      gate,
      firmware: firmwareFleets,
      fanOut: this.fanOut,
      connectedMs: task.connectedMs,
      onSubscribed: (localIndex) => this.unsubscribed.delete(localIndex),
    });
    this.profiles = scenario.fleets.map((fleet, index) =>
      this.createProfile(fleet, index, this.programs.applications[index]),
    );
    for (const { fleet } of this.platforms) this.registry.gauge('devices', fleet).add(1);
  }

  /** Runs until `finish`. */
  run(port: MessagePort): Promise<WorkerResult> {
    const { promise, resolve } = Promise.withResolvers<WorkerResult>();
    port.on('message', (message: ToWorker) => {
      if (message.kind === 'begin') this.begin(port, message.beginMs);
      else if (message.kind === 'subscribe') this.subscribe(port, message.fromMs);
      else if (message.kind === 'stop-sampling') this.stopSampling();
      else if (message.kind === 'observer') this.isObserverBlind = message.isBlind;
      else if (message.kind === 'gap') this.ledger.addGap(message.gap);
      else resolve(this.finish());
    });
    this.programs.listen((platform) => this.reset(platform, 'crash'));
    port.postMessage({ kind: 'ready' } satisfies FromWorker);
    return promise.finally(() => port.close());
  }

  /** Who hears of others is there before them; what they have to say themselves waits as well. */
  private subscribe(port: MessagePort, fromMs: number): void {
    const { fleets } = this.task.scenario;
    for (const { fleet, localIndex } of this.platforms) {
      if (isSubscriber(fleets[fleet]!)) this.unsubscribed.add(localIndex);
    }
    this.startDevices(fromMs, true);
    this.sendReports(port);
    const look = setInterval(() => {
      if (this.unsubscribed.size > 0) return;
      clearInterval(look);
      port.postMessage({ kind: 'subscribed' } satisfies FromWorker);
    }, SUBSCRIBED_LOOK_MS);
    this.intervals.push(look);
    this.wake();
  }

  private begin(port: MessagePort, beginMs: number): void {
    this.meter.begin(beginMs);
    this.hasBegun = true;
    this.startDevices(beginMs, false);
    for (const device of this.devices) device?.startSampling();
    this.disturbances.begin(beginMs);
    if (!hasSubscribers(this.task.scenario)) this.sendReports(port);
    this.wake();
  }

  /** Starts those who subscribe, or those who do not, each at its place in the ramp. */
  private startDevices(fromMs: number, subscribers: boolean): void {
    const { fleets, rampMs } = this.task.scenario;
    const { places } = this;
    const first = subscribers ? 0 : places.subscriberCount;
    for (const { deviceIndex, fleet, localIndex } of this.platforms) {
      if (isSubscriber(fleets[fleet]!) !== subscribers) continue;
      // The ramp is over the run's devices, whichever worker has them.
      const place = places.rampPlaceOf(deviceIndex) - first;
      this.wheel.start(localIndex, fromMs + (rampMs * place) / places.total);
    }
  }

  private sendReports(port: MessagePort): void {
    const report = () => {
      this.heartbeat.beat();
      port.postMessage(this.nextReport());
    };
    this.intervals.push(setInterval(report, REPORT_INTERVAL_MS));
  }

  // The world of the devices.

  startTimer(localIndex: number, dueMs: number): void {
    this.wheel.start(localIndex, dueMs);
    if (dueMs < this.wakeMs - 1) this.wakeAt(dueMs);
  }

  createTimer(target: TimerTarget): Timer {
    return new ApplicationTimer(target);
  }

  stopTimer(localIndex: number): void {
    this.wheel.stop(localIndex);
  }

  connect(
    platform: SimulatedPlatform,
    _options: ConnectOptions,
    handlers: StreamHandlers,
    target: unknown,
  ): NodeStream {
    const nowMs = this.clock.monotonicMs();
    // A second connect at once (the fall-back to 3.1.1) takes its turn anew.
    this.gate.release(platform, nowMs);
    const stream = new NodeStream(handlers, target, this.buffers);
    // `connect` returns before the stream can say anything.
    queueMicrotask(() => {
      const requestMs = this.clock.monotonicMs();
      const { links } = this.disturbances;
      if (links.isDown(platform.fleet)) links.cut(stream);
      else if (platform.stream === stream) this.gate.request(platform, requestMs);
      this.houseDueMs = Math.min(this.houseDueMs, requestMs + BUSY_HOUSE_MS);
    });
    return stream;
  }

  private openStream(platform: SimulatedPlatform): void {
    platform.connectStartMs = this.clock.monotonicMs();
    platform.stream?.open(this.brokerOptions);
  }

  private readonly giveUp = ({ localIndex, stream }: SimulatedPlatform): void => {
    const isGreeting = this.devices[localIndex]?.client.state === 'greeting';
    stream?.cut(isGreeting ? 'no CONNACK in time' : 'connect timed out');
  };

  // Time.

  private wakeAt(dueMs: number): void {
    clearTimeout(this.wakeTimer);
    this.wakeMs = dueMs;
    const delayMs = Math.max(this.wakeWindowMs, dueMs - this.clock.monotonicMs());
    this.wakeTimer = setTimeout(this.wake, delayMs);
  }

  private readonly wake = (): void => {
    // Timers started by what fires below do not wake on their own.
    this.wakeMs = Number.NEGATIVE_INFINITY;
    const nowMs = this.clock.monotonicMs();
    this.fireCount = 0;
    this.wheel.forEachDue(nowMs, this.warm);
    this.wheel.advance(nowMs, this.fire);
    this.clock.letGo();
    // To wake costs about as much as two messages: where some are due each ms, they share it.
    const perMs = this.fireCount / Math.max(1, nowMs - this.wokenMs);
    this.wakeWindowMs = Math.min(WAKE_WINDOW_MS_MAX, Math.max(1, Math.round(2 * perMs)));
    this.wokenMs = nowMs;
    if (nowMs >= this.houseDueMs) this.keepHouse(nowMs);
    this.wakeAt(Math.min(this.wheel.nextMs(), this.houseDueMs));
  };

  /**
   * Brings what a device needs into the processor's cache. A large fleet does not fit into it, and
   * loads of several devices that do not wait for each other overlap: measured 1 µs per message.
   */
  private readonly warm = (localIndex: number): void => {
    const device = this.devices[localIndex];
    if (device === undefined) return;
    const { client, counters, outbox, sampler } = device;
    const stream = this.platforms[localIndex]!.stream;
    this.warmth += outbox.count + sampler.packCount + counters.connects;
    this.warmth += client.connectedMs + (stream === undefined ? 0 : stream.lag);
  };

  private readonly fire = (localIndex: number): void => {
    this.fireCount += 1;
    this.clock.hold();
    if (this.devices[localIndex] === undefined) this.startDevice(localIndex);
    else this.platforms[localIndex]!.fire();
  };

  private keepHouse(nowMs: number): void {
    this.houseDueMs = nowMs + (this.gate.isBusy ? BUSY_HOUSE_MS : HOUSE_MS);
    this.gate.expire(nowMs, this.giveUp);
    this.gate.admit(nowMs);
    if (!this.isObserverBlind) this.ledger.prune(nowMs);
  }

  isLinkUp(fleet: number): boolean {
    return !this.disturbances.links.isServerDown(fleet);
  }

  // Devices.

  enter(platform: ProgramPlatform, act: () => void): void {
    this.programs.enter(platform, act);
  }

  failed(platform: ProgramPlatform, error: unknown): boolean {
    return this.programs.failed(platform, error);
  }

  feedWatchdog(): void {
    this.heartbeat.feed();
  }

  reset(platform: ProgramPlatform, reason: BootReason): void {
    if (platform.isResetting) return;
    platform.isResetting = true;
    platform.resetReason = reason;
    // The program may be in the middle of the call that led here.
    queueMicrotask(() => this.dropProgram(platform));
  }

  private dropProgram(platform: ProgramPlatform): void {
    const { fleet, localIndex } = platform;
    const device = this.devices[localIndex];
    if (device !== undefined) {
      this.ledger.restarted(localIndex, device);
      if (device.isConnected) this.registry.gauge('devices_connected', fleet).add(-1);
      this.devices[localIndex] = undefined;
    }
    const nowMs = this.clock.monotonicMs();
    this.gate.release(platform, nowMs);
    platform.drop();
    this.wheel.stop(localIndex);
    if (this.isOver) return;
    const bootMs = platform instanceof FirmwarePlatform ? this.firmware!.bootMs(fleet) : BOOT_MS;
    this.startTimer(localIndex, nowMs + bootMs);
  }

  private startDevice(localIndex: number): void {
    // A ramp of 0 s starts all devices in one turn.
    this.heartbeat.beat();
    const platform = this.platforms[localIndex]!;
    if (platform instanceof FirmwarePlatform && !this.firmware!.boot(platform)) return;
    const fleet = this.task.scenario.fleets[platform.fleet]!;
    const id = this.idOf(platform);
    platform.startedMs = this.clock.monotonicMs();
    if (fleet.clock !== undefined) {
      platform.clock = new DeviceClock(this.clock, fleet.clock, this.seed, platform.deviceIndex);
    }
    const identity = { platform, id, profile: this.profiles[platform.fleet]! };
    const device =
      fleet.kind === 'plain' ? new PlainClient(identity, fleet.payloadSize) : new Device(identity);
    this.devices[localIndex] = device;
    this.ledger.started(localIndex, device);
    const application = this.programs.applications[platform.fleet];
    if (platform instanceof ProgramPlatform) {
      platform.guard(() => this.startProgram(device, platform, application));
    } else {
      this.startProgram(device, platform, application);
    }
  }

  private startProgram(device: Device, platform: SimulatedPlatform, application?: Application) {
    application?.start(device, platform);
    device.start();
    if (!this.sampling || !this.hasBegun) device.stopSampling();
  }

  private createPlatform(place: Place): SimulatedPlatform {
    const { deviceIndex, fleet, localIndex } = place;
    const withFirmware = this.firmware?.createPlatform(place);
    if (withFirmware !== undefined) return withFirmware;
    if (this.programs.applications[fleet] !== undefined) return new ProgramPlatform(this, place);
    return new SimulatedPlatform(this, deviceIndex, localIndex, fleet);
  }

  private idOf({ deviceIndex }: SimulatedPlatform): string {
    return this.places.idOf(deviceIndex, this.task.run);
  }

  private createProfile(
    fleet: Fleet,
    index: number,
    application: Application | undefined,
  ): DeviceProfile {
    const { scenario, run, target } = this.task;
    const context = {
      scenario,
      run,
      broker: this.brokerOptions,
      username: target.username,
      password: target.password,
      deviceCount: this.platforms.length,
      update: this.firmware?.createProfile(index),
    };
    return createFleetProfile(context, fleet, application, this.meter.events(index));
  }

  // The end.

  private stopSampling(): void {
    this.sampling = false;
    this.disturbances.stopChurn();
    for (const device of this.devices) device?.stopSampling();
  }

  private nextReport(): WorkerReport {
    this.reportCount += 1;
    // At the end the main thread waits for what is pending.
    if (!this.sampling || this.reportCount % LOOK_EVERY === 0) this.census.look(!this.sampling);
    return this.report(!this.sampling || this.reportCount % TRENDS_EVERY === 0);
  }

  private report(withTrends: boolean): WorkerReport {
    return {
      kind: 'report',
      registry: this.registry.toWire(withTrends),
      pending: this.census.pending,
      missedSamples: this.census.missedSamples,
      health: this.meter.health(),
      ...this.meter.reasons.toObject(),
      applicationErrors: this.programs.errors.toList(),
      thrownOut: this.meter.thrownOut.count,
      connections: this.meter.takeConnections(),
      upToMs: this.clock.monotonicMs(),
      versions: { ...this.meter.versions },
    };
  }

  private async finish(): Promise<WorkerResult> {
    recordEnergy(this.registry, this.task.scenario.fleets, this.platforms, this.devices);
    this.census.look(!this.sampling);
    const report = this.report(true);
    const accounts = this.platforms.map(({ deviceIndex, localIndex }) =>
      this.ledger.account(deviceIndex, localIndex, this.devices[localIndex]),
    );
    const leftovers = this.platforms.flatMap((platform) => {
      const device = this.devices[platform.localIndex];
      // One that boots just now has been connected perhaps.
      if (device === undefined) return platform.wasConnected ? [this.idOf(platform)] : [];
      // MQTT 5 ends a session with DISCONNECT, 3.1.1 only with a clean connect.
      return device.isConnected && device.client.version === 5 ? [] : [device.id];
    });
    this.isOver = true;
    for (const platform of this.platforms) {
      if (platform instanceof ProgramPlatform) platform.retire();
    }
    for (const device of this.devices) device?.retire();
    this.buffers.flush();
    clearTimeout(this.wakeTimer);
    this.disturbances.stop();
    for (const interval of this.intervals) clearInterval(interval);
    // A DISCONNECT that does not go out would leave a will behind.
    const deadlineMs = this.clock.monotonicMs() + FAREWELL_MS_MAX;
    while (this.buffers.openCount > 0 && this.clock.monotonicMs() < deadlineMs) await sleep(10);
    return { report, accounts, fanOut: this.fanOut.result(), leftovers };
  }
}

/** The Piscina task. */
export default async function runWorker(task: WorkerTask): Promise<WorkerResult> {
  const applications = await Promise.all(
    task.scenario.fleets.map(({ application }) => {
      return application === undefined ? undefined : loadApplication(application);
    }),
  );
  // A machine with its bootloader: runs without them do not hold them.
  const firmware = hasFirmware(task.scenario)
    ? await import('../fleet/firmware-fleets.ts')
    : undefined;
  return await new DeviceWorker(task, applications, firmware).run(task.port);
}
