// What a count is a share of. A threshold on a share holds for a fleet of any size: the same
// scenario is true at 7 devices and at 7,000.

import type { CounterName, GaugeName, MetricName } from './names.ts';

/** The share of what is counted in devices is of the devices; of events, it is how many per device. */
const WHOLES: Readonly<Partial<Record<CounterName | GaugeName, CounterName | GaugeName>>> = {
  devices_connected: 'devices',
  devices_on_trial: 'devices',
  devices_updated: 'devices',
  devices_bricked: 'devices',
  reconnects: 'devices',
  messages_produced: 'devices',
  messages_acknowledged: 'messages_produced',
  messages_observed: 'messages_produced',
  messages_lost: 'messages_produced',
  messages_unseen: 'messages_produced',
  messages_unobservable: 'messages_produced',
  messages_dropped: 'messages_produced',
  messages_volatile: 'messages_produced',
  messages_pending: 'messages_produced',
  messages_duplicated: 'messages_observed',
  messages_received: 'devices',
  shadow_updates: 'devices',
  shadow_converged: 'shadow_updates',
  ota_started: 'devices',
  ota_confirmed: 'devices',
  ota_failed: 'devices',
  ota_reverted: 'devices',
  ota_uninvited: 'devices',
  attacks: 'devices',
  attacks_stopped: 'attacks',
  attacks_succeeded: 'attacks',
  download_bytes: 'devices',
};

/** The metric that the share of another is of; undefined where there is none. */
export function wholeOf(metric: MetricName): MetricName | undefined {
  return (WHOLES as Readonly<Partial<Record<MetricName, MetricName>>>)[metric];
}
