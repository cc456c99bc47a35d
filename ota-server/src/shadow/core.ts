// The shadow service without I/O, clock and randomness: a shadow and a request give the next
// shadow and the messages to publish. Semantics of AWS IoT's Device Shadow service
// (docs.aws.amazon.com/iot/latest/developerguide/device-shadow-data-flow.html); docs/shadow.md
// lists where AWS leaves a choice, and what ours is.

import {
  createStamp,
  difference,
  merge,
  mergeMetadata,
  metadataOf,
  SECTIONS,
  type Shadow,
  type State,
  stamped,
  stateSize,
  type Tree,
  treeOf,
  type Value,
} from './document.ts';
import {
  checkBody,
  type Refusal,
  readToken,
  readUpdate,
  STATE_SIZE_MAX,
  type Update,
} from './request.ts';

export type RequestKind = 'get' | 'update' | 'delete';

/** The last levels of a topic: `update/delta` below `shadow/`. */
export type MessageName =
  | `${RequestKind}/accepted`
  | `${RequestKind}/rejected`
  | 'update/delta'
  | 'update/documents';

export interface Message {
  readonly name: MessageName;
  readonly document: Tree;
}

/** A request as its payload was decoded. */
export interface Request {
  readonly kind: RequestKind;
  /** Undefined for an empty payload. */
  readonly body: unknown;
}

export interface Outcome {
  /** Undefined = there is none now. The very object that was given in when nothing changed. */
  readonly shadow: Shadow | undefined;
  /** In the order in which they are to be published. */
  readonly messages: readonly Message[];
}

/**
 * Answers one request at `nowS`, whole seconds since 1970. Whatever the request holds, there is
 * exactly one message `…/accepted` or `…/rejected`, which comes first.
 */
export function respond(shadow: Shadow | undefined, request: Request, nowS: number): Outcome {
  const { body, kind } = request;
  const { token, refusal } = readToken(body);
  const wrong = checkBody(body) ?? refusal;
  if (wrong !== undefined) return rejected(shadow, kind, wrong, nowS, token);
  if (kind === 'update') return update(shadow, body, nowS, token);
  if (shadow === undefined) {
    return rejected(shadow, kind, { code: 404, message: 'No shadow exists' }, nowS, token);
  }
  if (kind === 'get') {
    return { shadow, messages: [{ name: 'get/accepted', document: current(shadow, nowS, token) }] };
  }
  const document = treeOf({ version: shadow.version, timestamp: nowS, clientToken: token });
  return { shadow: undefined, messages: [{ name: 'delete/accepted', document }] };
}

/** The answer to a request that is refused before or beside the core: unreadable, no room left. */
export function rejection(
  kind: RequestKind,
  { code, message }: Refusal,
  nowS: number,
  token: string | undefined,
): Message {
  const document = treeOf({ code, message, timestamp: nowS, clientToken: token });
  return { name: `${kind}/rejected`, document };
}

function rejected(
  shadow: Shadow | undefined,
  kind: RequestKind,
  refusal: Refusal,
  nowS: number,
  token: string | undefined,
): Outcome {
  return { shadow, messages: [rejection(kind, refusal, nowS, token)] };
}

function update(
  shadow: Shadow | undefined,
  body: unknown,
  nowS: number,
  token: string | undefined,
): Outcome {
  const { refusal, update: change } = readUpdate(body);
  if (change === undefined) return rejected(shadow, 'update', refusal!, nowS, token);
  if (change.version !== undefined && change.version !== (shadow?.version ?? 0)) {
    const conflict: Refusal = { code: 409, message: 'Version conflict' };
    return rejected(shadow, 'update', conflict, nowS, token);
  }
  const stamp = createStamp(nowS);
  const next = apply(shadow, change, stamp);
  if (next.size > STATE_SIZE_MAX) {
    const message = 'The payload exceeds the maximum size allowed';
    return rejected(shadow, 'update', { code: 413, message }, nowS, token);
  }
  const echo = treeOf({ desired: change.desired, reported: change.reported });
  const accepted = treeOf({
    state: echo,
    metadata: stamped(echo, stamp),
    version: next.version,
    timestamp: nowS,
    clientToken: token,
  });
  const documents = treeOf({
    previous: snapshotOf(shadow),
    current: snapshotOf(next),
    timestamp: nowS,
    clientToken: token,
  });
  const messages: Message[] = [{ name: 'update/accepted', document: accepted }];
  const delta = deltaOf(next, nowS, token);
  if (delta !== undefined) messages.push({ name: 'update/delta', document: delta });
  messages.push({ name: 'update/documents', document: documents });
  return { shadow: next, messages };
}

function apply(shadow: Shadow | undefined, change: Update, stamp: Tree): Shadow {
  const state: { -readonly [Section in keyof State]: State[Section] } = { ...shadow?.state };
  const metadata: typeof state = { ...shadow?.metadata };
  for (const section of SECTIONS) {
    const patch = change[section];
    if (patch === undefined) continue;
    delete state[section];
    delete metadata[section];
    if (patch === null) continue;
    const merged = merge(shadow?.state[section], patch);
    if (Object.keys(merged).length === 0) continue;
    state[section] = merged;
    metadata[section] = mergeMetadata(shadow?.metadata[section], patch, stamp);
  }
  return { state, metadata, version: (shadow?.version ?? 0) + 1, size: stateSize(state) };
}

/** Published after each accepted update for as long as desired and reported differ. */
function deltaOf(shadow: Shadow, nowS: number, token: string | undefined): Tree | undefined {
  const delta = difference(shadow.state.desired, shadow.state.reported);
  if (delta === undefined) return undefined;
  return treeOf({
    version: shadow.version,
    timestamp: nowS,
    state: delta,
    metadata: metadataOf(shadow.metadata.desired, delta),
    clientToken: token,
  });
}

function current(shadow: Shadow, nowS: number, token: string | undefined): Tree {
  const { desired, reported } = shadow.state;
  return treeOf({
    state: treeOf({ desired, reported, delta: difference(desired, reported) }),
    metadata: sections(shadow.metadata),
    version: shadow.version,
    timestamp: nowS,
    clientToken: token,
  });
}

/** As `update/documents` shows it; before the first update there was version 0 of nothing. */
function snapshotOf(shadow: Shadow | undefined): Value {
  const { metadata, state, version } = shadow ?? { state: {}, metadata: {}, version: 0 };
  return treeOf({ state: sections(state), metadata: sections(metadata), version });
}

function sections({ desired, reported }: State): Tree {
  return treeOf({ desired, reported });
}
