// The command that is told for a killed run: whole, and without a secret.

import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { cleanCommandOf } from '../../src/live/clean-command.ts';
import { loadScenario } from '../../src/scenario/load.ts';
import { folder, writeScenario } from '../support/scenario.ts';

const CLEAN = 'npx flotilla clean --run r1';

describe('the command', () => {
  test('is none for an embedded broker', () => {
    expect(cleanCommandOf(loadScenario(writeScenario({ name: 'own' })), 'r1')).toBeUndefined();
  });

  test('names the broker, and topics that are not the default', () => {
    const options = { name: 'plainly', broker: 'mqtt://localhost' };
    const loaded = loadScenario(writeScenario(options));
    expect(cleanCommandOf(loaded, 'r1')).toBe(`${CLEAN} --broker mqtt://localhost:1883`);
    const more = ["topics: 'plant 7/{id}/{topic}'"];
    const named = loadScenario(writeScenario({ ...options, more }));
    expect(cleanCommandOf(named, 'r1')).toBe(
      `${CLEAN} --broker mqtt://localhost:1883 --topics 'plant 7/{id}/{topic}'`,
    );
  });

  test('names the scenario where that knows more than the URL of the broker', () => {
    const broker = 'mqtt://load:s3cret-word@localhost';
    const file = writeScenario({ name: 'secret', broker });
    const command = cleanCommandOf(loadScenario(file), 'r1');
    expect(command).toBe(`${CLEAN} --scenario ${join(folder, 'secret.yaml')}`);
    const overridden = loadScenario(file, { broker: `${broker}:1884`, devices: '7' });
    const flags = cleanCommandOf(overridden, 'r1')!.slice(command!.length);
    expect(flags).toBe(" --broker 'mqtt://load:***@localhost:1884' --devices 7");
  });
});
