// What both sides have in common: the devices, what they say when they connect, what they
// measure and when. The SDK's side takes it as a scenario, MQTT.js's side as it is.

export type Protocol = '5' | '3.1.1';
export type Side = 'ours' | 'mqttjs';

/** Each device publishes one message per this time, on a schedule that waits for nothing. */
export const INTERVAL_MS = 1000;
/** For devices that only stay connected: their first message is beyond the end. */
export const IDLE_INTERVAL_MS = 30 * 86_400_000;
/** The listen backlog of mosquitto is 100; beyond it a connect waits a second. */
export const CONNECTS_IN_FLIGHT = 80;
/** No PINGREQ falls into a measurement. */
export const KEEP_ALIVE_S = 300;
export const SESSION_EXPIRY_S = 3600;
/** What the SDK announces. */
export const RECEIVE_MAXIMUM = 16;
export const PACKET_SIZE_MAX = 2048;
export const WILL_DELAY_S = 5;
/** Bytes of the SDK's store-and-forward ring where memory counts: MQTT.js's store is empty too. */
export const BUFFER_SIZE = 1024;
/** The same where messages count: MQTT.js's store has no bound, and a busy machine stalls. */
export const MESSAGE_BUFFER_SIZE = 8192;

/** A sine over the time since the start, rounded as a real sensor resolves. */
export interface SensorForm {
  readonly name: string;
  readonly unit: string;
  readonly mean: number;
  readonly amplitude: number;
  readonly periodMs: number;
}

export const SENSORS: readonly SensorForm[] = [
  { name: 'temperature', unit: 'Cel', mean: 21.5, amplitude: 4.3, periodMs: 60_000 },
  { name: 'humidity', unit: '%RH', mean: 45.2, amplitude: 9.7, periodMs: 47_000 },
  { name: 'voltage', unit: 'V', mean: 3.71, amplitude: 0.14, periodMs: 31_000 },
];

export function sensorValue(sensor: SensorForm, elapsedMs: number): number {
  const { mean, amplitude, periodMs } = sensor;
  const value = mean + amplitude * Math.sin((2 * Math.PI * elapsedMs) / periodMs);
  return Math.round(value * 100) / 100;
}

/** An adaptive sensor that reports nothing while its memory is measured. */
const RESTING = {
  intervalMin: '1s',
  intervalMax: '30d',
  deadband: 1000,
  sampleMin: '10d',
  sampleMax: '30d',
};
const SHADOW_EVENT = { at: '50m', shadow: { desired: { reportingInterval: 5 } } };

/** Devices connect in batches; each batch has its own prefix, of one length. */
export function batchName(batch: number): string {
  return `bench${batch}`;
}

export function deviceId(batch: number, index: number): string {
  return `${batchName(batch)}-live-${index}`;
}

/** The scenario members that both sides share, as overrides of `scenario.yaml`. */
export function scenarioOverrides(options: {
  readonly count: number;
  readonly qos: number;
  readonly intervalMs: number;
  readonly protocol: Protocol;
  readonly bufferSize: number;
  /** Adaptive sensors and a shadow, which MQTT.js has nothing like. */
  readonly isWhole: boolean;
}): string[] {
  const sampling = options.isWhole ? { adaptive: RESTING } : {};
  const sensors = SENSORS.map(({ name, unit, mean, amplitude, periodMs }) => {
    return { name, unit, model: 'sine', mean, amplitude, period: `${periodMs}ms`, ...sampling };
  });
  const fleet = {
    count: options.count,
    qos: options.qos,
    interval: `${options.intervalMs}ms`,
    protocol: options.protocol === '5' ? 5 : options.protocol,
    keepAlive: `${KEEP_ALIVE_S}s`,
    sessionExpiry: `${SESSION_EXPIRY_S}s`,
    buffer: `${options.bufferSize}B`,
    sensors,
  };
  return [
    ...Object.entries(fleet).map(([name, value]) => `fleets.live.${name}=${JSON.stringify(value)}`),
    `connect.inFlight=${CONNECTS_IN_FLIGHT}`,
    // What the timeline changes is what devices have a shadow for.
    ...(options.isWhole ? [`timeline=${JSON.stringify([SHADOW_EVENT])}`] : []),
  ];
}
