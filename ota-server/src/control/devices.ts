// The devices that the server knows, in memory: a check must not wait for a database. Tokens are
// kept as SHA-256 alone; they are random, so a slow hash would protect nothing.

import { hash, randomBytes, timingSafeEqual } from 'node:crypto';
import { DEVICE_ID } from '../device-api/index.ts';
import type { DeviceRow } from '../store/schema.ts';

/** What the owner says about a device; rollouts choose by it. */
export interface DeviceProperties {
  /** SUIT vendor and class ids: 32 hex digits. */
  readonly vendor?: string;
  readonly class?: string;
  /** Name of the hardware class, for alerts. */
  readonly hardware?: string;
  readonly groups: readonly string[];
  readonly attributes: Readonly<Record<string, string>>;
}

/** What a device said at its last check. */
export interface DeviceSeen {
  readonly atMs: number;
  readonly version: string;
  /** Hex SHA-256 of the running image. */
  readonly digest: string;
  readonly sequence: number;
  readonly uptimeS: number;
  readonly abnormalResets: number;
  readonly failed?: string;
}

export interface Device {
  /** Order of registration from 0 on; stable, and what rollouts know the device by. */
  readonly position: number;
  readonly id: string;
  properties: DeviceProperties;
  seen: DeviceSeen | undefined;
}

export interface Registration extends Partial<DeviceProperties> {
  readonly id: string;
  /** The token to use, 32-256 characters as in RFC 6750 §2.1; default: a random one. */
  readonly token?: string;
}

export interface Registered {
  readonly id: string;
  /** The only time that the server can tell it. */
  readonly token: string;
}

/** A mistake in a registration; `index` is its place in the list. */
export interface RegistrationProblem {
  readonly index: number;
  readonly path: string;
  readonly message: string;
  readonly duplicate: boolean;
}

/** Ids are held in memory: about 400 bytes a device. */
export const DEVICE_COUNT_MAX = 2_000_000;

/** Where devices are not alike, remembering what they are costs more than it saves. */
const INTERNED_COUNT_MAX = 10_000;
const HASH_SIZE = 32;
const TOKEN_SIZE = 32;
const TOKEN = /^[A-Za-z0-9._~+/=-]{32,256}$/;
const NO_PROPERTIES: DeviceProperties = { groups: [], attributes: {} };

export class Devices {
  private readonly list: Device[] = [];
  private readonly positions = new Map<string, number>();
  /** By position, one after another: 32 bytes each. */
  private hashes = Buffer.alloc(1024 * HASH_SIZE);
  /** Most devices of a fleet are alike: one object for all whose JSON is the same. */
  private readonly properties = new Map<string, DeviceProperties>();

  get count(): number {
    return this.list.length;
  }

  /** In order of registration. */
  get all(): readonly Device[] {
    return this.list;
  }

  find(id: string): Device | undefined {
    const position = this.positions.get(id);
    return position === undefined ? undefined : this.list[position];
  }

  /** What is wrong with a list; empty when `register` may have it. */
  check(registrations: readonly Registration[]): RegistrationProblem[] {
    const problems: RegistrationProblem[] = [];
    const ids = new Set<string>();
    registrations.forEach(({ id, token }, index) => {
      const add = (path: string, message: string, duplicate = false) =>
        problems.push({ index, path, message, duplicate });
      if (!DEVICE_ID.test(id)) add('id', 'expected 1-128 of A-Z a-z 0-9 . _ ~ : -');
      else if (this.positions.has(id)) add('id', `${id} is registered already`, true);
      else if (ids.has(id)) add('id', `${id} is in the list twice`, true);
      ids.add(id);
      if (token !== undefined && !TOKEN.test(token))
        add('token', 'expected 32-256 of A-Z a-z 0-9 . _ ~ + / = -');
    });
    if (this.list.length + registrations.length > DEVICE_COUNT_MAX) {
      const message = `no room for more than ${DEVICE_COUNT_MAX} devices`;
      problems.push({ index: 0, path: '', message, duplicate: false });
    }
    return problems;
  }

