// The world, as a device sees it: time, randomness, network, storage, firmware slots, crypto, memory.
// Shapes follow ECMA-419 (IO, TCP, HTTP client, key-value, flash), so a port to Moddable is thin.
// Everything the SDK does goes through this object: on a chip, on Node and in virtual time alike.

/**
 * Thrown by a platform whose power is cut inside a synchronous call.
 *
 * Every later call on that platform throws it again. The SDK never catches it: whoever runs
 * the device drops its object graph, as a real reset does.
 */
export class PowerLoss {
  readonly name = 'PowerLoss';
  readonly message = 'power was cut';
}

export interface Clock {
  /** Milliseconds since an arbitrary origin; never wraps, never steps back. */
  monotonicMs(): number;
  /** Milliseconds since 1970-01-01T00:00:00Z, or NaN while nothing is known. */
  epochMs(): number;
  /** Half-width in ms of the interval that holds the true time; Infinity while unknown. */
  epochUncertaintyMs(): number;
  /** Takes a better estimate of the time; a worse one than the present is ignored. */
  adjust(epochMs: number, uncertaintyMs: number): void;
}

/** Owner of a timer; one shared method, so a timer costs no closure. */
export interface TimerTarget {
  onTimer(): void;
}

/** A one-shot timer. A device has one and multiplexes its deadlines on it. */
export interface Timer {
  /** Fires once after `delayMs` (0 = the next turn); replaces an earlier start. */
  start(delayMs: number): void;
  stop(): void;
}

export interface TlsOptions {
  /** Trusted certificates, PEM; the platform's own store when absent. */
  readonly ca?: string;
  /** Client certificate chain and key, PEM. */
  readonly certificate?: string;
  readonly key?: string;
  /** Name to verify and to send as SNI; `host` when absent. */
  readonly serverName?: string;
  /** False accepts any certificate: for test brokers only. */
  readonly verify?: boolean;
}

export interface ConnectOptions {
  readonly host: string;
  /** 1-65535. */
  readonly port: number;
  /** Present = TLS. */
  readonly tls?: TlsOptions;
}

/**
 * Shared handlers of a stream: plain functions that find their owner through `this.target`.
 * None is called before `connect` has returned, within `write`, nor after `close`.
 */
export interface StreamHandlers {
  /** `room` bytes can be written. The first call says that the connection is open. */
  onWritable(this: Stream, room: number): void;
  /** `count` bytes wait to be read; what is not read is announced again with the next bytes. */
  onReadable(this: Stream, count: number): void;
  /** The connection ended: an error, or an orderly close (no reason) after all was read. */
  onError(this: Stream, reason?: string): void;
}

/** A TCP or TLS byte stream (ECMA-419 TCP with explicit ranges, so that no view is made). */
export interface Stream {
  /** Free for the owner. */
  target: unknown;
  /** Copies at most `size` waiting bytes to the start of `into`; returns how many. */
  read(into: Uint8Array, size: number): number;
  /**
   * Takes bytes[start, end), copying them before it returns, and returns the room left.
   * Writing more than the room is a bug of the caller and throws.
   */
  write(bytes: Uint8Array, start: number, end: number): number;
  /** Ends the connection after what was written has gone out; no handler runs any more. */
  close(): void;
}

export interface HttpRequestOptions {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT';
  /** Absolute `http:` or `https:` URL. */
  readonly url: string;
  /** Names (lower case) and values in turn. A `range` header asks for a part (RFC 9110 §14). */
  readonly headers: readonly string[];
  readonly body?: Uint8Array;
  readonly tls?: TlsOptions;
}

/** Shared handlers of a request, called with the request as `this`. */
export interface HttpHandlers {
  onHeaders(this: HttpRequest, status: number): void;
  onReadable(this: HttpRequest, count: number): void;
  /** The exchange is over; `reason` is absent when the whole body was delivered. */
  onDone(this: HttpRequest, reason?: string): void;
}

export interface HttpRequest {
  target: unknown;
  /** A response header by its lower-case name; valid from `onHeaders` on. */
  header(name: string): string | undefined;
  /** Copies at most `size` bytes of the body; unread bytes slow the sender down. */
  read(into: Uint8Array, size: number): number;
  /** Abandons the exchange; no handler runs any more. */
  close(): void;
}

export interface Http {
  request(options: HttpRequestOptions, handlers: HttpHandlers, target: unknown): HttpRequest;
}

/** Longest settings key, in characters (a limit of ESP-IDF's NVS). */
export const SETTINGS_KEY_LENGTH_MAX = 15;

