// What is left of a will at a server that does not take all of it (MQTT-3.2.2-12, MQTT-3.2.2-13).

import type { Qos, Will } from './packet.ts';
import { QOS_NOT_SUPPORTED, RETAIN_NOT_SUPPORTED } from './reason-codes.ts';

/** A will's highest QoS in two bits, and a bit for its retain flag. */
const QOS_MASK = 3;
const RETAIN = 4;
/** Nothing was refused. */
export const WILL_WHOLE = 2 | RETAIN;

/** What is left after CONNACK refused a will within `willMax` with this code. */
export function willMaxAfter(willMax: number, reasonCode: number): number {
  if (reasonCode === RETAIN_NOT_SUPPORTED) return willMax & ~RETAIN;
  return reasonCode === QOS_NOT_SUPPORTED ? willMax & ~QOS_MASK : willMax;
}

/** `will` with no more than `willMax`. */
export function reducedWill(will: Will | undefined, willMax: number): Will | undefined {
  if (will === undefined || willMax === WILL_WHOLE) return will;
  const { delayS, payload, topic } = will;
  const qos = Math.min(will.qos, willMax & QOS_MASK) as Qos;
  return { topic, payload, qos, retain: will.retain && (willMax & RETAIN) !== 0, delayS };
}
