// The metrics that a run can report, by the names of the summary and of thresholds.

export type MetricKind = 'counter' | 'gauge' | 'rate' | 'trend';

export interface MetricDefinition {
  readonly kind: MetricKind;
  /** What is counted. */
  readonly unit: 'messages' | 'devices' | 'ms' | 'events' | 'share' | 'mAh' | 'bytes' | 'waves';
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
    description: 'acknowledged while the observer could not see what was delivered',
  },
  messages_dropped: {
    kind: 'counter',
    unit: 'messages',
    description: 'given up by the device; ledger.droppedBy of the summary says why',
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
  fanout_expected: {
    kind: 'counter',
    unit: 'messages',
    description: 'telemetry that subscribers of the fleet, or groups of them, were to receive',
    optional: true,
  },
  fanout_received: {
    kind: 'counter',
    unit: 'messages',
    description: 'what they received of it, each message once per subscriber or group',
    optional: true,
  },
  fanout_lost: {
    kind: 'counter',
    unit: 'messages',
    description: 'what they did not receive of it',
    optional: true,
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
  buffered_latency_ms: {
    kind: 'trend',
    unit: 'ms',
    description: 'as delivery_latency_ms, of messages that waited for a connection',
    optional: true,
  },
  fanout_latency_ms: {
    kind: 'trend',
    unit: 'ms',
    description: 'from the scheduled time of a message to a subscriber of the fleet',
    optional: true,
  },
  application_errors: {
    kind: 'counter',
    unit: 'events',
    description: 'exceptions of the user’s own applications',
    optional: true,
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
  ota_started: {
    kind: 'counter',
    unit: 'devices',
    description: 'updates that a device began to download',
    optional: true,
  },
  ota_confirmed: {
    kind: 'counter',
    unit: 'devices',
    description: 'updates that a device confirmed after its trial',
    optional: true,
  },
  ota_failed: {
    kind: 'counter',
    unit: 'devices',
    description: 'updates that a device gave up before their trial',
    optional: true,
  },
  ota_reverted: {
    kind: 'counter',
    unit: 'devices',
    description: 'trials that ended with the old image running again',
    optional: true,
  },
  ota_waves: {
    kind: 'gauge',
    unit: 'waves',
    description: 'waves of rollouts that were opened',
    optional: true,
  },
  ota_alerts: {
    kind: 'counter',
    unit: 'events',
    description: 'alerts of rollouts: a wave failed its gate',
    optional: true,
  },
  ota_uninvited: {
    kind: 'counter',
    unit: 'devices',
    description: 'updates that were begun beyond the waves that were opened',
    optional: true,
  },
  attacks: {
    kind: 'counter',
    unit: 'events',
    description: 'attacks on updates that the scenario asks for, one per device',
    optional: true,
  },
  attacks_stopped: {
    kind: 'counter',
    unit: 'events',
    description: 'attacks that were tried, and stopped',
    optional: true,
  },
  attacks_succeeded: {
    kind: 'counter',
    unit: 'events',
    description: 'attacks that got what they wanted',
    optional: true,
  },
  devices_on_trial: {
    kind: 'gauge',
    unit: 'devices',
    description: 'devices whose running image is on trial at this moment',
    optional: true,
  },
  devices_updated: {
    kind: 'gauge',
    unit: 'devices',
    description: 'devices that run another version than they began with',
    optional: true,
  },
  devices_bricked: {
    kind: 'counter',
    unit: 'devices',
    description: 'machines that halted: no image may run',
    optional: true,
  },
  unsigned_boots: {
    kind: 'counter',
    unit: 'events',
    description: 'boots of an image that is unsigned, of another class, or older than confirmed',
    optional: true,
  },
  download_bytes: {
    kind: 'counter',
    unit: 'bytes',
    description: 'what the update clients read of images and deltas',
    optional: true,
  },
  link_losses: {
    kind: 'counter',
    unit: 'events',
    description: 'downloads that a lost link cut, as the scenario asks for',
    optional: true,
  },
  power_cuts: {
    kind: 'counter',
    unit: 'events',
    description: 'power cuts at flash operations, as the scenario asks for',
    optional: true,
  },
  ota_trial_ms: {
    kind: 'trend',
    unit: 'ms',
    description: 'from the first boot of an image on trial to its confirmation',
    optional: true,
  },
  ota_revert_ms: {
    kind: 'trend',
    unit: 'ms',
    description: 'from the first boot of an image on trial to the old one running again',
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
