// A shadow service as AWS documents it, for one device, in plain objects: "Device Shadow MQTT
// topics", "Device Shadow service documents", "Device Shadow error messages".

export type Json = null | boolean | number | string | Json[] | { [member: string]: Json };
export type JsonMap = { [member: string]: Json };

export interface ShadowMessage {
  /** Below `shadow/`. */
  readonly name: string;
  readonly document: JsonMap;
}

interface Document {
  desired: JsonMap;
  reported: JsonMap;
  desiredTimes: JsonMap;
  reportedTimes: JsonMap;
  version: number;
}

export class ShadowModel {
  document: Document | undefined = undefined;
  /** False = versions go on after a deletion, as AWS does for a while. */
  restartsVersions = true;
  /** Delta at every update that leaves one, or only where desired was written. */
  deltaOnReport = true;
  /** Epoch s. */
  nowS = () => 1_767_225_600;
  /** The next requests are rejected with these codes. */
  readonly rejections: number[] = [];
  /** Requests so far, by name. */
  readonly counts: Record<string, number> = { get: 0, update: 0, delete: 0 };
  readonly updates: JsonMap[] = [];
  private lastVersion = 0;

  /** Executes one request; returns what is published for it. */
  handle(name: string, request: JsonMap): ShadowMessage[] {
    this.counts[name] = (this.counts[name] ?? 0) + 1;
    const token = request.clientToken;
    const code = this.rejections.shift();
    if (code !== undefined && code !== 0) return [this.rejected(name, code, 'as told', token)];
    if (name === 'get') return [this.get(token)];
    if (name === 'delete') return [this.delete(token)];
    return this.update(request);
  }

  /** The application's side. */
  desire(desired: JsonMap): ShadowMessage[] {
    return this.update({ state: { desired } });
  }

  get delta(): JsonMap {
    const { document } = this;
    return document === undefined ? {} : (difference(document.desired, document.reported) ?? {});
  }

  private get(token: Json | undefined): ShadowMessage {
    const { delta, document } = this;
    if (document === undefined) return this.rejected('get', 404, 'No shadow exists', token);
    const state: JsonMap = {};
    const metadata: JsonMap = {};
    if (Object.keys(document.desired).length > 0) {
      state.desired = document.desired;
      metadata.desired = document.desiredTimes;
    }
    if (Object.keys(document.reported).length > 0) {
      state.reported = document.reported;
      metadata.reported = document.reportedTimes;
    }
    if (Object.keys(delta).length > 0) state.delta = delta;
    const answer = { state, metadata, version: document.version, timestamp: this.nowS() };
    return message('get/accepted', answer, token);
  }

  private delete(token: Json | undefined): ShadowMessage {
    if (this.document === undefined) return this.rejected('delete', 404, 'No shadow', token);
    const { version } = this.document;
    if (this.restartsVersions) this.lastVersion = 0;
    this.document = undefined;
    return message('delete/accepted', { version, timestamp: this.nowS() }, token);
  }

  private update(request: JsonMap): ShadowMessage[] {
    const { clientToken: token, version } = request;
    const state = request.state as JsonMap | undefined;
    this.updates.push(request);
    if (!isMap(state)) return [this.rejected('update', 400, 'Missing required node: state', token)];
    if (typeof token === 'string' && token.length > 64) {
      return [this.rejected('update', 400, 'Invalid clientToken', token)];
    }
    const known = this.document?.version ?? 0;
    if (version !== undefined && version !== known) {
      return [this.rejected('update', 409, 'Version conflict', token)];
    }
    const document = this.document ?? {
      desired: {},
      reported: {},
      desiredTimes: {},
      reportedTimes: {},
      version: this.lastVersion,
    };
    const nowS = this.nowS();
    const written: JsonMap = {};
    const metadata: JsonMap = {};
    const next = structuredClone(document);
    for (const section of ['desired', 'reported'] as const) {
      const part = state[section];
      if (part === undefined || part === null) continue;
      if (!isMap(part))
        return [this.rejected('update', 400, `${section} must be an object`, token)];
      written[section] = structuredClone(part);
      metadata[section] = timesOf(part, nowS);
      merge(next[section], part);
      mergeTimes(next[`${section}Times`], part, nowS);
    }
    if (JSON.stringify([next.desired, next.reported]).length > 8192) {
      return [this.rejected('update', 413, 'The payload exceeds the maximum size allowed', token)];
    }
    next.version += 1;
    this.lastVersion = next.version;
    this.document = next;
    const answer = { state: written, metadata, version: next.version, timestamp: nowS };
    const messages = [message('update/accepted', answer, token)];
    const { delta } = this;
    const tells = this.deltaOnReport || written.desired !== undefined;
    if (Object.keys(delta).length > 0 && tells) {
      const times = pick(next.desiredTimes, delta);
      const body = { state: delta, metadata: times, version: next.version, timestamp: nowS };
      messages.push(message('update/delta', body, token));
    }
    return messages;
  }

  private rejected(name: string, code: number, text: string, token: Json | undefined) {
    return message(`${name}/rejected`, { code, message: text, timestamp: this.nowS() }, token);
  }
}

function message(name: string, body: JsonMap, token: Json | undefined): ShadowMessage {
  const document = structuredClone(body);
  if (token !== undefined) document.clientToken = token;
  return { name, document };
}

function isMap(value: Json | undefined): value is JsonMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Writes `part` over `target`: objects member by member, null deletes, all else replaces. */
function merge(target: JsonMap, part: JsonMap): void {
  for (const [key, value] of Object.entries(part)) {
    if (value === null) delete target[key];
    else if (isMap(value)) {
      const into = isMap(target[key]) ? (target[key] as JsonMap) : {};
      merge(into, value);
      if (Object.keys(into).length > 0) target[key] = into;
      else delete target[key];
    } else target[key] = structuredClone(value);
  }
}

function mergeTimes(target: JsonMap, part: JsonMap, nowS: number): void {
  for (const [key, value] of Object.entries(part)) {
    if (value === null) delete target[key];
    else if (isMap(value)) {
      const old = target[key];
      const into = isMap(old) && typeof old.timestamp !== 'number' ? old : {};
      mergeTimes(into, value, nowS);
      if (Object.keys(into).length > 0) target[key] = into;
      else delete target[key];
    } else target[key] = timesOf(value, nowS);
  }
}

function timesOf(value: Json, nowS: number): JsonMap {
  if (!isMap(value)) return { timestamp: nowS };
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, timesOf(item, nowS)]),
  ) as JsonMap;
}

/** What of `desired` differs in `reported`; undefined = nothing. */
function difference(desired: JsonMap, reported: JsonMap): JsonMap | undefined {
  const delta: JsonMap = {};
  for (const [key, value] of Object.entries(desired)) {
    const other = reported[key];
    if (isMap(value) && isMap(other)) {
      const inner = difference(value, other);
      if (inner !== undefined) delta[key] = inner;
    } else if (JSON.stringify(value) !== JSON.stringify(other)) {
      delta[key] = value;
    }
  }
  return Object.keys(delta).length > 0 ? delta : undefined;
}

function pick(times: JsonMap, delta: JsonMap): JsonMap {
  const picked: JsonMap = {};
  for (const [key, value] of Object.entries(delta)) {
    const time = times[key] as JsonMap;
    picked[key] = isMap(value) && typeof time.timestamp !== 'number' ? pick(time, value) : time;
  }
  return picked;
}
