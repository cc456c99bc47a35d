// The metrics that a run can report, by the names of the summary and of thresholds.

export type MetricKind = 'counter' | 'gauge' | 'rate' | 'trend';

export interface MetricDefinition {
  readonly kind: MetricKind;
  /** What is counted. */
  readonly unit: 'messages' | 'devices' | 'ms' | 'events' | 'share' | 'mAh';
  /** One line for people. */
  readonly description: string;
  /** Of what not every run has: left out of the summary for people where it was not measured. */
  readonly optional?: true;
}

/** Metrics that are recorded. The order is that of the summary. */
const RECORDED = {
  devices: { kind: 'gauge', unit: 'devices', description: 'devices in the run' },
  devices_connected: {
    kind: 'gauge',
    unit: 'devices',
    description: 'devices with an accepted connection at this moment',
  },
  connect_latency_ms: {
    kind: 'trend',
    unit: 'ms',
    description: 'from opening the socket to CONNACK',
  },
  connect_failures: {
    kind: 'counter',
    unit: 'events',
    description: 'connects that were refused, timed out or broke before CONNACK',
  },
  reconnects: {
    kind: 'counter',
    unit: 'events',
    description: 'connects accepted after a device had been connected before',
  },
  messages_produced: {
    kind: 'counter',
    unit: 'messages',
    description: 'messages that devices put into their buffers',
  },
  messages_acknowledged: {
    kind: 'counter',
    unit: 'messages',
    description: 'messages that the broker acknowledged (QoS 0: that left the device)',
  },
  messages_observed: {
    kind: 'counter',
    unit: 'messages',
    description: 'messages that the observer received, each counted once',
  },
  messages_duplicated: {
    kind: 'counter',
    unit: 'messages',
    description: 'further copies of observed messages',
  },
  messages_lost: {
    kind: 'counter',
    unit: 'messages',
    description: 'never acknowledged, never observed',
  },
  messages_unseen: {
    kind: 'counter',
    unit: 'messages',
    description: 'acknowledged by the broker, never delivered',
  },
  messages_unobservable: {
    kind: 'counter',
    unit: 'messages',
    description: "acknowledged while the observer's own session was gone",
  },
  messages_dropped: {
    kind: 'counter',
    unit: 'messages',
    description: 'dropped by a full buffer, as its policy says',
  },
  messages_volatile: {
    kind: 'counter',
    unit: 'messages',
    description: 'held in RAM only and lost with it at a restart',
  },
  messages_pending: {
    kind: 'counter',
    unit: 'messages',
    description: 'still in a buffer when the run ended',
  },
  messages_received: {
    kind: 'counter',
    unit: 'messages',
    description: 'messages that subscribers of the fleet received',
  },
  samples_missed: {
    kind: 'counter',
    unit: 'messages',
    description: 'never made: their time was past when the generator came to them',
  },
  publish_latency_ms: {
    kind: 'trend',
    unit: 'ms',
    description: 'from the scheduled time of a message to its acknowledgement',
  },
  delivery_latency_ms: {
    kind: 'trend',
    unit: 'ms',
    description: 'from the scheduled time of a message to the observer',
  },
  shadow_updates: {
    kind: 'counter',
    unit: 'events',
    description: 'desired changes that the timeline made to shadows of devices',
    optional: true,
  },
  shadow_converged: {
    kind: 'counter',
    unit: 'events',
    description: 'desired changes that devices have reported',
    optional: true,
  },
  shadow_latency_ms: {
    kind: 'trend',
    unit: 'ms',
    description: 'from a desired change, or the device being online, to its report',
    optional: true,
  },
  time_error_ms: {
    kind: 'trend',
    unit: 'ms',
    description: 'between the time that a device with a wrong clock tells and the arrival',
    optional: true,
  },
  energy_mah_per_day: {
    kind: 'trend',
    unit: 'mAh',
    description: 'what a device would take from its battery in a day of this',
    optional: true,
  },
} as const satisfies Record<string, MetricDefinition>;

/** Metrics that a snapshot derives from recorded ones. */
const DERIVED = {
  messages_delivered: {
    kind: 'rate',
    unit: 'share',
    description: 'observed share of the produced messages that could be observed',
  },
  shadow_convergence: {
    kind: 'rate',
    unit: 'share',
    description: 'reported share of the desired changes',
    optional: true,
  },
} as const satisfies Record<string, MetricDefinition>;

type NamesOf<Kind extends MetricKind> = {
  [Name in keyof typeof RECORDED]: (typeof RECORDED)[Name]['kind'] extends Kind ? Name : never;
}[keyof typeof RECORDED];

export type CounterName = NamesOf<'counter'>;
export type GaugeName = NamesOf<'gauge'>;
export type TrendName = NamesOf<'trend'>;
export type RateName = keyof typeof DERIVED;
export type MetricName = CounterName | GaugeName | TrendName | RateName;

/** Every metric by its name. */
export const METRICS: Readonly<Record<MetricName, MetricDefinition>> = { ...RECORDED, ...DERIVED };

export const METRIC_NAMES = Object.keys(METRICS) as readonly MetricName[];

function namesOf(kind: MetricKind): string[] {
  return Object.entries(RECORDED).flatMap(([name, metric]) => (metric.kind === kind ? [name] : []));
}

export const COUNTER_NAMES = namesOf('counter') as readonly CounterName[];
export const GAUGE_NAMES = namesOf('gauge') as readonly GaugeName[];
export const TREND_NAMES = namesOf('trend') as readonly TrendName[];
