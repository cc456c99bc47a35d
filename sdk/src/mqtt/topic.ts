// Topic names and topic filters (MQTT 3.1.1 §4.7, MQTT 5 §4.7, §4.8).

import { utf8Size } from '../codec/text.ts';
import { FIELD_SIZE_MAX } from './packet.ts';

const NUMBER_SIGN = 0x23;
const DOLLAR = 0x24;
const PLUS = 0x2b;
const SLASH = 0x2f;
const SHARE = '$share/';

// Clauses are those of 3.1.1; MQTT 5 numbers MQTT-4.7.1-1, -2, -3 as MQTT-4.7.0-1, 4.7.1-1, -2.

/** At least one character, no U+0000, at most 65,535 bytes (MQTT-4.7.3-1, -2, -3). */
function isTopic(text: string): boolean {
  return text.length > 0 && text.indexOf('\0') < 0 && utf8Size(text) <= FIELD_SIZE_MAX;
}

/** True for what a PUBLISH may name: no wildcards (MQTT-3.3.2-2, MQTT-4.7.1-1). */
export function isTopicName(text: string): boolean {
  return isTopic(text) && text.indexOf('#') < 0 && text.indexOf('+') < 0;
}

/** True for a filter whose wildcards fill whole levels, '#' the last (MQTT-4.7.1-2, -3). */
export function isTopicFilter(text: string): boolean {
  if (!isTopic(text)) return false;
  const last = text.length - 1;
  for (let index = 0; index <= last; index += 1) {
    const code = text.charCodeAt(index);
    if (code !== NUMBER_SIGN && code !== PLUS) continue;
    if (index > 0 && text.charCodeAt(index - 1) !== SLASH) return false;
    if (index === last) continue;
    if (code === NUMBER_SIGN || text.charCodeAt(index + 1) !== SLASH) return false;
  }
  return true;
}

/** True for the filter of a shared subscription, right or wrong (MQTT 5 §4.8.2). */
export function isShared(filter: string): boolean {
  return filter.indexOf(SHARE) === 0;
}

/** True for what a SUBSCRIBE may ask for: a filter, or `$share/name/filter` (MQTT-4.8.2-1, -2). */
export function isSubscriptionFilter(text: string): boolean {
  if (!isShared(text)) return isTopicFilter(text);
  const end = text.indexOf('/', SHARE.length);
  // A name without wildcards is a topic name of one level.
  return (
    end > 0 &&
    isTopicName(text.substring(SHARE.length, end)) &&
    isTopicFilter(text.substring(end + 1))
  );
}

/**
 * True when a valid filter matches a valid topic name. A filter that begins with a wildcard does
 * not match a topic that begins with '$' (MQTT-4.7.2-1).
 */
export function topicMatches(filter: string, topic: string): boolean {
  const filterLength = filter.length;
  const topicLength = topic.length;
  let at = 0;
  for (let index = 0; index < filterLength; index += 1) {
    const code = filter.charCodeAt(index);
    if (code === NUMBER_SIGN || code === PLUS) {
      if (index === 0 && topic.charCodeAt(0) === DOLLAR) return false;
      if (code === NUMBER_SIGN) return true;
      while (at < topicLength && topic.charCodeAt(at) !== SLASH) at += 1;
    } else if (at < topicLength && topic.charCodeAt(at) === code) {
      at += 1;
    } else {
      // '…/#' also matches the level above it (§4.7.1.2).
      return at === topicLength && index + 2 === filterLength && filter.substring(index) === '/#';
    }
  }
  return at === topicLength;
}
