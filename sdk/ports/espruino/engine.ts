// What the port uses of Espruino 2v29, in our own words (no types are taken from elsewhere).
// Each file declares the globals that it uses: `declare const E: EngineTools`.

/** Strings hold one byte per character: sockets, Storage and digests take and give such strings. */
export type BinaryString = string;

/** The global `E`. */
export interface EngineTools {
  /** One character per byte. Undefined where memory is too short for it. */
  toString(bytes: Uint8Array | ArrayBuffer): BinaryString | undefined;
  toUint8Array(bytes: BinaryString | ArrayBuffer): Uint8Array;
  /** 32 random bits of the hardware, as a signed integer. */
  hwRand(): number;
  /** Throws where no watchdog is enabled. */
  kickWatchdog(): void;
  /** Percent; absent on boards without a battery. */
  getBattery?(): number;
}

/** The global `process`. */
export interface EngineProcess {
  /** Variables in use and bytes of one; false leaves out a garbage collection first. */
  memory(collect: boolean): { readonly usage: number; readonly blocksize: number };
}

export interface EngineSocket {
  on(event: 'data', listener: (data: BinaryString) => void): void;
  on(event: 'drain', listener: () => void): void;
  on(event: 'error', listener: (error: { readonly message: string }) => void): void;
  /** After an error too. */
  on(event: 'close', listener: () => void): void;
  /** Queues without a bound; throws after the connection was closed. */
  write(data: BinaryString): boolean;
  /** Closes once all is sent; at once where nothing waits. */
  end(): void;
}

export interface EngineSocketOptions {
  readonly host: string;
  readonly port: number;
  /** Base64 of the DER, decoded; `tls` only. */
  readonly ca?: BinaryString;
  readonly cert?: BinaryString;
  readonly key?: BinaryString;
}

/** The modules `net` and `tls`. Throws where the host is not found. */
export interface EngineNetwork {
  connect(options: EngineSocketOptions, onConnect: () => void): EngineSocket;
}

/** The module `Storage`: files of up to 28 characters in a log in flash. */
export interface EngineStorage {
  read(name: string): BinaryString | undefined;
  /** Replaces a file by erasing the old one first: not atomic. False = no room. */
  write(name: string, data: BinaryString): boolean;
  erase(name: string): void;
}

/** The module `Flash`: pages by their absolute address. */
export interface EngineFlash {
  getPage(address: number): { readonly addr: number; readonly length: number } | undefined;
  read(size: number, address: number): Uint8Array;
  write(bytes: Uint8Array, address: number): void;
  erasePage(address: number): void;
}

/** The module `crypto`. */
export interface EngineCrypto {
  SHA256(message: BinaryString): ArrayBuffer;
}

/** The global object, as far as it leads to modules: bundlers would look for a bare `require`. */
export interface EngineModules {
  require(name: 'net' | 'tls'): EngineNetwork;
  require(name: 'Storage'): EngineStorage;
  require(name: 'Flash'): EngineFlash;
  require(name: 'crypto'): EngineCrypto;
}