  /** Adds devices that `check` found nothing wrong with. */
  register(registrations: readonly Registration[]): Registered[] {
    this.reserve(this.list.length + registrations.length);
    const random = randomBytes(registrations.length * TOKEN_SIZE);
    return registrations.map((registration, index) => {
      const start = index * TOKEN_SIZE;
      const token = registration.token ?? random.toString('base64url', start, start + TOKEN_SIZE);
      const device = this.add(registration.id, this.intern(propertiesOf(registration)), undefined);
      this.setToken(device, token);
      return { id: device.id, token };
    });
  }

  /** Takes devices from the store, by position without a gap. */
  restore(rows: readonly DeviceRow[]): void {
    this.reserve(rows.length);
    for (const row of rows) {
      const properties = this.internText(row.properties);
      const seen = row.seen === null ? undefined : (JSON.parse(row.seen) as DeviceSeen);
      const device = this.add(row.id, properties, seen);
      if (device.position !== row.position) throw new Error(`device ${row.id} out of its place`);
      this.hashes.set(row.token_hash, device.position * HASH_SIZE);
    }
  }

  /** Replaces a device's token by a new one. */
  renewToken(device: Device): string {
    const token = randomBytes(TOKEN_SIZE).toString('base64url');
    this.setToken(device, token);
    return token;
  }

  /** The device when the token is its own. */
  authenticate(id: string, token: string): Device | undefined {
    // First, so that the time does not tell which ids exist.
    const hashed = hashToken(token);
    const device = this.find(id);
    if (device === undefined) return undefined;
    const start = device.position * HASH_SIZE;
    const expected = this.hashes.subarray(start, start + HASH_SIZE);
    return timingSafeEqual(hashed, expected) ? device : undefined;
  }

  setProperties(device: Device, properties: DeviceProperties): void {
    device.properties = this.intern(properties);
  }

  row(device: Device): DeviceRow {
    const { id, position, properties, seen } = device;
    const start = position * HASH_SIZE;
    return {
      position,
      id,
      token_hash: this.hashes.subarray(start, start + HASH_SIZE),
      properties: JSON.stringify(properties),
      seen: seen === undefined ? null : JSON.stringify(seen),
    };
  }

  private add(id: string, properties: DeviceProperties, seen: DeviceSeen | undefined): Device {
    const device = { position: this.list.length, id, properties, seen };
    this.list.push(device);
    this.positions.set(id, device.position);
    return device;
  }

  private setToken(device: Device, token: string): void {
    this.hashes.set(hashToken(token), device.position * HASH_SIZE);
  }

  private reserve(count: number): void {
    if (this.hashes.length >= count * HASH_SIZE) return;
    const larger = Buffer.alloc(Math.max(count, this.list.length * 2) * HASH_SIZE);
    this.hashes.copy(larger);
    this.hashes = larger;
  }

  private intern(properties: DeviceProperties): DeviceProperties {
    if (properties === NO_PROPERTIES) return properties;
    return this.internText(JSON.stringify(properties), properties);
  }

  private internText(text: string, parsed?: DeviceProperties): DeviceProperties {
    let found = this.properties.get(text);
    if (found === undefined) {
      found = parsed ?? (JSON.parse(text) as DeviceProperties);
      if (this.properties.size < INTERNED_COUNT_MAX) this.properties.set(text, found);
    }
    return found;
  }
}

/** SHA-256 of a token, as it is kept. */
export function hashToken(token: string): Buffer {
  return hash('sha256', token, 'buffer');
}

function propertiesOf(registration: Registration): DeviceProperties {
  const { attributes, class: classId, groups, hardware, vendor } = registration;
  const isPlain = attributes === undefined && groups === undefined;
  if (isPlain && !classId && !hardware && !vendor) return NO_PROPERTIES;
  return {
    ...(vendor === undefined ? {} : { vendor }),
    ...(classId === undefined ? {} : { class: classId }),
    ...(hardware === undefined ? {} : { hardware }),
    groups: groups ?? [],
    attributes: attributes ?? {},
  };
}
