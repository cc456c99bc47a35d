// What an application's own handlers throw is heard, and thrown on to the SDK, which answers it.

import type { CommandCall, Device } from '@flotilla/sdk';
import { describe, expect, test } from 'vitest';
import { type Application, observed } from '../../src/fleet/application.ts';

const device = { id: 'a' } as Device;
const call = {} as CommandCall;

function heardOf(act: (application: Application) => unknown, thrown: unknown): unknown[] {
  const heard: unknown[] = [];
  const fail = () => {
    throw thrown;
  };
  const application: Application = {
    start: fail,
    sensors: [{ name: 's', read: fail }],
    commands: { c: fail },
    shadow: { handlers: { k: fail } },
  };
  const watched = observed(application, (_, error) => heard.push(error));
  expect(() => act(watched)).toThrow(thrown as Error);
  return heard;
}

const refusal = new Error('expected true or false');
const slip = new TypeError('null has no pin');

describe('what is thrown', () => {
  test.each([refusal, slip])('by a sensor is heard: %s', (error) => {
    expect(heardOf(({ sensors }) => sensors![0]!.read(device), error)).toEqual([error]);
  });

  test('by a command is heard where it is a slip, not where the command refuses', () => {
    const act = ({ commands }: Application) => commands!.c!(1, device, call);
    expect(heardOf(act, slip)).toEqual([slip]);
    expect(heardOf(act, refusal)).toEqual([]);
  });

  test('by a handler of the shadow is heard as that of a command is', () => {
    const act = ({ shadow }: Application) => shadow!.handlers.k!(1, device);
    expect(heardOf(act, slip)).toEqual([slip]);
    expect(heardOf(act, refusal)).toEqual([]);
  });
});

test('what works is left as it is', () => {
  const application: Application = {
    start: () => undefined,
    sensors: [{ name: 's', unit: 'Cel', every: 2, read: ({ id }) => id }],
    commands: { c: (argument) => argument },
    shadow: { handlers: { k: (value) => value }, policy: 'device-wins' },
  };
  const { commands, sensors, shadow } = observed(application, () => expect.unreachable());
  expect(sensors![0]).toMatchObject({ name: 's', unit: 'Cel', every: 2 });
  expect(sensors![0]!.read(device)).toBe('a');
  expect(commands!.c!(5, device, call)).toBe(5);
  expect(shadow).toMatchObject({ policy: 'device-wins' });
  expect(shadow!.handlers.k!(6, device)).toBe(6);
});
