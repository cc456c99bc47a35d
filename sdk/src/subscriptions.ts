// What a device hears: its program's own filters, and those of shadow, commands and updates.

import type { Device } from './device.ts';
import type { Subscription } from './mqtt/packet.ts';
import { SHADOW_TOPICS } from './shadow/shadow.ts';

/** The subscriptions of `device` on the version of its present connection. */
export function subscriptionsOf(device: Device): readonly Subscription[] {
  const { client, id, profile, shadow, updater } = device;
  const { shadowTopics, status, subscriptions, takesCommands } = profile;
  const { topics } = profile.client;
  const filters = subscriptions.slice();
  for (let index = 0; index < SHADOW_TOPICS.length && shadow !== undefined; index += 1) {
    filters.push({ filter: shadowTopics.format(id, `shadow/${SHADOW_TOPICS[index]}`), qos: 1 });
  }
  if (takesCommands) filters.push({ filter: topics.format(id, 'commands'), qos: 1 });
  if (updater !== undefined) filters.push({ filter: topics.format(id, 'ota/notify'), qos: 1 });
  // 3.1.1 has no will delay: the will of our own last connection may come after this birth.
  const watches = status && client.version === 4;
  if (watches) filters.push({ filter: topics.format(id, 'status'), qos: 0 });
  return filters;
}
