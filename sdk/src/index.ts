// @flotilla/sdk: the device side. Choose a platform port, give it to a Device.

export {
  type FullPolicy,
  PAYLOAD_SIZE_MAX,
  PRIORITY_HIGH,
  PRIORITY_LOW,
  PRIORITY_NORMAL,
  type Priority,
  RECORD_HEADER_SIZE,
} from './buffer/outbox.ts';
export { type CommandCall, type CommandHandler, LATER } from './commands/commands.ts';
export { Device, DeviceCounters, type DeviceIdentity } from './device.ts';
export { DEVICE_ID_LENGTH_MAX, isDeviceId } from './device-id.ts';
export {
  type DeviceEvents,
  type DeviceOptions,
  DeviceProfile,
  type Sensor,
} from './device-profile.ts';
export type { ClientOptions } from './mqtt/client-profile.ts';
export type { Packet, ProtocolVersion, Qos, Subscription } from './mqtt/packet.ts';
export type { TrustedKey } from './ota/manifest.ts';
export {
  type HealthCheck,
  type UpdateOptions,
  UpdateProfile,
  type UpdateWindow,
} from './ota/update-profile.ts';
export type { UpdateStage } from './ota/update-state.ts';
export * from './platform.ts';
export type { AdaptiveOptions } from './sampling/adaptive.ts';
export type { AnomalyOptions } from './sampling/anomaly.ts';
export type { WindowOptions } from './sampling/window.ts';
export { jsonCodec } from './shadow/json-codec.ts';
export type { Shadow } from './shadow/shadow.ts';
export type {
  ShadowHandler,
  ShadowMerge,
  ShadowOptions,
  ShadowPolicy,
} from './shadow/shadow-profile.ts';
export type { ShadowMap, ShadowValue } from './shadow/shadow-value.ts';
export type { WakeOptions } from './wake.ts';
