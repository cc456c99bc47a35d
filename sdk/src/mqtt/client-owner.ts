// What an MQTT client asks of the device behind it, and tells it.

import type { DeliveryOwner } from './delivery.ts';
import type { Subscription, Will } from './packet.ts';

/** The device behind a client. All calls are synchronous; none may throw. */
export interface ClientOwner extends DeliveryOwner {
  will(): Will | undefined;
  subscriptions(): readonly Subscription[];
  /** `resumed`: messages in flight are sent again by the client; otherwise it holds none. */
  onConnected(resumed: boolean): void;
  /** Every subscription is confirmed, or was refused. */
  onSubscribed(): void;
  /** The server does not take this one, or no packet may hold it; the others go on. */
  onSubscriptionRefused?(filter: string, reasonCode: number): void;
  /** `wasConnected`: once for each `onConnected`; false for an attempt that failed. */
  onDisconnected(reason: string, wasConnected: boolean): void;
  /** Room or quota came back: publish what waits. */
  onReady(): void;
}
