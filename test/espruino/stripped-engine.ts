// A vm context without what Espruino lacks, and with what it has instead: `E`, `require` for net,
// Storage, Flash and crypto, `print`, `getTime`. Strings at its edges have one byte per character.

import { createHash } from 'node:crypto';
import { connect as netConnect, type Socket } from 'node:net';
import { type Context, createContext, runInContext } from 'node:vm';

const GLOBALS =
  'Map Set WeakMap WeakSet WeakRef FinalizationRegistry Symbol Proxy Reflect BigInt BigInt64Array ' +
  'BigUint64Array RangeError EvalError URIError TextEncoder TextDecoder structuredClone Intl ' +
  'Iterator SharedArrayBuffer Atomics WebAssembly';

const STRIP = `
for (const name of '${GLOBALS}'.split(' ')) delete globalThis[name];
const typed = Object.getPrototypeOf(Uint8Array);
const absent = [
  [Object, 'freeze isFrozen seal isSealed preventExtensions fromEntries groupBy hasOwn is'],
  [Number, 'isFinite isInteger isSafeInteger isNaN'],
  [Math, 'imul clz32 trunc fround hypot cbrt log2 log10 expm1 log1p sinh cosh tanh'],
  [Array, 'from of fromAsync'],
  [typed, 'from of'],
  [Array.prototype, 'flat flatMap at copyWithin findLast findLastIndex toSorted toReversed with'],
  [Array.prototype, 'reduceRight'],
  [typed.prototype, 'at copyWithin findLast findLastIndex toSorted toReversed with'],
  [String.prototype, 'at codePointAt matchAll normalize localeCompare isWellFormed'],
  [String, 'fromCodePoint raw'],
];
for (const [object, names] of absent) for (const name of names.split(' ')) delete object[name];
// A plain Array, where the standard has a typed one.
typed.prototype.slice = function (from, to) {
  return Array.prototype.slice.call(this, from, to);
};
`;

/** Files of the fake Storage; `writesLeft` counts down to a power cut inside a write. */
export class FakeStorage {
  readonly files = new Map<string, string>();
  /** Infinity = no cut. A cut write has erased the old file and written half of the new one. */
  writesLeft = Number.POSITIVE_INFINITY;
  isFull = false;

  read(name: string): string | undefined {
    return this.files.get(name);
  }

  write(name: string, data: string): boolean {
    checkBinary(data);
    if (name.length === 0 || name.length > 28) throw new Error(`Storage: name '${name}'`);
    if (this.isFull) return false;
    this.spend(() => this.files.set(name, data.slice(0, data.length >> 1)));
    this.files.set(name, data);
    return true;
  }

  erase(name: string): void {
    this.spend(() => undefined);
    this.files.delete(name);
  }

  private spend(cut: () => void): void {
    this.writesLeft -= 1;
    if (this.writesLeft >= 0) return;
    cut();
    throw new Error('power was cut');
  }
}

/** Flash of pages of 4,096 bytes, NOR: programming clears bits. */
export class FakeFlash {
  readonly bytes = new Uint8Array(16384).fill(255);

  getPage(address: number): { addr: number; length: number } | undefined {
    return address < this.bytes.length
      ? { addr: address - (address % 4096), length: 4096 }
      : undefined;
  }

  read(size: number, address: number): Uint8Array {
    return this.bytes.slice(address, address + size);
  }

  write(bytes: Uint8Array, address: number): void {
    bytes.forEach((byte, index) => {
      this.bytes[address + index]! &= byte;
    });
  }

  erasePage(address: number): void {
    this.bytes.fill(255, address - (address % 4096), address - (address % 4096) + 4096);
  }
}

function checkBinary(data: unknown): asserts data is string {
  if (typeof data !== 'string' || /[^\0-\xff]/.test(data)) {
    throw new Error('expected a string of 8-bit characters');
  }
}

/** A socket as Espruino's `net` has it, over Node's. */
class FakeSocket {
  private readonly socket: Socket;
  private isClosed = false;

  constructor(options: { host: string; port: number }, onConnect: () => void) {
    this.socket = netConnect(options);
    this.socket.on('connect', onConnect);
    this.socket.on('close', () => {
      this.isClosed = true;
    });
  }

  on(event: string, listener: (value?: unknown) => void): void {
    if (event === 'data') this.socket.on('data', (bytes) => listener(bytes.toString('latin1')));
    else this.socket.on(event, listener);
  }

  write(data: unknown): boolean {
    checkBinary(data);
    if (this.isClosed) throw new Error('This socket is closed');
    // Queued without a bound; `drain` comes after every time that all was sent.
    this.socket.write(data, 'latin1', () => this.socket.emit('drain'));
    return false;
  }

  end(): void {
    this.socket.end();
  }
}

export class StrippedEngine {
  readonly storage = new FakeStorage();
  readonly flash = new FakeFlash();
  /** What the script printed. */
  readonly lines: string[] = [];
  onLine: (line: string) => void = () => undefined;
  /** Seconds; NaN = the host's clock. */
  timeS = Number.NaN;
  watchdogCount = 0;
  private readonly context: Context;
  private readonly modules = new Map<string, unknown>();

  constructor() {
    const sandbox: Record<string, unknown> = {
      print: (...values: unknown[]) => this.print(values.join(' ')),
      require: (name: string) => this.require(name),
      getTime: () =>
        (Number.isNaN(this.timeS)
          ? performance.timeOrigin + performance.now()
          : this.timeS * 1000) / 1000,
      setTimeout: (action: () => void, delayMs: number) => Number(setTimeout(action, delayMs)),
      clearTimeout: (handle: unknown) => {
        if (typeof handle !== 'number') throw new Error('clears every timer of the program');
        clearTimeout(handle);
      },
      atob: (text: string) => Buffer.from(text, 'base64').toString('latin1'),
      process: { memory: () => ({ usage: 0, blocksize: 16 }) },
    };
    this.context = createContext(sandbox);
    sandbox.global = runInContext('globalThis', this.context);
    const Bytes = runInContext('Uint8Array', this.context) as typeof Uint8Array;
    sandbox.E = {
      toString: (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1'),
      toUint8Array: (data: string) => {
        checkBinary(data);
        return new Bytes(Buffer.from(data, 'latin1'));
      },
      hwRand: () => (Math.random() * 4294967296) | 0,
      kickWatchdog: () => {
        this.watchdogCount += 1;
      },
    };
    this.run(STRIP);
  }

  /** Makes `code` the module `name`, as a file in Storage is one. */
  install(name: string, code: string): void {
    const run = this.run(`(function (module, exports) {${code}\n})`) as (
      module: { exports: unknown },
      exports: unknown,
    ) => void;
    const module = { exports: {} as unknown };
    run(module, module.exports);
    this.modules.set(name, module.exports);
  }

  /** Runs a script; returns the value of its last expression. */
  run(code: string): unknown {
    return runInContext(code, this.context);
  }

  private print(line: string): void {
    this.lines.push(line);
    this.onLine(line);
  }

  private require(name: string): unknown {
    switch (name) {
      case 'net':
        return {
          connect: (options: { host: string; port: number }, onConnect: () => void) =>
            new FakeSocket(options, onConnect),
        };
      case 'Storage':
        return this.storage;
      case 'Flash':
        return this.flash;
      case 'crypto':
        return {
          SHA256: (message: string) =>
            new Uint8Array(createHash('sha256').update(message, 'latin1').digest()).buffer,
        };
      default:
        if (this.modules.has(name)) return this.modules.get(name);
        throw new Error(`Module ${name} not found`);
    }
  }
}
