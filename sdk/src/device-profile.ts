// What all devices of a kind have in common: broker, limits, sensors, command handlers.
// One object per kind and thread, so that a device itself stays small.

import type { FullPolicy } from './buffer/outbox.ts';
import type { CommandHandler } from './commands/commands.ts';
import { RESULT_SIZE_MAX } from './commands/result.ts';
import type { Device } from './device.ts';
import { type ClientOptions, ClientProfile } from './mqtt/client-profile.ts';
import type { Packet, Qos, Subscription } from './mqtt/packet.ts';
import { isShared, isSubscriptionFilter } from './mqtt/topic.ts';
import { TopicTemplate } from './mqtt/topic-template.ts';
import type { UpdateProfile } from './ota/update-profile.ts';
import type { UpdateStage } from './ota/update-state.ts';
import type { AdaptiveOptions } from './sampling/adaptive.ts';
import type { AnomalyOptions } from './sampling/anomaly.ts';
import { checkSensor } from './sampling/sensor-state.ts';
import type { WindowOptions } from './sampling/window.ts';
import { type ShadowOptions, ShadowProfile } from './shadow/shadow-profile.ts';
import { offlineStatus } from './status.ts';
import { type WakeOptions, WakeProfile } from './wake.ts';

/** Sensors of a device: their pack then has a head of one byte. */
export const SENSOR_COUNT_MAX = 20;

/**
 * One measured quantity. Shared by all devices of a profile.
 *
 * A sensor is read and sent every `intervalMs` of the profile. At most one of `adaptive`, `window`
 * and `every` says otherwise; `anomaly` may go with each of them, or alone (docs/sampling.md).
 * Text can be sent plainly or thinned, nothing else; false and true count as 0 and 1.
 */
export interface Sensor {
  /** SenML name: starts with a letter or digit, then also - : . / _ */
  readonly name: string;
  /** SenML unit (RFC 8428 §12.1), such as 'Cel', '%RH', 'V'. */
  readonly unit?: string;
  /** Read as often as it moves, sent when it left a deadband. */
  readonly adaptive?: AdaptiveOptions;
  /** Read often, sent as count, mean, min, max and standard deviation. */
  readonly window?: WindowOptions;
  /** Values far from the usual are sent at once, with PRIORITY_HIGH. */
  readonly anomaly?: AnomalyOptions;
  /** Sent at one in this many intervals; 1 or more. */
  readonly every?: number;
  /** The present value; undefined = nothing to report this time. */
  read(device: Device): number | boolean | string | undefined;
}

/** What a device tells the program around it. Shared by all devices of a profile. */
export interface DeviceEvents {
  onConnected?(device: Device): void;
  /** `wasConnected` is false for an attempt that failed. */
  onDisconnected?(device: Device, reason: string, wasConnected: boolean): void;
  /** A telemetry message was put in the buffer. */
  onProduced?(device: Device, sequence: number): void;
  /**
   * The server took a telemetry message, or it was written at QoS 0. `scheduledMs` is the
   * monotonic time, modulo 2^32, of its samples; `buffered` says that it waited for a connection.
   */
  onAcknowledged?(device: Device, sequence: number, scheduledMs: number, buffered: boolean): void;
  /** A message of a subscription of the profile's own; byte ranges are valid until the return. */
  onMessage?(device: Device, packet: Packet, source: Uint8Array): void;
  /** A telemetry message was given up; `cause` in words, such as 'buffer full'. */
  onDropped?(device: Device, sequence: number, cause: string): void;
  /** Where an update stands; what is reported to the server, as it happens. */
  onUpdateStage?(device: Device, stage: UpdateStage, reason: string): void;
}

export interface DeviceOptions extends ClientOptions {
  readonly sensors: readonly Sensor[];
  /** Sampling interval of all sensors, ms; Infinity = only what `device.report` is told. */
  readonly intervalMs: number;
  /** False leaves out the retained status with birth and will. */
  readonly status?: boolean;
  /** False leaves out the subscription to commands. */
  readonly takesCommands?: boolean;
  /** False leaves out diagnostics. */
  readonly diagnostics?: boolean;
  /** Topic filters beside those of the SDK; their messages go to `events.onMessage`. */
  readonly subscriptions?: readonly Subscription[];
  /** QoS of telemetry, default 1. */
  readonly qos?: Qos;
  /** Bytes of the store-and-forward buffer, default 4,096. */
  readonly bufferSize?: number;
  /** What happens when it is full, default 'drop-oldest'. */
  readonly fullPolicy?: FullPolicy;
  /** The shadow: handlers of desired values, and who wins in a conflict. */
  readonly shadow?: ShadowOptions<Device>;
  /** Topics of the shadow, default `topics`; AWS: '$aws/things/{id}/{topic}' and `jsonCodec`. */
  readonly shadowTopics?: string;
  /** Connection mode `wake`: connects now and then only, and sleeps in between. */
  readonly wake?: WakeOptions;
  /** Firmware updates. Made by the program, so that one without them does not carry their code. */
  readonly update?: UpdateProfile<Device>;
  /** Commands by name, beside the built-in `ping`. */
  readonly commands?: { readonly [name: string]: CommandHandler };
  readonly events?: DeviceEvents;
}