/** Small durable values. A `set` is atomic: after a power cut the old or the new value is there. */
export interface Settings {
  /** The value, as a copy of the caller's, or undefined. */
  get(key: string): Uint8Array | undefined;
  set(key: string, value: Uint8Array): void;
  delete(key: string): void;
}

/** A region of NOR flash. Addresses are bytes from its start. */
export interface Partition {
  readonly size: number;
  /** Smallest erasable unit in bytes. */
  readonly sectorSize: number;
  /** Writes start and end on multiples of this many bytes. */
  readonly writeAlignment: number;
  /** What an erased byte reads as, 0xFF on NOR. */
  readonly erasedValue: number;
  /** Fills `into` from `address`. */
  read(address: number, into: Uint8Array): void;
  /** Programs bytes[start, end) at `address`, which must be erased. */
  write(address: number, bytes: Uint8Array, start: number, end: number): void;
  /** Erases the sector that begins at `address`. */
  eraseBlock(address: number): void;
}

export type BootReason = 'power-on' | 'restart' | 'watchdog' | 'crash' | 'brownout' | 'deep-sleep';

/** What the bootloader decided at one boot. */
export interface BootLogEntry {
  readonly slot: number;
  readonly version: string;
  /** 'selected' | 'trial' | 'reverted' | 'recovery', with the bootloader's reason. */
  readonly decision: string;
  readonly reason: string;
}

/** The running image and the inactive slot; what an update client drives. */
export interface Firmware {
  readonly version: string;
  /** SHA-256 of the running image. */
  readonly digest: Uint8Array;
  /** True while the running image is on trial. */
  readonly trial: boolean;
  /** The inactive slot. */
  readonly slot: Partition;
  /** The running image from its first byte on, to be read only; absent = no delta updates. */
  readonly running?: Partition;
  /** Marks the inactive slot to be tried at the next boot. */
  stage(): void;
  /** Keeps the running image for good. */
  confirm(): void;
  /** Gives up the running image: the next boot goes back. */
  reject(reason: string): void;
  restart(): void;
  bootReason(): BootReason;
  bootLog(): readonly BootLogEntry[];
}

export type SignatureAlgorithm = 'ed25519' | 'es256';

export interface Sha256 {
  update(bytes: Uint8Array, start: number, end: number): void;
  /** Writes 32 bytes to the start of `into` and ends this computation. */
  digest(into: Uint8Array): void;
}

export interface Crypto {
  sha256(): Sha256;
  /** False for a wrong signature, key or encoding alike; never throws on hostile bytes. */
  verify(
    algorithm: SignatureAlgorithm,
    publicKey: Uint8Array,
    message: Uint8Array,
    signature: Uint8Array,
  ): boolean;
  /** Signs with the device's own key, where it holds one. */
  sign?(message: Uint8Array): Uint8Array;
}

/**
 * Working memory. `transmit`, `receive` and `scratch` belong to the platform and are shared by all devices
 * of a thread: their content is valid within one call and never held across turns. Read the
 * property anew for each use: a platform may swap a buffer that the kernel still holds.
 */
export interface Memory {
  /** Where packets are encoded. At least as large as the largest packet the device sends. */
  readonly transmit: Uint8Array;
  /** Where streams are read to; handlers of the packets in it must not read on. */
  readonly receive: Uint8Array;
  /** Where payloads are built. At least as large as `transmit`. */
  readonly scratch: Uint8Array;
  /** A zeroed view owned by the caller until `release`. Throws when there is no room. */
  allocate(size: number): Uint8Array;
  release(view: Uint8Array): void;
  /** Bytes of heap in use, where the engine tells. */
  heapUsed(): number | undefined;
}

export interface Platform {
  readonly clock: Clock;
  readonly memory: Memory;
  readonly settings: Settings;
  readonly crypto: Crypto;
  readonly http?: Http;
  /** Absent where the host updates the program itself (a gateway's package manager). */
  readonly firmware?: Firmware;
  createTimer(target: TimerTarget): Timer;
  /** A uniform 32-bit unsigned integer. */
  random(): number;
  /** Opens a stream; the outcome comes as `onWritable` or `onError`. */
  connect(options: ConnectOptions, handlers: StreamHandlers, target: unknown): Stream;
  /** A named region of flash, or undefined where the device has none of that name. */
  partition(name: string): Partition | undefined;
  feedWatchdog(): void;
  /** Charge from 0 to 1, or undefined on mains. */
  battery(): number | undefined;
  /** Deep sleep: the program ends and starts anew after `ms`. Absent where it cannot. */
  sleep?(ms: number): void;
}
