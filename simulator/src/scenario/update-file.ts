// Firmware and its updates in a scenario file: members of fleets and of timeline events.
//
//   fleets:
//     - name: meters
//       firmware: { version: 1.0.0, size: 32KB }
//   timeline:
//     - at: 2s
//       release: { version: 2.0.0, from: [1.0.0], behaviour: { crashOnBoot: 0.3 } }
//     - at: 3s
//       rollout: { release: 2.0.0, waves: [{ percent: 5, soak: 2s, sampleMin: 20 }] }

import { z } from 'zod';
import { show } from './mistakes.ts';
import { count, duration, kebab, size, text } from './quantities.ts';
import { ATTACK_KINDS } from './update.ts';

/** The engine's own bound. */
const WAVES_MAX = 64;
const FROM_MAX = 8;
export const IMAGE_SIZE_MIN = 4096;
const IMAGE_SIZE_MAX = 4_194_304;
export const DEVICE_CLASS_DEFAULT = 'device';
const POWER_CUT_OPERATIONS_MAX = 1_000_000;
/** The update client's own bounds. */
const POLL_MS_MIN = 1000;
const TRIAL_MS_MIN = 1000;

const versionMistake = (input: unknown) => `expected a version such as 1.2.3, got ${show(input)}`;

/** As MCUboot's header holds it: major and minor up to 255, revision up to 65,535. */
const version = () =>
  z
    .string({
      error: ({ input }) =>
        typeof input === 'number'
          ? `expected a version such as 1.2.3, got the number ${input}: put versions in quotes, or ` +
            'YAML reads 1.10 as 1.1'
          : undefined,
    })
    .regex(/^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,4})$/, {
      error: ({ input }) => versionMistake(input),
      abort: true,
    })
    .refine(
      (text) => {
        const [major = 0, minor = 0, revision = 0] = text.split('.').map(Number);
        return major <= 255 && minor <= 255 && revision <= 65_535;
      },
      { error: ({ input }) => `expected at most 255.255.65535, got ${show(input)}` },
    );

const share = () => z.number().min(0).max(1);

const behaviour = z
  .strictObject({
    crashOnBoot: share().prefault(0).describe('Share of the devices on which it crashes at once.'),
    crashAfter: duration('Crashes this long after each start.', { min: 1 }).optional(),
    crashShare: share().prefault(1).describe('Share of the devices on which crashAfter happens.'),
    failHealth: share().prefault(0).describe('Share on which its own health check fails.'),
    failHardware: kebab().optional().describe('Hardware on which its own health check fails.'),
  })
  .prefault({})
  .describe('What it does on devices; absent = all is well.');

const imageMembers = {
  version: version(),
  size: size('Bytes of a simulated image.', {
    min: IMAGE_SIZE_MIN,
    max: IMAGE_SIZE_MAX,
  }).prefault('32KB'),
  file: text().optional().describe('Your own signed MCUboot image; beside this file.'),
  behaviour,
};

export const firmwareMember = z
  .strictObject({
    ...imageMembers,
    class: kebab().prefault(DEVICE_CLASS_DEFAULT).describe('Device class that releases are for.'),
    hardware: kebab().optional().describe('Name of the hardware in alerts; absent = the fleet.'),
    key: text().optional().describe('PEM file: the public key that signed your own images.'),
    boot: duration('From reset to a running program.', { min: 1 }).prefault('500ms'),
    poll: duration('Between two checks, where nothing notifies.', { min: POLL_MS_MIN }).prefault(
      '10s',
    ),
    trial: duration('Deadline of the health checks of a new image.', {
      min: TRIAL_MS_MIN,
    }).prefault('10s'),
    trialOffline: duration('Deadline where network or broker are all that is missing.', {
      min: TRIAL_MS_MIN,
    }).prefault('1h'),
    linkDrop: size('Mean bytes of downloads between two losses of the link; 0B = none.', {
      min: 0,
      max: IMAGE_SIZE_MAX,
    }).prefault('0B'),
    powerCut: count('Mean flash operations between two power cuts; 0 = none.', {
      min: 0,
      max: POWER_CUT_OPERATIONS_MAX,
    }).prefault(0),
    attacks: z
      .array(z.literal(ATTACK_KINDS))
      .max(ATTACK_KINDS.length)
      .prefault([])
      .describe('What attackers try on the devices of the fleet, in turn.'),
  })
  .optional()
  .describe('Firmware that can be updated; absent = devices have none.');

export const releaseMember = z
  .strictObject({
    ...imageMembers,
    class: kebab().prefault(DEVICE_CLASS_DEFAULT),
    from: z.array(version()).max(FROM_MAX).prefault([]).describe('Versions with a delta from.'),
    rollbackTo: version().optional().describe('Version that is signed again, to go back to.'),
  })
  .optional()
  .describe('A release is built, signed and uploaded.');

const wave = z.strictObject({
  percent: z.number().gt(0).max(100).describe('Of the fleet, with the waves before.'),
  soak: duration('Watched this long before the next wave.', { min: 0 }).prefault('2s'),
  failureRatioMax: share().prefault(0.1),
  successRatioMin: share().prefault(0.9),
  sampleMin: count('Devices with a result before any ratio counts.', {
    min: 1,
    max: 10_000_000,
  }).prefault(1),
  spread: duration('The last wave opens evenly over this.', { min: 0 }).prefault('0s'),
});

export const rolloutMember = z
  .strictObject({
    release: version().describe('Version of a release before.'),
    waves: z.array(wave).min(1).max(WAVES_MAX),
    timeout: duration('From taking the offer to a result.', { min: 1 }).prefault('60s'),
    attempts: count('Offers to a device whose update failed.', { min: 1, max: 255 }).prefault(3),
    onFailure: z.literal(['stop', 'roll-back']).prefault('stop'),
    abnormalResetsMax: count('Crashes in the soak that a device may have.', {
      min: 0,
      max: 1000,
    }).prefault(0),
    silence: duration('Silence in the soak that counts as a failure.', { min: 1 }).prefault('60s'),
  })
  .optional()
  .describe('A release goes out in waves.');
