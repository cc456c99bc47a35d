// Checks that need more than one member of a scenario. They read the plain tree, not the parsed
// result, so that they also find their mistakes in a file that has others.

import { nearest } from '@flotilla/command-line/nearest';
import { parseDuration } from '@flotilla/command-line/quantities';
import { respond } from '@flotilla/ota-server/shadow';
import { DEVICE_ID_LENGTH_MAX } from '@flotilla/sdk';
import { FIELD_SIZE_MAX } from '@flotilla/sdk/mqtt/packet';
import { isImplicit } from '../metrics/implicit.ts';
import { METRICS } from '../metrics/names.ts';
import { parseExpression, parseMetric } from '../metrics/thresholds.ts';
import { wholeOf } from '../metrics/wholes.ts';
import { parseBrokerUrl } from './broker-url.ts';
import { DEVICES_MAX, ID_DEFAULT, SESSION_EXPIRY_DEFAULT } from './file-schema.ts';
import { type Mistake, type Path, show } from './mistakes.ts';
import { DURATION_MS_MAX } from './quantities.ts';
import { deviceId, RUN_ID_LENGTH_MAX } from './schema.ts';
import { checkSizes } from './size-checks.ts';
import type { Value } from './tree.ts';
import { parseCount } from './units.ts';
import { checkUpdates } from './update-checks.ts';

type Members = { readonly [key: string]: Value };

/** All mistakes between members. Members of a wrong form are left to the schema. */
export function crossCheck(scenario: Value): Mistake[] {
  const root = members(scenario);
  const fleets = list(root.fleets).map(members);
  const names = fleets.flatMap(({ name }) => (typeof name === 'string' ? [name] : []));
  return [
    ...checkFleets(fleets),
    ...fleets.flatMap(({ sensors }, index) => checkSensors(sensors, ['fleets', index, 'sensors'])),
    ...checkTimes(root, names),
    ...list(root.timeline).flatMap((event, index) => checkEvent(members(event), index, fleets)),
    ...checkUpdates(fleets, list(root.timeline).map(members)),
    ...checkBroker(members(root.broker)),
    ...Object.entries(members(root.thresholds)).flatMap(([metric, entries]) =>
      Array.isArray(entries) ? checkThresholds(metric, entries, names) : [],
    ),
  ];
}

function members(value: Value | undefined): Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
}

function list(value: Value | undefined): readonly Value[] {
  return Array.isArray(value) ? value : [];
}

function checkFleets(fleets: readonly Members[]): Mistake[] {
  const mistakes = duplicateNames(fleets, ['fleets'], 'fleet');
  let total = 0;
  for (const [index, fleet] of fleets.entries()) {
    const count = parseCount(fleet.count) ?? 0;
    total += count;
    if (count <= DEVICES_MAX && total > DEVICES_MAX && total - count <= DEVICES_MAX) {
      const message = `all fleets together have ${total} devices, at most ${DEVICES_MAX} can run`;
      mistakes.push({ path: ['fleets', index, 'count'], message });
    }
    const path = ['fleets', index];
    mistakes.push(
      ...checkId(fleets, index, count),
      ...checkTraffic(fleet, path),
      ...checkFleetTimes(fleet, path),
      ...checkSizes(fleet, list(fleet.sensors).map(members), path),
      ...checkCountMin(fleet, path),
    );
  }
  return mistakes;
}

/** Told where the bound is, not where the flag was typed: there it says why. */
function checkCountMin({ count, countMin }: Members, path: Path): Mistake[] {
  const { count: bound, why } = members(countMin);
  const least = parseCount(bound);
  const devices = parseCount(count);
  if (least === undefined || devices === undefined || devices >= least) return [];
  const message = `expected at least ${least} devices, got ${devices}: ${why}`;
  return [{ path: [...path, 'countMin'], message }];
}