export class DeviceProfile {
  readonly client: ClientProfile;
  readonly sensors: readonly Sensor[];
  readonly intervalMs: number;
  readonly status: boolean;
  readonly takesCommands: boolean;
  readonly diagnostics: boolean;
  readonly subscriptions: readonly Subscription[];
  readonly qos: Qos;
  readonly bufferSize: number;
  readonly fullPolicy: FullPolicy;
  /** Absent: the device has no shadow. */
  readonly shadow: ShadowProfile<Device> | undefined;
  readonly shadowTopics: TopicTemplate;
  /** Absent: always connected. */
  readonly wake: WakeProfile | undefined;
  /** Absent: the device takes no updates. */
  readonly update: UpdateProfile<Device> | undefined;
  readonly commands: { readonly [name: string]: CommandHandler };
  readonly events: DeviceEvents;
  /** The will's payload, the same for all. */
  readonly offlineStatus: Uint8Array;

  /** Throws a RangeError that names the option for values out of range. */
  constructor(options: DeviceOptions) {
    this.client = new ClientProfile(options);
    this.sensors = options.sensors;
    this.intervalMs = options.intervalMs;
    this.status = options.status !== false;
    this.takesCommands = options.takesCommands !== false;
    this.diagnostics = options.diagnostics !== false;
    this.subscriptions = options.subscriptions === undefined ? [] : options.subscriptions;
    this.qos = options.qos === undefined ? 1 : options.qos;
    this.bufferSize = options.bufferSize === undefined ? 4096 : options.bufferSize;
    this.fullPolicy = options.fullPolicy === undefined ? 'drop-oldest' : options.fullPolicy;
    this.shadow = options.shadow === undefined ? undefined : new ShadowProfile(options.shadow);
    this.shadowTopics =
      options.shadowTopics === undefined
        ? this.client.topics
        : new TopicTemplate(options.shadowTopics);
    this.wake = options.wake === undefined ? undefined : new WakeProfile(options.wake);
    this.update = options.update;
    this.commands = options.commands === undefined ? {} : options.commands;
    this.events = options.events === undefined ? {} : options.events;
    this.offlineStatus = offlineStatus();
    if (this.sensors.length > SENSOR_COUNT_MAX) {
      throw new RangeError(`sensors: expected at most ${SENSOR_COUNT_MAX}`);
    }
    for (let index = 0; index < this.sensors.length; index += 1) {
      checkSensor(this.sensors[index] as Sensor, `sensors[${index}]`);
    }
    checkSubscriptions(this.subscriptions);
    if (this.wake !== undefined && !(this.client.sessionExpiryS * 1000 > this.wake.intervalMs)) {
      // What the server holds for a sleeping device would be gone before it wakes.
      throw new RangeError('sessionExpiryS: expected more than wake.intervalMs');
    }
    if (!(this.intervalMs >= 1)) throw new RangeError('intervalMs: expected at least 1');
    if (!(this.bufferSize >= 2 * RESULT_SIZE_MAX)) {
      throw new RangeError(`bufferSize: expected at least ${2 * RESULT_SIZE_MAX} bytes`);
    }
  }
}

function checkSubscriptions(subscriptions: readonly Subscription[]): void {
  for (let index = 0; index < subscriptions.length; index += 1) {
    const { filter, noLocal } = subscriptions[index] as Subscription;
    if (!isSubscriptionFilter(filter)) {
      throw new RangeError(`subscriptions[${index}].filter: '${filter}' is no topic filter`);
    }
    if (noLocal === true && isShared(filter)) {
      throw new RangeError(`subscriptions[${index}].noLocal: not with a share (MQTT-3.8.3-4)`);
    }
  }
}
