// The rollout engine: pure, for the server and for virtual time. docs/ota-rollouts.md

export * from './model.ts';
export { isNotified, offerFor } from './offer.ts';
export { checkOptions } from './options.ts';
export { positionOf } from './order.ts';
export { load, save } from './saved.ts';
export { createRollout, step } from './step.ts';
export { TRANSITIONS } from './transitions.ts';
export { type DeviceView, deviceStatusOf, viewOf } from './view.ts';
