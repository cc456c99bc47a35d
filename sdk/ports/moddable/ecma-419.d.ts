// The parts of ECMA-419 and of Moddable that this port uses, as their documentation has them.
// @moddable/typings lacks key-value storage and flash, and is wrong on several callbacks.

declare module 'embedded:io/socket/tcp' {
  export interface TcpOptions {
    readonly address?: string;
    readonly host?: string;
    readonly port: number;
    readonly nodelay?: boolean;
    readonly target?: unknown;
    onReadable?(this: TCP, count: number): void;
    /** The room of the send buffer; the first call says that the connection is open. */
    onWritable?(this: TCP, room: number): void;
    /** Also an orderly close, after the receive buffer has drained. */
    onError?(this: TCP): void;
  }

  export default class TCP {
    constructor(options: TcpOptions);
    target: unknown;
    format: 'number' | 'buffer';
    /** Fills the buffer and returns how many bytes; undefined when nothing is buffered. */
    read(buffer: Uint8Array): number | undefined;
    /** Returns the room left; throws when the buffer is larger than the room. */
    write(buffer: Uint8Array): number;
    close(): void;
  }
}

declare module 'embedded:io/socket/tls' {
  import TCP, { type TcpOptions } from 'embedded:io/socket/tcp';

  export interface TlsSocketOptions extends TcpOptions {
    /** The name to verify and to send as SNI. */
    readonly host: string;
    readonly secure: {
      readonly certificate?: string;
      readonly clientCertificates?: readonly string[];
      readonly clientKey?: string;
      readonly verify?: boolean;
    };
    readonly TCP: { readonly io: typeof TCP };
  }

  export default class TLSSocket extends TCP {
    constructor(options: TlsSocketOptions);
  }
}

declare module 'embedded:network/http/client' {
  export interface HttpClientRequest {
    read(buffer: Uint8Array): number | undefined;
    write(data?: Uint8Array): number;
  }

  export interface HttpRequestOptions {
    readonly method?: string;
    readonly path: string;
    readonly headers: Map<string, string>;
    /** Names of the response headers to keep. */
    readonly headersMask?: readonly string[];
    onHeaders(status: number, headers: Map<string, string>): void;
    onReadable(count: number): void;
    onWritable?(this: HttpClientRequest, room: number): void;
    onDone(error: unknown): void;
  }

  export default class HTTPClient {
    constructor(options: {
      readonly host: string;
      readonly port: number;
      readonly socket: { readonly io: unknown; readonly secure?: object };
      onError?(error: unknown): void;
    });
    request(options: HttpRequestOptions): HttpClientRequest;
    close(): void;
  }
}

declare module 'embedded:storage/key-value' {
  export interface KeyValueStore {
    read(key: string): ArrayBuffer | undefined;
    write(key: string, value: Uint8Array): void;
    delete(key: string): void;
    close(): void;
  }
  const KeyValue: {
    open(options: {
      readonly path: string;
      readonly mode?: string;
      readonly format?: 'buffer';
    }): KeyValueStore;
  };
  export default KeyValue;
}

declare module 'embedded:storage/flash' {
  export interface FlashPartition {
    read(buffer: Uint8Array, offset: number): void;
    write(buffer: Uint8Array, offset: number): void;
    /** Erases the blocks [start, end), by their numbers. */
    eraseBlock(start: number, end?: number): void;
    status(): { readonly size: number; readonly blockLength: number; readonly blocks: number };
    close(): void;
  }
  const Flash: {
    open(options: { readonly path: string; readonly mode?: string }): FlashPartition;
  };
  export default Flash;
}

declare module 'timer' {
  const Timer: {
    set(callback: () => void, delayMs: number): object;
    clear(timer: object): void;
  };
  export default Timer;
}

declare module 'time' {
  const Time: {
    /** Ms of 32 bits that wrap. */
    readonly ticks: number;
    delta(from: number, to?: number): number;
  };
  export default Time;
}

declare module 'sntp' {
  export default class SNTP {
    /** Told -1: no answer, the end; 1: the time in seconds since 1970, the end; 2: it tries again. */
    constructor(
      options: { readonly host: string },
      callback: (message: number, value?: number) => void,
    );
  }
}

declare module 'crypt' {
  export class Digest {
    constructor(algorithm: 'SHA256');
    write(bytes: Uint8Array): void;
    close(): ArrayBuffer;
  }
}

declare module 'flotilla/native' {
  /** Makes the update partition the one to boot, on trial. */
  export function stage(): void;
  /** Cancels the rollback of the running image. */
  export function confirm(): void;
  /** Marks the running image invalid and restarts into the other. */
  export function reject(): void;
  export function restart(): void;
  /** The chip's reset reason, as esp_reset_reason() has it. */
  export function resetReason(): number;
  /** True while the bootloader would revert the running image at the next reset. */
  export function isTrial(): boolean;
  export function version(): string;
  /** SHA-256 of the running image. */
  export function digest(): ArrayBuffer;
  /** 32 bits of the hardware's random number generator. */
  export function random(): number;
  export function feedWatchdog(): void;
  export function deepSleep(ms: number): void;
  /** Bytes of XS heap in use. */
  export function heapUsed(): number;
}
