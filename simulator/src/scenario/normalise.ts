// From the form of the file to the scenario: defaults are in, units become ms and bytes.

import { implicitThresholds } from '../metrics/implicit.ts';
import { parseBrokerUrl } from './broker-url.ts';
import { BUFFER_SIZE_DEFAULT, PAYLOAD_SIZE_DEFAULT, type ScenarioFile } from './file-schema.ts';
import { recordSize } from './message-size.ts';
import type {
  Broker,
  Fleet,
  Scenario,
  SensorModel,
  SensorSampling,
  TimelineEvent,
} from './schema.ts';
import { normaliseFirmware, normaliseRelease, normaliseRollout } from './update-normalise.ts';

/** The scenario that a valid file means. TLS members still hold what the file says. */
export function normalise(file: ScenarioFile, randomSeed: () => number): Scenario {
  const fleets = file.fleets.map(normaliseFleet);
  return {
    name: file.name,
    ...(file.description === undefined ? {} : { description: file.description }),
    seed: file.seed ?? randomSeed(),
    startMs: Date.parse(file.start),
    ...(file.broker === undefined ? {} : { broker: normaliseBroker(file.broker) }),
    topics: file.topics,
    fleets,
    connect: {
      inFlight: file.connect.inFlight,
      ...(file.connect.rate === undefined ? {} : { rate: file.connect.rate }),
      timeoutMs: file.connect.timeout,
    },
    rampMs: file.ramp,
    durationMs: file.duration,
    ...(file.endAfterRollouts === undefined ? {} : { endAfterRolloutsMs: file.endAfterRollouts }),
    settleMs: file.settle,
    timeline: file.timeline
      .flatMap((event) => normaliseEvent(event, fleets))
      .sort((a, b) => a.atMs - b.atMs),
    thresholds: [
      ...Object.entries(file.thresholds).flatMap(([metric, entries]) =>
        entries.map((entry) => ({
          metric,
          expression: typeof entry === 'string' ? entry : entry.threshold,
          abortOnFail: typeof entry === 'string' ? false : entry.abortOnFail,
          delayAbortMs: typeof entry === 'string' ? 0 : entry.delayAbortEval,
        })),
      ),
      ...implicitThresholds(Object.keys(file.thresholds), {
        fleets,
        rampMs: file.ramp,
        durationMs: file.endAfterRollouts === undefined ? file.duration : 0,
      }),
    ],
  };
}

/** An event is one of these, as `checks.ts` saw to. */
function normaliseEvent(
  { at: atMs, outage, release, rollout, shadow }: ScenarioFile['timeline'][number],
  fleets: readonly Fleet[],
): TimelineEvent[] {
  const namesOf = (those: readonly Fleet[]) => those.map(({ name }) => name);
  if (outage !== undefined) {
    const { fleets: hit = namesOf(fleets), for: forMs, to } = outage;
    return [{ kind: 'outage', atMs, forMs, fleets: hit, ...(to === undefined ? {} : { to }) }];
  }
  if (release !== undefined) return [normaliseRelease(release, atMs)];
  if (rollout !== undefined) return [normaliseRollout(rollout, atMs)];
  if (shadow === undefined) return [];
  // Plain clients have no shadow.
  const devices = fleets.filter(({ kind }) => kind === 'device');
  const { desired, fleets: named = namesOf(devices) } = shadow;
  return [{ kind: 'shadow', atMs, fleets: named, desired }];
}

