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
import { beginPack, writeSample } from '@flotilla/sdk/codec/senml';
import type { UpdateProfile } from '@flotilla/sdk/ota/update-profile';
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
    bufferSize: Math.max(fleet.bufferSize, 2 * fleet.payloadSize),
    qos: fleet.qos,
    intervalMs: fleet.intervalMs,
    sensors: isDevice ? deviceSensors(context, fleet, application) : [padding(fleet.payloadSize)],
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

const NOTHING = new Uint8Array(0);

/** A sensor whose value fills a plain client's message up to `size` bytes. */
function padding(size: number): Sensor {
  const text = 'x'.repeat(size);
  const fits = new Map<string, number>();
  return {
    name: 'pad',
    read: (device) => {
      const { packCount, streamId } = device.sampler;
      // The head grows with the digits of the sequence; writing to nothing measures.
      const key = `${device.id.length} ${streamId.length} ${Math.floor(Math.log2(packCount + 1))}`;
      let length = fits.get(key);
      if (length === undefined) {
        const epochS = device.platform.clock.epochMs() / 1000 + 0.1234;
        const head = beginPack(NOTHING, 0, 2, device.id, streamId, epochS, packCount);
        length = size;
        while (
          length > 0 &&
          writeSample(NOTHING, head, 'pad', undefined, text.slice(0, length), 0) > size
        ) {
          length -= 1;
        }
        fits.set(key, length);
      }
      return text.slice(0, length);
    },
  };
}
