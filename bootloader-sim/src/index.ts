// @flotilla/bootloader-sim: chips, images, bootloaders, and the fault campaign, for programs.

export {
  type BootRecord,
  decodeRecord,
  encodeRecord,
  RecordStore,
  type SlotState,
} from './boot-record.ts';
export { BOOT_LOG_COUNT_MAX, Bootloader } from './bootloader.ts';
export { type CaseOptions, type Finding, type FlowResult, runFlow } from './campaign/cases.ts';
export { FLOWS, type Flow } from './campaign/flows.ts';
export { McubootImages } from './campaign/mcuboot-images.ts';
export { faultsOf, fuseFaults } from './campaign/variants.ts';
export { type CampaignWorld, createWorld } from './campaign/world.ts';
export type { BootCrypto } from './crypto.ts';
export { ContentPool, type WeakBits, type WeakKind } from './flash/content.ts';
export { type Fault, type FlashOperation, formatFault, parseFault } from './flash/faults.ts';
export {
  type FaultHook,
  Flash,
  FlashError,
  FlashPartition,
  type Layout,
} from './flash/flash.ts';
export { chipOf, type Geometry, W25Q32, W25Q128 } from './flash/geometry.ts';
export { type FuseFault, type FuseHook, type FuseState, Fuses, KEY_COUNT_MAX } from './fuses.ts';
export type {
  BootDecision,
  FlashLayout,
  HaltCode,
  ImageVerdict,
  Machine,
  Region,
} from './machine.ts';
export { createEspIdfProfile, type EspIdfOptions } from './profiles/esp-idf.ts';
export { createHardenedProfile, TRIES_MAX } from './profiles/hardened.ts';
export type { Profile } from './profiles/profile.ts';
export { UpdateSlot } from './update-slot.ts';
