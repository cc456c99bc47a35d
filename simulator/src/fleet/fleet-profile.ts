// The SDK's profile of a simulated fleet: what the scenario says, in the words of the SDK.

import {
  type ConnectOptions,
  type Device,
  type DeviceEvents,
  DeviceProfile,
  type Sensor,
  type ShadowHandler,
  type ShadowOptions,
} from '@flotilla/sdk';
import type { UpdateProfile } from '@flotilla/sdk/ota/update-profile';
import { TAKEN_SIZE_MAX } from '../scenario/message-size.ts';
import type { Fleet, Scenario } from '../scenario/schema.ts';
import { createSensors } from '../world/sensors.ts';
import type { Application } from './application.ts';
import type { SimulatedPlatform } from './simulated-platform.ts';

/** What a profile needs of the run around it. */
export interface FleetContext {
  readonly scenario: Scenario;
  readonly run: string;
  readonly broker: ConnectOptions;
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** Devices of the thread: bounds their local indices. */
  readonly deviceCount: number;
  /** The update client, of devices with firmware. */
  readonly update: UpdateProfile<Device> | undefined;
}

/** The profile of a fleet whose devices tell `events`. */
export function createFleetProfile(
  context: FleetContext,
  fleet: Fleet,
  application: Application | undefined,
  events: DeviceEvents,
): DeviceProfile {
  const { broker, password, run, scenario, update, username } = context;
  const isDevice = fleet.kind === 'device';
  return new DeviceProfile({
    broker,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password: Buffer.from(password) }),
    topics: scenario.topics,
    protocol: fleet.protocol === 'auto' ? 0 : fleet.protocol === '5' ? 5 : 4,
    keepAliveMs: fleet.keepAliveMs,
    sessionExpiryS: Math.ceil(fleet.sessionExpiryMs / 1000),
    inflightMax: fleet.inflight,
    // The gate counts the time instead: a device may wait long for its turn.
    connectMsMax: Number.POSITIVE_INFINITY,
    retryMsMin: fleet.retry.minMs,
    retryMsMax: fleet.retry.maxMs,
    status: isDevice,
    takesCommands: isDevice,
    diagnostics: isDevice,
    subscriptions: fleet.subscribe.map((filter) => ({
      filter: filter.replaceAll('{run}', run),
      qos: fleet.qos,
    })),
    // Subscribers count what they get, whatever its size.
    ...(fleet.subscribe.length === 0 ? {} : { packetSizeMax: TAKEN_SIZE_MAX }),
    bufferSize: fleet.bufferSize,
    qos: fleet.qos,
    intervalMs: fleet.intervalMs,
    sensors: isDevice ? deviceSensors(context, fleet, application) : [PULSE],
    ...(fleet.wake === undefined ? {} : { wake: fleet.wake }),
    ...shadowOf(context, fleet, application),
    ...(update === undefined ? {} : { update }),
    commands: application?.commands ?? {},
    events,
  });
}

/** Devices have a shadow where their application has, or the timeline changes it. */
function shadowOf(
  { scenario }: FleetContext,
  fleet: Fleet,
  application: Application | undefined,
): { shadow?: ShadowOptions<Device> } {
  if (application?.shadow !== undefined) return { shadow: application.shadow };
  const handlers: Record<string, ShadowHandler<Device>> = {};
  for (const event of scenario.timeline) {
    if (event.kind !== 'shadow' || !event.fleets.includes(fleet.name)) continue;
    for (const key of Object.keys(event.desired)) {
      handlers[key] = key === 'reportingInterval' ? setReportingInterval : takeAnything;
    }
  }
  return Object.keys(handlers).length === 0 ? {} : { shadow: { handlers } };
}

/** In seconds. */
const setReportingInterval: ShadowHandler<Device> = (value, device) => {
  if (typeof value !== 'number') throw new RangeError('reportingInterval: expected seconds');
  device.setInterval(value * 1000);
  return undefined;
};

/** What it means is the application's business; that it arrives is ours. */
const takeAnything: ShadowHandler<Device> = () => undefined;

function deviceSensors(
  { deviceCount, scenario }: FleetContext,
  fleet: Fleet,
  application: Application | undefined,
): Sensor[] {
  const placeOf = (device: Parameters<Sensor['read']>[0]) => device.platform as SimulatedPlatform;
  return [
    ...createSensors(fleet.sensors, scenario.seed, deviceCount, placeOf),
    ...(application?.sensors ?? []),
  ];
}

/** A plain client's message is made by `PlainClient`; this says that one is due. */
const PULSE: Sensor = { name: 'pulse', read: () => 1 };