/** What a fleet does: publish, subscribe, or what its application says. */
function checkTraffic(fleet: Members, path: Path): Mistake[] {
  const { application, interval, kind = 'device', payload, rate, sensors, subscribe } = fleet;
  if (Object.keys(fleet).length === 0) return []; // No map at all, as the schema says.
  const plain = kind === 'plain';
  const mistakes: Mistake[] = [];
  const wrong = (member: string, message: string) => {
    mistakes.push({ path: [...path, member], message });
  };
  const hasInterval = interval !== undefined || rate !== undefined;
  const publishes = hasInterval || list(sensors).some(hasOwnSchedule);
  const rateMistake = checkRate(fleet);
  if (rateMistake !== undefined) wrong('rate', rateMistake);
  if (interval !== undefined && rate !== undefined)
    wrong('rate', 'give interval or rate, not both');
  if (!publishes && application === undefined && list(subscribe).length === 0) {
    const message = 'does nothing: give it an interval, a rate, subscribe or an application';
    mistakes.push({ path, message });
  }
  for (const [index, sensor] of list(sensors).entries()) {
    if (hasInterval || !publishes || hasOwnSchedule(sensor)) continue;
    const message = 'is never read: give the fleet an interval, or the sensor adaptive or window';
    mistakes.push({ path: [...path, 'sensors', index], message });
  }
  if (plain && list(sensors).length > 0)
    wrong('sensors', 'are of devices: a plain client has none');
  if (plain && application !== undefined) wrong('application', 'is of devices, not plain clients');
  if (plain && fleet.clock !== undefined)
    wrong('clock', 'is of devices: a plain client tells no time');
  if (!plain && payload !== undefined) wrong('payload', 'is of plain clients (kind: plain)');
  if (kind === 'device' && publishes && list(sensors).length === 0 && application === undefined) {
    mistakes.push({ path, message: 'publishes, so it needs sensors (or kind: plain)' });
  }
  return mistakes;
}

/** A rate is an interval of each device, which has its bounds. */
function checkRate({ count, rate }: Members): string | undefined {
  const devices = parseCount(count);
  if (typeof rate !== 'number' || !(rate > 0) || devices === undefined) return undefined;
  const intervalMs = (devices / rate) * 1000;
  if (intervalMs < 1)
    return `expected at most ${devices * 1000}, one a ms of each device, got ${rate}`;
  if (intervalMs <= DURATION_MS_MAX) return undefined;
  return `expected at least one message a year of each device, got ${rate}`;
}

/** Times of a fleet that go together. */
function checkFleetTimes({ retry, sessionExpiry, wake }: Members, path: Path): Mistake[] {
  const mistakes: Mistake[] = [];
  const { max = '60s', min = '1s' } = members(retry);
  const [minMs, maxMs] = [parseDuration(min), parseDuration(max)];
  if (minMs !== undefined && maxMs !== undefined && minMs > maxMs) {
    mistakes.push({
      path: [...path, 'retry', 'max'],
      message: `expected at least min ${min}, got ${max}`,
    });
  }
  const wakeMs = parseDuration(members(wake).interval);
  const expiryMs = parseDuration(sessionExpiry ?? SESSION_EXPIRY_DEFAULT);
  if (wakeMs !== undefined && expiryMs !== undefined && expiryMs <= wakeMs) {
    // What the broker holds for a sleeping device would be gone before it wakes.
    const message = `expected more than the ${members(wake).interval} that devices sleep, got ${sessionExpiry ?? SESSION_EXPIRY_DEFAULT}`;
    mistakes.push({ path: [...path, 'sessionExpiry'], message });
  }
  return mistakes;
}

function duplicateNames(entries: readonly Members[], path: Path, what: string): Mistake[] {
  const seen = new Set<Value>();
  return entries.flatMap(({ name }, index) => {
    if (typeof name !== 'string') return [];
    const duplicate = seen.has(name);
    seen.add(name);
    const message = `another ${what} is named ${show(name)} already`;
    return duplicate ? [{ path: [...path, index, 'name'], message }] : [];
  });
}

function checkId(fleets: readonly Members[], index: number, count: number): Mistake[] {
  const { name, id = ID_DEFAULT } = fleets[index]!;
  if (typeof name !== 'string' || typeof id !== 'string') return [];
  const path = ['fleets', index, 'id'];
  const longest = deviceId(id, 'r'.repeat(RUN_ID_LENGTH_MAX), name, Math.max(0, count - 1));
  if (longest.length > DEVICE_ID_LENGTH_MAX) {
    const limit = `at most ${DEVICE_ID_LENGTH_MAX} are allowed`;
    return [{ path, message: `gives ids of ${longest.length} characters, ${limit}` }];
  }
  const other = fleets
    .slice(0, index)
    .find(
      (fleet) =>
        typeof fleet.name === 'string' &&
        fleet.name !== name &&
        idsCanMeet(fixedParts(fleet.id ?? ID_DEFAULT, fleet.name), fixedParts(id, name)),
    );
  if (other === undefined) return [];
  const message = `can give the same ids as fleet ${show(other.name)}: put {fleet} into it`;
  return [{ path, message }];
}

