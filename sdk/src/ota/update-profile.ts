// What the update clients of all devices of a kind have in common: server, identity, trusted keys,
// when an update may go on, and how the trial of a new image is judged.

import type { TlsOptions } from '../platform.ts';
import type { TrustedKey } from './manifest.ts';
import { isHttpUrl } from './open-request.ts';
import { type UpdateOwner, Updater } from './update-client.ts';

/** Bytes of a UUID, as vendor and class are told (SUIT manifest §8.4.8.2). */
const UUID_SIZE = 16;
const DAY_MS = 24 * 3600 * 1000;
/** Names of health checks that the client makes itself. */
const OWN_CHECKS = ['network', 'broker', 'sensors'];

/**
 * One check of the application's own in the trial of a new image: true = good, which is
 * remembered; false = bad, so the image is given up at once; undefined = not known yet, asked
 * again until the deadline. To throw says false.
 */
export type HealthCheck<Owner> = (owner: Owner) => boolean | undefined;

/** The hours of a day, UTC, in which updates are downloaded; over midnight when start > end. */
export interface UpdateWindow {
  /** 0-23. */
  readonly startHour: number;
  /** 0-23: the first hour in which they are not. */
  readonly endHour: number;
}

export interface UpdateOptions<Owner> {
  /** Base of the server's URLs, `http:` or `https:`, without a slash at its end. */
  readonly url: string;
  /** The device's bearer token, or who tells it. */
  readonly token: string | ((deviceId: string) => string);
  readonly tls?: TlsOptions;
  /** UUIDs of 16 bytes: what the manifest must be for. */
  readonly vendorId: Uint8Array;
  readonly classId: Uint8Array;
  /** Keys that manifests may be signed with, at least one. */
  readonly keys: readonly TrustedKey[];
  /** Between two checks until the server says otherwise, ms; default 24 h. */
  readonly pollMs?: number;
  /** Absent: at any hour. */
  readonly window?: UpdateWindow;
  /** Charge from 0 to 1 below which nothing is downloaded or staged; default 0.3. */
  readonly batteryMin?: number;
  readonly healthChecks?: { readonly [name: string]: HealthCheck<Owner> };
  /** Bound on a trial, ms; default 5 minutes. */
  readonly healthMsMax?: number;
  /** Bound on a trial in which only network or broker are missing, ms; default 24 h. */
  readonly trialOfflineMsMax?: number;
  /** A download slower than this is abandoned and tried again later, bytes/s; default 100. */
  readonly bytesPerSMin?: number;
  /** Attempts in a row without progress after which an update has failed; default 8. */
  readonly downloadAttemptsMax?: number;
  /** Longest pause after a failure, ms; default one hour. */
  readonly retryMsMax?: number;
}

export class UpdateProfile<Owner> {
  readonly url: string;
  readonly token: string | ((deviceId: string) => string);
  readonly tls: TlsOptions | undefined;
  readonly vendorId: Uint8Array;
  readonly classId: Uint8Array;
  readonly keys: readonly TrustedKey[];
  readonly pollMs: number;
  readonly window: UpdateWindow | undefined;
  readonly batteryMin: number;
  readonly healthChecks: { readonly [name: string]: HealthCheck<Owner> };
  /** Names of `healthChecks`. */
  readonly checkNames: readonly string[];
  readonly healthMsMax: number;
  readonly trialOfflineMsMax: number;
  readonly bytesPerSMin: number;
  readonly downloadAttemptsMax: number;
  readonly retryMsMax: number;

  /** Throws a RangeError that names the option for values out of range. */
  constructor(options: UpdateOptions<Owner>) {
    this.url = options.url;
    this.token = options.token;
    this.tls = options.tls;
    this.vendorId = options.vendorId;
    this.classId = options.classId;
    this.keys = options.keys;
    this.pollMs = or(options.pollMs, DAY_MS);
    this.window = options.window;
    this.batteryMin = or(options.batteryMin, 0.3);
    this.healthChecks = options.healthChecks === undefined ? {} : options.healthChecks;
    this.checkNames = Object.keys(this.healthChecks);
    this.healthMsMax = or(options.healthMsMax, 300000);
    this.trialOfflineMsMax = or(options.trialOfflineMsMax, Math.max(DAY_MS, this.healthMsMax));
    this.bytesPerSMin = or(options.bytesPerSMin, 100);
    this.downloadAttemptsMax = or(options.downloadAttemptsMax, 8);
    this.retryMsMax = or(options.retryMsMax, 3600000);
    this.checkIdentity();
    this.checkLimits();
  }

  /** The client of one device; through the profile, so that a device alone does not name it. */
  createClient<Client extends Owner & UpdateOwner>(owner: Client): Updater<Client> {
    return new Updater<Client>(owner, this);
  }

  private checkIdentity(): void {
    if (!isBaseUrl(this.url)) {
      throw new RangeError(`update.url: '${this.url}' is no http(s)://host[:port][/path]`);
    }
    // What stands in a header must not end it.
    if (typeof this.token === 'string' && !/^[!-~]+$/.test(this.token)) {
      throw new RangeError('update.token: expected visible ASCII characters');
    }
    if (this.vendorId.length !== UUID_SIZE) {
      throw new RangeError(`update.vendorId: expected ${UUID_SIZE} bytes`);
    }
    if (this.classId.length !== UUID_SIZE) {
      throw new RangeError(`update.classId: expected ${UUID_SIZE} bytes`);
    }
    if (this.keys.length === 0) throw new RangeError('update.keys: expected at least one');
    for (let index = 0; index < this.checkNames.length; index += 1) {
      const name = this.checkNames[index] as string;
      if (OWN_CHECKS.indexOf(name) >= 0) {
        throw new RangeError(`update.healthChecks: '${name}' is made by the client itself`);
      }
    }
  }

  private checkLimits(): void {
    const { window } = this;
    if (!(this.pollMs >= 1000)) throw new RangeError('update.pollMs: expected at least 1000');
    if (window !== undefined) {
      if (!isHour(window.startHour)) throw new RangeError('update.window.startHour: expected 0-23');
      if (!isHour(window.endHour)) throw new RangeError('update.window.endHour: expected 0-23');
      if (window.startHour === window.endHour) {
        throw new RangeError('update.window.endHour: expected another than startHour');
      }
    }
    if (!(this.batteryMin >= 0 && this.batteryMin <= 1)) {
      throw new RangeError('update.batteryMin: expected 0 to 1');
    }
    if (!(this.healthMsMax >= 1000)) {
      throw new RangeError('update.healthMsMax: expected at least 1000');
    }
    if (!(this.trialOfflineMsMax >= this.healthMsMax)) {
      throw new RangeError('update.trialOfflineMsMax: expected at least healthMsMax');
    }
    if (!(this.bytesPerSMin > 0)) {
      throw new RangeError('update.bytesPerSMin: expected more than 0');
    }
    if (!(this.downloadAttemptsMax >= 1)) {
      throw new RangeError('update.downloadAttemptsMax: expected at least 1');
    }
    if (!(this.retryMsMax >= 1000)) {
      throw new RangeError('update.retryMsMax: expected at least 1000');
    }
  }
}

function or(value: number | undefined, otherwise: number): number {
  return value === undefined ? otherwise : value;
}

function isHour(hour: number): boolean {
  return hour >= 0 && hour <= 23 && Math.floor(hour) === hour;
}

function isBaseUrl(url: string): boolean {
  return isHttpUrl(url) && url.charAt(url.length - 1) !== '/' && !/[?#]/.test(url);
}