function normaliseFleet(fleet: ScenarioFile['fleets'][number]): Fleet {
  const payloadSize = fleet.kind === 'plain' ? (fleet.payload ?? PAYLOAD_SIZE_DEFAULT) : 0;
  return {
    name: fleet.name,
    count: fleet.count,
    id: fleet.id,
    kind: fleet.kind,
    intervalMs: intervalOf(fleet),
    qos: fleet.qos,
    sensors: fleet.sensors.map((sensor) => ({
      name: sensor.name,
      ...(sensor.unit === undefined ? {} : { unit: sensor.unit }),
      ...normaliseSampling(sensor),
      model: normaliseModel(sensor),
    })),
    payloadSize,
    subscribe: fleet.subscribe,
    churnMs: fleet.churn,
    ...(fleet.application === undefined ? {} : { application: fleet.application }),
    keepAliveMs: fleet.keepAlive,
    sessionExpiryMs: fleet.sessionExpiry,
    protocol: fleet.protocol === 5 ? '5' : fleet.protocol,
    retry: { minMs: fleet.retry.min, maxMs: fleet.retry.max },
    bufferSize: fleet.buffer ?? Math.max(BUFFER_SIZE_DEFAULT, 2 * recordSize(payloadSize)),
    inflight: fleet.inflight,
    ...(fleet.wake === undefined ? {} : { wake: normaliseWake(fleet.wake) }),
    ...(fleet.clock === undefined
      ? {}
      : {
          clock: {
            skewMs: fleet.clock.skew,
            driftPpm: fleet.clock.drift,
            known: fleet.clock.known,
          },
        }),
    ...(fleet.firmware === undefined
      ? {}
      : { firmware: normaliseFirmware(fleet.firmware, fleet.name) }),
  };
}

function normaliseWake(
  wake: NonNullable<ScenarioFile['fleets'][number]['wake']>,
): NonNullable<Fleet['wake']> {
  return {
    intervalMs: wake.interval,
    awakeMsMax: Math.min(wake.awakeMax, wake.interval),
    lingerMs: wake.linger,
    highWater: wake.highWater,
  };
}

function intervalOf({ count, interval, rate }: ScenarioFile['fleets'][number]): number {
  if (rate !== undefined) return (count / rate) * 1000;
  return interval ?? Number.POSITIVE_INFINITY;
}

type FileSensor = ScenarioFile['fleets'][number]['sensors'][number];

function normaliseSampling({ adaptive, anomaly, every, window }: FileSensor): SensorSampling {
  return {
    ...(adaptive === undefined ? {} : { adaptive: normaliseAdaptive(adaptive) }),
    ...(window === undefined
      ? {}
      : { window: { intervalMs: window.interval, sampleMs: window.sample } }),
    ...(anomaly === undefined ? {} : { anomaly: normaliseAnomaly(anomaly) }),
    ...(every === undefined ? {} : { every }),
  };
}

function normaliseAdaptive(
  file: NonNullable<FileSensor['adaptive']>,
): NonNullable<SensorSampling['adaptive']> {
  const { deadband, deadbandRelative } = file;
  return {
    intervalMsMin: file.intervalMin,
    intervalMsMax: file.intervalMax,
    ...(deadband === undefined ? {} : { deadband }),
    ...(deadbandRelative === undefined ? {} : { deadbandRelative }),
    sampleMsMin: file.sampleMin,
    sampleMsMax: file.sampleMax,
  };
}

function normaliseAnomaly(
  file: NonNullable<FileSensor['anomaly']>,
): NonNullable<SensorSampling['anomaly']> {
  const { deviationMin, intervalMin, warmup, weight, zScoreMax } = file;
  return {
    zScoreMax,
    weight,
    warmupCount: warmup,
    intervalMsMin: intervalMin,
    ...(deviationMin === undefined ? {} : { deviationMin }),
  };
}

function normaliseModel(sensor: FileSensor): SensorModel {
  switch (sensor.model) {
    case 'constant':
      return { kind: 'constant', value: sensor.value };
    case 'random-walk': {
      const { start, step, min, max } = sensor;
      return { kind: 'random-walk', start, step, min, max };
    }
    case 'sine': {
      const { mean, amplitude, period } = sensor;
      return { kind: 'sine', mean, amplitude, periodMs: period };
    }
    case 'noise':
      return { kind: 'noise', mean: sensor.mean, deviation: sensor.deviation };
  }
}

function normaliseBroker(file: NonNullable<ScenarioFile['broker']>): Broker {
  const parsed = parseBrokerUrl(file.url)!;
  const { username = parsed.username, password = parsed.password, ca, certificate, key } = file;
  return {
    url: parsed.url,
    host: parsed.host,
    port: parsed.port,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(parsed.tls === undefined
      ? {}
      : {
          tls: {
            ...(ca === undefined ? {} : { ca }),
            ...(certificate === undefined ? {} : { certificate }),
            ...(key === undefined ? {} : { key }),
            verify: file.verify,
          },
        }),
  };
}
