import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createFirmwareImage } from '../../src/firmware/images.ts';
import { createRunKey, publicPem } from '../../src/firmware/keys.ts';
import { directory, GOOD, load, mistakes } from './scenario-file.ts';

const FIRMWARE = GOOD.replace('    sensors', '    firmware: { version: 1.0.0 }\n    sensors');
const RELEASE = '{ at: 1s, release: { version: 1.1.0 } }';

function timeline(...events: string[]): string {
  return `${FIRMWARE}timeline:\n${events.map((event) => `  - ${event}\n`).join('')}`;
}

describe('firmware', () => {
  test('has its defaults, and the fleet is its hardware', () => {
    const { scenario } = load(FIRMWARE);
    expect(scenario.fleets[0]!.firmware).toEqual({
      version: '1.0.0',
      size: 32_768,
      behaviour: { crashOnBoot: 0, crashShare: 1, failHealth: 0 },
      deviceClass: 'device',
      hardware: 'a',
      bootMs: 500,
      pollMs: 10_000,
      trialMs: 10_000,
      trialOfflineMs: 3_600_000,
      linkDropSize: 0,
      powerCutOperations: 0,
      attacks: [],
    });
  });

  test('releases and rollouts are events', () => {
    const wave = '{ percent: 100, soak: 1s }';
    const text = timeline(RELEASE, `{ at: 2s, rollout: { release: 1.1.0, waves: [${wave}] } }`);
    const [release, rollout] = load(text).scenario.timeline;
    expect(release).toMatchObject({ kind: 'release', version: '1.1.0', from: [] });
    expect(rollout).toMatchObject({
      kind: 'rollout',
      release: '1.1.0',
      attemptsMax: 3,
      onFailure: 'stop',
      waves: [{ percent: 100, soakMs: 1000, failureRatioMax: 0.1, successRatioMin: 0.9 }],
    });
  });

  test.each([
    ['{ at: 1s, release: { version: 1.0.0 } }', 'there is firmware of version "1.0.0" already'],
    ['{ at: 1s, release: { version: one } }', 'expected a version such as 1.2.3, got "one"'],
    ['{ at: 1s, release: { version: 1.1.0, class: x } }', 'no fleet has firmware of the class "x"'],
    [
      '{ at: 1s, release: { version: 1.1.0, rollbackTo: 0.9.0 } }',
      'there is no firmware of version "0.9.0" before',
    ],
    [
      '{ at: 1s, release: { version: 1.1.0, from: [0.9.0] } }',
      'release.from[0]: there is no firmware of version "0.9.0" before',
    ],
    [
      '{ at: 1s, rollout: { release: 1.1.0, waves: [{ percent: 100 }] } }',
      'no release of version "1.1.0" is made before',
    ],
  ])('%s is told', (event, message) => {
    const found = mistakes(timeline(event));
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(message);
  });

  test.each([
    ['waves: [{ percent: 50 }]', 'waves[0].percent: expected 100 in the last wave, got 50'],
    ['waves: [{ percent: 50 }, { percent: 5 }, { percent: 100 }]', 'expected more than the 50'],
    ['onFailure: roll-back, waves: [{ percent: 100 }]', 'give it rollbackTo'],
  ])('a rollout with %s is told', (members, message) => {
    const rollout = `{ at: 2s, rollout: { release: 1.1.0, ${members} } }`;
    const found = mistakes(timeline(RELEASE, rollout));
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(message);
  });

  test('files of the user must be there', () => {
    const text = FIRMWARE.replace('1.0.0 }', '1.0.0, file: app.bin }');
    expect(mistakes(text)[0]).toMatch(/fleets\[0\]\.firmware\.file: there is no file/);
    const released = timeline(RELEASE.replace('1.1.0', '1.1.0, file: app.bin'));
    expect(mistakes(released)[0]).toMatch(/timeline\[0\]\.release\.file: there is no file/);
  });

  test('files of the user are what the scenario says', () => {
    const behaviour = { crashOnBoot: 0, crashShare: 1, failHealth: 0 };
    const form = { seed: 1, name: 'x', securityCounter: 1, size: 4096, behaviour };
    const image = createFirmwareImage({ ...form, version: '1.0.0' }, createRunKey(1, 'foreign'));
    writeFileSync(join(directory, 'app.bin'), image);
    writeFileSync(join(directory, 'key.pem'), publicPem(createRunKey(1, 'foreign')));
    const own = 'file: app.bin, key: key.pem }';
    const { scenario } = load(FIRMWARE.replace('1.0.0 }', `1.0.0, ${own}`));
    expect(scenario.fleets[0]!.firmware!.file).toBe(join(directory, 'app.bin'));
    expect(mistakes(FIRMWARE.replace('1.0.0 }', `1.0.1, ${own}`))[0]).toContain(
      'firmware.file: "app.bin" is version 1.0.0, not 1.0.1',
    );
    const swapped = FIRMWARE.replace('1.0.0 }', '1.0.0, file: key.pem, key: app.bin }');
    expect(mistakes(swapped).join('\n')).toMatch(
      /file: "key.pem" is no MCUboot image: .*\n.*key: "app.bin" is no Ed25519 public key in PEM/,
    );
  });

  test('is of devices that are always on', () => {
    const plain = FIRMWARE.replace('    interval', '    kind: plain\n    interval').replace(
      /\n {4}sensors.*/,
      '',
    );
    expect(mistakes(plain).join()).toContain('firmware: is of devices: a plain client has none');
    const wake = FIRMWARE.replace('    firmware', '    wake: { interval: 10s }\n    firmware');
    expect(mistakes(wake).join()).toContain('firmware: is not simulated together with wake');
  });
});
