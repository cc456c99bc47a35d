// The user's own firmware logic in a simulated device: a module that a fleet names. The same
// module runs on the microcontroller, where main.ts makes platform and device and calls `start`.

import { pathToFileURL } from 'node:url';
import type { CommandHandler, Device, Platform, Sensor, ShadowOptions } from '@flotilla/sdk';

export interface Application {
  /** Sensors beside those of the scenario; shared by all devices of the fleet. */
  readonly sensors?: readonly Sensor[];
  /** Commands by name, beside the built-in ping. */
  readonly commands?: Readonly<Record<string, CommandHandler>>;
  readonly shadow?: ShadowOptions<Device>;
  /** Called once for each device, before it connects. */
  start(device: Device, platform: Platform): void;
}

/** Loads the module at an absolute path; rejects with an Error that names it. */
export async function loadApplication(path: string): Promise<Application> {
  let module: Partial<Application>;
  try {
    module = (await import(pathToFileURL(path).href)) as Partial<Application>;
  } catch (error) {
    throw new Error(`application ${path}: ${(error as Error).message}`);
  }
  if (typeof module.start !== 'function') {
    throw new Error(`application ${path}: it must export function start(device, platform)`);
  }
  return module as Application;
}