/** What stands before and after the index. */
function fixedParts(id: Value, fleet: string): [string, string] {
  // No id holds a brace, so the run stays apart from all letters.
  const [before = '', after = ''] = String(id).replaceAll('{fleet}', fleet).split('{index}');
  return [before, after];
}

/**
 * Whether two patterns can give one id: the indexes are digits, so what one pattern has beyond
 * the other on either side must be digits too.
 */
function idsCanMeet(a: readonly [string, string], b: readonly [string, string]): boolean {
  const [front, otherFront] = a[0].length < b[0].length ? [a[0], b[0]] : [b[0], a[0]];
  const [back, otherBack] = a[1].length < b[1].length ? [a[1], b[1]] : [b[1], a[1]];
  return (
    otherFront.startsWith(front) &&
    otherBack.endsWith(back) &&
    /^\d*$/.test(otherFront.slice(front.length)) &&
    /^\d*$/.test(otherBack.slice(0, otherBack.length - back.length))
  );
}

function checkSensors(sensors: Value | undefined, path: Path): Mistake[] {
  const entries = list(sensors).map(members);
  const mistakes = duplicateNames(entries, path, 'sensor of this fleet');
  for (const [index, entry] of entries.entries()) {
    const { model, start, min, max } = entry;
    mistakes.push(...checkSampling(entry, [...path, index]));
    if (model !== 'random-walk' || typeof min !== 'number' || typeof max !== 'number') continue;
    const at = [...path, index];
    if (min >= max) {
      mistakes.push({ path: [...at, 'max'], message: `expected more than min ${min}, got ${max}` });
    } else if (typeof start === 'number' && (start < min || start > max)) {
      const message = `expected a value from min ${min} to max ${max}, got ${start}`;
      mistakes.push({ path: [...at, 'start'], message });
    }
  }
  return mistakes;
}

/** How a sensor is sampled. */
function checkSampling(sensor: Members, path: Path): Mistake[] {
  const mistakes: Mistake[] = [];
  const [way, other] = ['adaptive', 'window', 'every'].filter((name) => sensor[name] !== undefined);
  if (other !== undefined) {
    mistakes.push({ path: [...path, other], message: `give ${way} or ${other}, not both` });
  }
  const order = (at: string, low: string, high: string) => {
    const of = members(sensor[at]);
    const lowMs = parseDuration(of[low]);
    const highMs = parseDuration(of[high]);
    if (lowMs === undefined || highMs === undefined || lowMs <= highMs) return;
    const message = `expected at least ${low} ${of[low]}, got ${of[high]}`;
    mistakes.push({ path: [...path, at, high], message });
  };
  order('adaptive', 'intervalMin', 'intervalMax');
  order('adaptive', 'sampleMin', 'sampleMax');
  order('window', 'sample', 'interval');
  const adaptive = members(sensor.adaptive);
  const hasDeadband = adaptive.deadband !== undefined || adaptive.deadbandRelative !== undefined;
  if (Object.keys(adaptive).length > 0 && !hasDeadband) {
    const message = 'needs a deadband: deadband or deadbandRelative';
    mistakes.push({ path: [...path, 'adaptive'], message });
  }
  return mistakes;
}

/** True for a sensor that needs no interval of its fleet. */
function hasOwnSchedule(sensor: Value): boolean {
  const { adaptive, window } = members(sensor);
  return adaptive !== undefined || window !== undefined;
}

function checkTimes(root: Members, fleets: readonly string[]): Mistake[] {
  const mistakes: Mistake[] = [];
  const durationMs = parseDuration(root.duration) ?? Number.POSITIVE_INFINITY;
  const within = `within the duration ${root.duration}`;
  if ((parseDuration(root.ramp) ?? 0) > durationMs) {
    mistakes.push({ path: ['ramp'], message: `expected a time ${within}, got ${root.ramp}` });
  }
  for (const [index, event] of list(root.timeline).map(members).entries()) {
    if ((parseDuration(event.at) ?? 0) >= durationMs) {
      const message = `expected a time ${within}, got ${event.at}`;
      mistakes.push({ path: ['timeline', index, 'at'], message });
    }
    for (const kind of ['outage', 'shadow'] as const) {
      for (const [position, fleet] of list(members(event[kind]).fleets).entries()) {
        if (typeof fleet === 'string' && !fleets.includes(fleet)) {
          const path = ['timeline', index, kind, 'fleets', position];
          mistakes.push({ path, message: unknownFleet(fleet, fleets) });
        }
      }
    }
  }
  return mistakes;
}

