// What a request may hold, and the codes by which it is refused
// (docs.aws.amazon.com/iot/latest/developerguide/device-shadow-error-messages.html).

import { emptyTree, isTree, SECTIONS, type Tree, type Value } from './document.ts';

/** Objects and arrays within each other in `desired` or `reported`, themselves included. */
export const DEPTH_MAX = 8;
/** Bytes of `desired` and `reported` together, as JSON. */
export const STATE_SIZE_MAX = 8192;
/** Bytes of a whole request: a state of the largest size, written in the worst way JSON has. */
export const REQUEST_SIZE_MAX = 4 * STATE_SIZE_MAX;
/** Bytes of a client token. */
export const TOKEN_SIZE_MAX = 64;
/** Objects and arrays within each other in a whole request: `{state: {desired: …}}`. */
export const REQUEST_DEPTH_MAX = DEPTH_MAX + 2;

/** Why a request is rejected. */
export type RefusalCode = 400 | 404 | 409 | 413 | 415 | 429 | 500;

export interface Refusal {
  readonly code: RefusalCode;
  readonly message: string;
}

/** What no object of a document may be called: it means more than a name to some engine. */
const KEYS_REFUSED: readonly string[] = ['__proto__', 'constructor', 'prototype'];

/** An update that is well formed. A section that is null is to be removed. */
export interface Update {
  readonly desired?: Tree | null;
  readonly reported?: Tree | null;
  /** Accepted only when the shadow has this version. */
  readonly version?: number;
}

export function invalid(message: string): Refusal {
  return { code: 400, message };
}

/** The body of a request: undefined stands for an empty message. */
export function checkBody(body: unknown): Refusal | undefined {
  if (body === undefined || isTree(body)) return undefined;
  return invalid('Request must be an object');
}

/** The client token of a request, or what is wrong with it. */
export function readToken(body: unknown): { token?: string; refusal?: Refusal } {
  const token = isTree(body) ? body.clientToken : undefined;
  if (token === undefined) return {};
  const ok = typeof token === 'string' && Buffer.byteLength(token) <= TOKEN_SIZE_MAX;
  return ok && token.isWellFormed() ? { token } : { refusal: invalid('Invalid clientToken') };
}

/**
 * Reads an update; what else a request holds beside state, version and token is ignored, as AWS
 * does. The trees that it returns are copies, checked to the last leaf.
 */
export function readUpdate(body: unknown): { update?: Update; refusal?: Refusal } {
  if (!isTree(body) || body.state === undefined) {
    return { refusal: invalid('Missing required node: state') };
  }
  const { state, version } = body;
  if (!isTree(state)) return { refusal: invalid('State node must be an object') };
  if (version !== undefined && !(Number.isSafeInteger(version) && (version as number) >= 0)) {
    return { refusal: invalid('Invalid version') };
  }
  const sections: Record<string, Tree | null> = {};
  for (const section of SECTIONS) {
    const value = state[section];
    if (value === undefined) continue;
    const checked = value === null ? { value } : readSection(section, value);
    if (checked.refusal !== undefined) return checked;
    sections[section] = checked.value as Tree | null;
  }
  const unknown = Object.keys(state).some((key) => !SECTIONS.includes(key as 'desired'));
  if (unknown) return { refusal: invalid('State contains an invalid node') };
  return {
    update: { ...sections, ...(version === undefined ? {} : { version: version as number }) },
  };
}

type Checked = { readonly value?: Value; readonly refusal?: Refusal };

function readSection(name: string, value: unknown): Checked {
  if (!isTree(value)) {
    return {
      refusal: invalid(`${name === 'desired' ? 'Desired' : 'Reported'} node must be an object`),
    };
  }
  return readValue(value, DEPTH_MAX, false);
}

const BAD_NODE: Checked = { refusal: invalid('State contains an invalid node') };
const TOO_DEEP: Checked = {
  refusal: invalid(`JSON contains too many levels of nesting; maximum is ${DEPTH_MAX}`),
};

function readValue(value: unknown, depthMax: number, inArray: boolean): Checked {
  switch (typeof value) {
    case 'boolean':
      return { value };
    case 'number':
      return Number.isFinite(value) ? { value } : BAD_NODE;
    case 'string':
      // Lone surrogates have no UTF-8, so they would come back as something else.
      return value.isWellFormed() ? { value } : BAD_NODE;
    case 'object':
      break;
    default:
      return BAD_NODE;
  }
  // Null removes a member; an array has none that it could remove.
  if (value === null) return inArray ? BAD_NODE : { value };
  if (depthMax === 0) return TOO_DEEP;
  if (Array.isArray(value)) return readArray(value, depthMax);
  // Bytes and tags of CBOR have no JSON.
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype) return BAD_NODE;
  const members: Record<string, Value> = emptyTree();
  for (const [key, member] of Object.entries(value)) {
    if (KEYS_REFUSED.includes(key) || !key.isWellFormed()) return BAD_NODE;
    const checked = readValue(member, depthMax - 1, inArray);
    if (checked.refusal !== undefined) return checked;
    members[key] = checked.value as Value;
  }
  return { value: members };
}

function readArray(value: readonly unknown[], depthMax: number): Checked {
  const elements: Value[] = [];
  for (const element of value) {
    const checked = readValue(element, depthMax - 1, true);
    if (checked.refusal !== undefined) return checked;
    elements.push(checked.value as Value);
  }
  return { value: elements };
}
