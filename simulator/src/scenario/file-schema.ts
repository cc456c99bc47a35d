// The form of a scenario file (YAML), as a zod schema: what `validate` checks, and the JSON
// Schema that editors complete from.
//
//   name: telemetry
//   fleets:
//     - name: thermometers
//       count: 500
//       interval: 2s
//       sensors:
//         - { name: temperature, unit: Cel, model: sine, mean: 21, amplitude: 4, period: 10m }
//   duration: 20s
//   thresholds:
//     messages_lost: ['count==0']
//     'delivery_latency_ms{fleet:thermometers}': ['p(95)<500']
//   ci:
//     fleets.thermometers.count: 50
//
// Checks that need more than one member are in `checks.ts`.

import { DEVICE_ID_LENGTH_MAX, isDeviceId, PAYLOAD_SIZE_MAX } from '@flotilla/sdk';
import { FIELD_SIZE_MAX } from '@flotilla/sdk/mqtt/packet';
import { isSubscriptionFilter, isTopicFilter } from '@flotilla/sdk/mqtt/topic';
import { TopicTemplate } from '@flotilla/sdk/mqtt/topic-template';
import { z } from 'zod';
import { hidePassword, parseBrokerUrl } from './broker-url.ts';
import { show } from './mistakes.ts';
import { count, duration, kebab, size, text } from './quantities.ts';
import { firmwareMember, releaseMember, rolloutMember } from './update-file.ts';

/** Devices of one run. */
export const DEVICES_MAX = 10_000_000;
const SEED_MAX = 0xffffffff;
export const FLEETS_MAX = 100;
/** The SDK's own bound. */
export const SENSORS_MAX = 20;
const SUBSCRIPTIONS_MAX = 8;
export const PAYLOAD_SIZE_DEFAULT = 128;
/** MQTT 3.1.1 §3.1.2.10: a two-byte number of seconds. */
const KEEP_ALIVE_MS_MAX = 65_535_000;
/** MQTT 5 §3.1.2.11.2: a four-byte number of seconds, of which the last means "never". */
const SESSION_EXPIRY_MS_MAX = 0xfffffffe * 1000;
/** The SDK's own bound. */
const BUFFER_SIZE_MIN = 1024;
export const BUFFER_SIZE_DEFAULT = 4096;
const BUFFER_SIZE_MAX = 16_777_216;
const INFLIGHT_MAX = 1_000;
const CONNECTS_IN_FLIGHT_MAX = 10_000;
const WARMUP_MAX = 1_000_000;
const EVERY_MAX = 1_000_000;

export const SESSION_EXPIRY_DEFAULT = '1h';
export const START_DEFAULT = '2026-01-01T00:00:00Z';
export const TOPICS_DEFAULT = 'devices/{id}/{topic}';
export const ID_DEFAULT = '{run}-{fleet}-{index}';

const number = () => z.number();

/** How a sensor is sampled, where not with the others of its fleet: docs/sampling.md. */
const samplingMembers = {
  adaptive: z
    .strictObject({
      intervalMin: duration('Shortest time between two reports.', { min: 1 }),
      intervalMax: duration('Longest time between two reports: the heartbeat.', { min: 1 }),
      deadband: number().min(0).optional().describe('Half-width, in the unit of the sensor.'),
      deadbandRelative: number().min(0).optional().describe('Part of the value: 0.05 = 5 %.'),
      sampleMin: duration('Time between two samples while the signal moves.', { min: 1 }),
      sampleMax: duration('Time between two samples while the signal rests.', { min: 1 }),
    })
    .optional()
    .describe('Sent when it left the deadband around what was sent last.'),
  window: z
    .strictObject({
      interval: duration('Length of a window.', { min: 1 }),
      sample: duration('Time between two samples.', { min: 1 }),
    })
    .optional()
    .describe('Sent as count, mean, min, max and stddev of each window.'),
  anomaly: z
    .strictObject({
      zScoreMax: number().min(1).prefault(4).describe('Standard deviations that are normal.'),
      weight: number().gt(0).lt(1).prefault(0.02).describe('Weight of the newest value.'),
      warmup: count('Values learned before the first is judged.', {
        min: 2,
        max: WARMUP_MAX,
      }).prefault(50),
      intervalMin: duration('Shortest time between two alarms.', { min: 0 }),
      deviationMin: number().min(0).optional().describe('Smallest deviation to judge by.'),
    })
    .optional()
    .describe('Values far from the usual are sent at once, before all others.'),
  every: count('Sent at one in this many intervals.', { min: 1, max: EVERY_MAX }).optional(),
};