/** An event is one thing; the desired state of a shadow is one that the service takes. */
function checkEvent(event: Members, index: number, fleets: readonly Members[]): Mistake[] {
  const path: Path = ['timeline', index];
  if (Object.keys(event).length === 0) return []; // No map at all, as the schema says.
  const [kind, other] = EVENT_KINDS.filter((each) => event[each] !== undefined);
  if (kind === undefined) {
    const message = 'does nothing: give it an outage, a shadow, a release or a rollout';
    return [{ path, message }];
  }
  if (other !== undefined) {
    return [{ path: [...path, other], message: `give ${kind} or ${other}, not both` }];
  }
  const mistakes: Mistake[] = [];
  const { desired, fleets: named } = members(event.shadow);
  for (const [position, name] of list(named).entries()) {
    if (fleets.find((fleet) => fleet.name === name)?.kind !== 'plain') continue;
    const message = `plain clients have no shadow, as those of ${show(name)}`;
    mistakes.push({ path: [...path, 'shadow', 'fleets', position], message });
  }
  if (Object.keys(members(desired)).length === 0) return mistakes;
  const [answer] = respond(undefined, { kind: 'update', body: { state: { desired } } }, 0).messages;
  if (answer?.name === 'update/rejected') {
    const message = `no shadow takes this: ${answer.document.message}`;
    mistakes.push({ path: [...path, 'shadow', 'desired'], message });
  }
  return mistakes;
}

const EVENT_KINDS = ['outage', 'shadow', 'release', 'rollout'];

function unknownFleet(name: string, fleets: readonly string[]): string {
  return `no fleet is named ${show(name)}${nearest(name, fleets)}`;
}

function checkBroker(broker: Members): Mistake[] {
  const url = typeof broker.url === 'string' ? parseBrokerUrl(broker.url) : undefined;
  if (url === undefined) return [];
  const mistakes: Mistake[] = [];
  for (const part of ['username', 'password'] as const) {
    const text = url[part] ?? '';
    if (text.includes('\u0000') || Buffer.byteLength(text) > FIELD_SIZE_MAX) {
      const message = `its ${part} has U+0000, or is longer than ${FIELD_SIZE_MAX} bytes`;
      mistakes.push({ path: ['broker', 'url'], message });
    }
  }
  for (const member of ['ca', 'certificate', 'key', 'verify']) {
    if (url.tls === undefined && broker[member] !== undefined) {
      const message = 'is for TLS only: the url begins with mqtt://, not mqtts://';
      mistakes.push({ path: ['broker', member], message });
    }
  }
  if ((broker.certificate === undefined) !== (broker.key === undefined)) {
    const [present, absent] =
      broker.key === undefined ? ['certificate', 'key'] : ['key', 'certificate'];
    mistakes.push({ path: ['broker', present], message: `is of no use without ${absent}` });
  }
  return mistakes;
}

function checkThresholds(
  metric: string,
  entries: readonly Value[],
  fleets: readonly string[],
): Mistake[] {
  const path = ['thresholds', metric];
  const parsed = parseMetric(metric);
  if (!parsed.ok) return [{ path, message: parsed.message, atKey: true }];
  const mistakes: Mistake[] = [];
  if (parsed.fleet !== undefined && !fleets.includes(parsed.fleet)) {
    mistakes.push({ path, message: unknownFleet(parsed.fleet, fleets), atKey: true });
  }
  if (entries.length === 0 && !isImplicit(parsed.name)) {
    const message = 'expected at least 1 entry: no run is asked this, so [] switches nothing off';
    mistakes.push({ path, message });
  }
  const hasWhole = wholeOf(parsed.name) !== undefined;
  for (const [index, entry] of entries.entries()) {
    const nested = typeof entry !== 'string';
    const text = nested ? members(entry).threshold : entry;
    if (typeof text !== 'string') continue;
    const expression = parseExpression(text, METRICS[parsed.name].kind, hasWhole);
    if (expression.ok) continue;
    const at = nested ? [...path, index, 'threshold'] : [...path, index];
    mistakes.push({ path: at, message: expression.message });
  }
  return mistakes;
}
