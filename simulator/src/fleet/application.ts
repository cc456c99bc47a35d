// The user's own firmware logic in a simulated device: a module that a fleet names. The same
// module runs on the microcontroller, where main.ts makes platform and device and calls `start`.

import { pathToFileURL } from 'node:url';
import type {
  CommandHandler,
  Device,
  Platform,
  Sensor,
  ShadowHandler,
  ShadowOptions,
} from '@flotilla/sdk';
import { isSlip } from './application-errors.ts';

export interface Application {
  /** Sensors beside those of the scenario; shared by all devices of the fleet. */
  readonly sensors?: readonly Sensor[];
  /** Commands by name, beside the built-in ping. */
  readonly commands?: Readonly<Record<string, CommandHandler>>;
  readonly shadow?: ShadowOptions<Device>;
  /** Called once for each device, before it connects. */
  start(device: Device, platform: Platform): void;
}

/** Imports the module at an absolute path; what it throws then is the user's own. */
export async function loadApplication(path: string): Promise<Application> {
  return (await import(pathToFileURL(path).href)) as Application;
}

/** What a module does not export as an application does; undefined = nothing. */
export function exportMistake(module: { readonly [name: string]: unknown }): string | undefined {
  const { commands, sensors, shadow, start } = module;
  if (typeof start !== 'function') return 'it must export function start(device, platform)';
  if (sensors !== undefined && !isListOf(sensors, isSensor)) {
    return 'sensors: expected a list of { name, read(device) }';
  }
  if (commands !== undefined && !(isMap(commands) && isListOf(Object.values(commands), isCode))) {
    return 'commands: expected a map of functions by name';
  }
  return shadow === undefined || isMap(shadow) ? undefined : 'shadow: expected a map';
}

function isListOf(value: unknown, isEntry: (entry: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(isEntry);
}

function isSensor(value: unknown): boolean {
  return isMap(value) && typeof value.name === 'string' && isCode(value.read);
}

function isMap(value: unknown): value is { readonly [name: string]: unknown } {
  return typeof value === 'object' && value !== null;
}

function isCode(value: unknown): boolean {
  return typeof value === 'function';
}

/**
 * The application with an ear on what the SDK catches and answers itself: a sensor that throws has
 * no value, a command or a shadow's key is refused with what was thrown. A refusal is no error of
 * the program; a slip in its code is.
 */
export function observed(
  application: Application,
  onError: (device: Device, error: unknown) => void,
): Application {
  const { commands, sensors, shadow, start } = application;
  const handlers = shadow?.handlers;
  return {
    start,
    ...(sensors === undefined
      ? {}
      : {
          sensors: sensors.map((sensor) => ({
            ...sensor,
            read: (device: Device) =>
              heard(
                () => sensor.read(device),
                (error) => onError(device, error),
              ),
          })),
        }),
    ...(commands === undefined
      ? {}
      : {
          commands: mapValues(
            commands,
            (handle): CommandHandler =>
              (argument, device, call) =>
                heard(
                  () => handle(argument, device, call),
                  (error) => isSlip(error) && onError(device, error),
                ),
          ),
        }),
    ...(shadow === undefined
      ? {}
      : {
          shadow: {
            ...shadow,
            ...(handlers === undefined
              ? {}
              : {
                  handlers: mapValues(
                    handlers,
                    (handle): ShadowHandler<Device> =>
                      (value, device) =>
                        heard(
                          () => handle(value, device),
                          (error) => isSlip(error) && onError(device, error),
                        ),
                  ),
                }),
          },
        }),
  };
}

function heard<T>(act: () => T, onError: (error: unknown) => void): T {
  try {
    return act();
  } catch (error) {
    onError(error);
    throw error;
  }
}

function mapValues<In, Out>(
  map: Readonly<Record<string, In>>,
  change: (value: In) => Out,
): Record<string, Out> {
  return Object.fromEntries(Object.entries(map).map(([name, value]) => [name, change(value)]));
}