const sensorMembers = {
  // RFC 8428 §4.5.1: names start with a letter or digit.
  name: text()
    .max(32)
    .regex(/^[A-Za-z0-9][A-Za-z0-9\-:./_]*$/, {
      error: (issue) =>
        `expected letters, digits and - : . / _ (RFC 8428 §4.5.1), got ${show(issue.input)}`,
    })
    .describe('Name of the sensor in its SenML records.'),
  unit: text().max(16).optional().describe('SenML unit (RFC 8428 §12.1), such as Cel or %RH.'),
  ...samplingMembers,
};

const sensor = z.discriminatedUnion('model', [
  z.strictObject({ ...sensorMembers, model: z.literal('constant'), value: number() }),
  z.strictObject({
    ...sensorMembers,
    model: z.literal('random-walk'),
    start: number(),
    step: number().positive().describe('Largest move from one sample to the next.'),
    min: number(),
    max: number(),
  }),
  z.strictObject({
    ...sensorMembers,
    model: z.literal('sine'),
    mean: number(),
    amplitude: number(),
    period: duration('Length of one wave.', { min: 1 }),
  }),
  z.strictObject({
    ...sensorMembers,
    model: z.literal('noise'),
    mean: number(),
    deviation: number().min(0).describe('Standard deviation.'),
  }),
]);

const ID_FORM =
  'expected an id pattern of letters, digits and . _ : - that begins with a letter or digit, ' +
  'with {index} once, {run} and {fleet} if wanted';

