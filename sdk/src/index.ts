// @flotilla/sdk: the device side. Choose a platform port, give it to a Device.

export {
  type FullPolicy,
  PRIORITY_HIGH,
  PRIORITY_LOW,
  PRIORITY_NORMAL,
  type Priority,
} from './buffer/outbox.ts';
export type { CommandHandler } from './commands/commands.ts';
export { Device, DeviceCounters, type DeviceIdentity } from './device.ts';
export {
  type DeviceEvents,
  type DeviceOptions,
  DeviceProfile,
  type Sensor,
} from './device-profile.ts';
export type { ClientOptions } from './mqtt/client-profile.ts';
export type { Packet, ProtocolVersion, Qos, Subscription } from './mqtt/packet.ts';
export * from './platform.ts';
