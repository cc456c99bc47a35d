// The port's own native module.

import { world } from './world.ts';

const note = (name: string) => () => void world.calls.push(name);

export const stage = note('stage');
export const confirm = note('confirm');
export const reject = note('reject');
export const restart = note('restart');
export const feedWatchdog = note('feed');
export const deepSleep = (ms: number) => void world.calls.push(`sleep ${ms}`);
export const resetReason = () => world.resetReason;
export const isTrial = () => world.trial;
export const version = () => '1.2.3';
export const digest = () => new Uint8Array(32).fill(7).buffer;
export const random = () => -2;
export const heapUsed = () => 12345;