const fleet = z.strictObject({
  name: kebab().describe('Name of the fleet: a tag of its metrics, a part of its ids.'),
  count: count('Number of devices, such as 500, 10k or 1M.', { min: 1, max: DEVICES_MAX }),
  countMin: z
    .strictObject({
      count: count('Devices.', { min: 2, max: DEVICES_MAX }),
      why: text().describe('What fewer could not show, in words for the one who asked for fewer.'),
    })
    .optional()
    .describe('Fewer devices are refused, as by --devices; absent = one will do.'),
  id: text()
    .max(DEVICE_ID_LENGTH_MAX)
    .refine(isIdPattern, { error: (issue) => `${ID_FORM}, got ${show(issue.input)}` })
    .prefault(ID_DEFAULT)
    .describe('Pattern of client ids.'),
  kind: z
    .literal(['device', 'plain'])
    .prefault('device')
    .describe('plain = no status, commands or diagnostics, and a payload of a given size.'),
  interval: duration('Time between two messages of a device.', { min: 1 }).optional(),
  rate: z.number().positive().optional().describe('Messages per second of the whole fleet.'),
  qos: z.literal([0, 1, 2]).prefault(1).describe('MQTT QoS of telemetry.'),
  sensors: z.array(sensor).max(SENSORS_MAX).prefault([]),
  payload: size('Bytes of each message of a plain client, 0B to 1MB.', {
    min: 0,
    max: PAYLOAD_SIZE_MAX,
  }).optional(),
  subscribe: z
    .array(
      text()
        .max(200)
        .refine(isFilter, {
          error: ({ input }) =>
            'expected a topic filter, in which + and # fill whole levels and # is the last, or ' +
            `$share/name/filter, got ${show(input)}`,
        }),
    )
    .max(SUBSCRIPTIONS_MAX)
    .prefault([])
    .describe('Topic filters that each client subscribes to, with {run} if wanted.'),
  churn: duration('Mean time until a client disconnects and comes back; 0s = never.', {
    min: 0,
  }).prefault('0s'),
  application: text()
    .optional()
    .describe('Module (TypeScript or JavaScript) with your firmware logic; beside this file.'),
  keepAlive: duration('MQTT keep-alive in whole seconds; 0s = off.', {
    min: 0,
    max: KEEP_ALIVE_MS_MAX,
    multiple: 1000,
  }).prefault('60s'),
  sessionExpiry: duration('How long the broker keeps a session, in whole seconds.', {
    min: 0,
    max: SESSION_EXPIRY_MS_MAX,
    multiple: 1000,
  }).prefault(SESSION_EXPIRY_DEFAULT),
  protocol: z
    .literal(['auto', 5, '3.1.1'])
    .prefault('auto')
    .describe('auto = MQTT 5, and 3.1.1 where the broker refuses it.'),
  retry: z
    .strictObject({
      min: duration('First window of the backoff.', { min: 1 }).prefault('1s'),
      max: duration('Largest window of the backoff.', { min: 1 }).prefault('60s'),
    })
    .prefault({})
    .describe('After a failed connect a device waits a random part of a window that doubles.'),
  buffer: size('Bytes of a device’s outbox; absent = 4KB, or two messages of a plain client.', {
    min: BUFFER_SIZE_MIN,
    max: BUFFER_SIZE_MAX,
  }).optional(),
  wake: z
    .strictObject({
      interval: duration('Between two wake-ups on schedule.', { min: 1 }),
      awakeMax: duration('Bound on a time awake.', { min: 1 }).prefault('10s'),
      linger: duration('For what the broker has, after all was sent.', { min: 0 }).prefault(
        '500ms',
      ),
      highWater: z.number().positive().max(1).prefault(0.75).describe('Share of the buffer.'),
    })
    .optional()
    .describe('Devices sleep, and connect now and then; absent = always connected.'),
  clock: z
    .strictObject({
      skew: duration('How wrong a clock is at most, either way.', { min: 0 }).prefault('0s'),
      known: z.boolean().prefault(true).describe('false = devices start without any time.'),
      drift: z.number().min(0).max(1000).prefault(0).describe('Parts per million, either way.'),
    })
    .optional()
    .describe('Clocks of the devices; absent = right.'),
  firmware: firmwareMember,
  inflight: count('Unacknowledged messages at once.', { min: 1, max: INFLIGHT_MAX }).prefault(8),
});

const TOO_LONG = `is longer than ${FIELD_SIZE_MAX} bytes, which is all that MQTT has room for`;

const broker = z.strictObject({
  url: text()
    .refine((url) => parseBrokerUrl(url) !== undefined, {
      error: ({ input }) =>
        `expected mqtt://host[:port] or mqtts://host[:port], got ${show(hidePassword(input))}`,
    })
    .describe('mqtt://host[:port] or mqtts://host[:port].'),
  username: text()
    .refine((name) => !name.includes('\u0000'), { error: 'U+0000 is not allowed' })
    .refine(fitsField, { error: TOO_LONG })
    .optional(),
  password: z
    .string({ error: 'expected text (put it in quotes)' })
    .refine(fitsField, { error: TOO_LONG })
    .optional()
    // biome-ignore lint/suspicious/noTemplateCurlyInString: this is what the file says.
    .describe('Best given as ${BROKER_PASSWORD}.'),
  ca: text().optional().describe('Trusted certificates: PEM text, or the path of a PEM file.'),
  certificate: text().optional().describe('Client certificate: PEM text or the path of a file.'),
  key: text().optional().describe('Client key: PEM text or the path of a file.'),
  verify: z.boolean().prefault(true).describe('false takes any certificate: tests only.'),
});

const outage = z.strictObject({
  for: duration('How long no connection opens.', { min: 1 }),
  fleets: z.array(kebab()).min(1).optional().describe('Fleets that it hits; absent = all.'),
  to: z
    .literal(['broker', 'server'])
    .optional()
    .describe('What cannot be reached; absent = broker and OTA server.'),
});

