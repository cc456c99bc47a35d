// What an MQTT client asks of the device behind it, and tells it.

import type { DeliveryOwner } from './delivery.ts';
import type { Subscription, Will } from './packet.ts';

/** The device behind a client. All calls are synchronous; none may throw. */
export interface ClientOwner extends DeliveryOwner {
  will(): Will | undefined;
  subscriptions(): readonly Subscription[];
  /** `resumed`: messages in flight are sent again by the client; otherwise it holds none. */
  onConnected(resumed: boolean): void;
  /** SUBACK came; refused subscriptions are counted in `subscribeRefusedCount`. */
  onSubscribed(): void;
  /** `wasConnected` is false for an attempt that failed. */
  onDisconnected(reason: string, wasConnected: boolean): void;
  /** Room or quota came back: publish what waits. */
  onReady(): void;
}