const shadowChange = z.strictObject({
  desired: z
    .record(z.string(), z.unknown())
    .describe('Merged into the desired state: { reportingInterval: 2 }; null removes.'),
  fleets: z.array(kebab()).min(1).optional().describe('Fleets that it is for; absent = all.'),
});

const threshold = z.union([
  z.string(),
  z.strictObject({
    threshold: z.string(),
    abortOnFail: z.boolean().prefault(false).describe('End the run as soon as it fails.'),
    delayAbortEval: duration('Do not end the run before this.', { min: 0 }).prefault('0s'),
  }),
]);

/** A whole scenario file. */
export const fileSchema = z
  .strictObject({
    name: kebab(),
    description: z.string().optional(),
    seed: z
      .int({
        error: (issue) => `expected a whole number from 0 to ${SEED_MAX}, got ${show(issue.input)}`,
      })
      .min(0)
      .max(SEED_MAX)
      .optional()
      .describe('Root of all randomness; absent = a new one for each run, which is printed.'),
    start: z.iso
      .datetime({
        offset: true,
        error: (issue) => `expected a time such as ${START_DEFAULT}, got ${show(issue.input)}`,
      })
      .prefault(START_DEFAULT)
      .describe('Where virtual time starts.'),
    broker: broker.optional().describe('Absent = a broker inside the run.'),
    topics: text()
      .max(200)
      .refine(isTopicTemplate, {
        error: (issue) =>
          'expected a topic with {id}, which fills a level, and then {topic}, each once, and ' +
          `without + and #, got ${show(issue.input)}`,
      })
      .prefault(TOPICS_DEFAULT),
    fleets: z.array(fleet).min(1).max(FLEETS_MAX),
    connect: z
      .strictObject({
        inFlight: count('Connects under way at once.', { min: 1, max: CONNECTS_IN_FLIGHT_MAX })
          // The listen backlog of mosquitto is 100; beyond it a connect waits a second.
          .prefault(80),
        rate: z.number().positive().optional().describe('Connects started per second.'),
        timeout: duration('Until CONNACK.', { min: 1 }).prefault('10s'),
      })
      .prefault({}),
    ramp: duration('The first connects are spread over this.', { min: 0 }).prefault('0s'),
    duration: duration('How long devices sample.', { min: 1 }),
    endAfterRollouts: duration('Ends this long after all rollouts came to their end.', {
      min: 0,
    }).optional(),
    settle: duration('Bound on draining buffers at the end.', { min: 0 }).prefault('30s'),
    timeline: z
      .array(
        z.strictObject({
          at: duration('Since the start.', { min: 0 }),
          outage: outage.optional().describe('Links go down and come back.'),
          shadow: shadowChange.optional().describe('The desired state of devices changes.'),
          release: releaseMember,
          rollout: rolloutMember,
        }),
      )
      .prefault([]),
    thresholds: z
      .record(z.string(), z.array(threshold))
      .prefault({})
      .describe(
        'By metric or metric{fleet:name}: expressions such as p(95)<500, count==0 or share==1; ' +
          '[] switches an implicit one off.',
      ),
    ci: z
      .record(z.string(), z.unknown())
      .optional()
      .describe('Overrides for --ci, by path: fleets.thermometers.count: 50'),
  })
  .meta({ title: 'Flotilla scenario' });

export type ScenarioFile = z.output<typeof fileSchema>;

function isIdPattern(pattern: string): boolean {
  if (pattern.split('{index}').length !== 2) return false;
  return isDeviceId(pattern.replaceAll(/\{(run|fleet|index)\}/g, '0'));
}

/** As devices and observer use it: the observer subscribes to it with + in place of the id. */
function isTopicTemplate(template: string): boolean {
  try {
    const topics = new TopicTemplate(template);
    return !/[{}]/.test(topics.format('', '')) && isTopicFilter(topics.format('+', 'telemetry'));
  } catch {
    return false;
  }
}

/** `{run}` stands for letters and digits. */
function isFilter(filter: string): boolean {
  return isSubscriptionFilter(filter.replaceAll('{run}', 'r'));
}

function fitsField(text: string): boolean {
  return Buffer.byteLength(text) <= FIELD_SIZE_MAX;
}
