// An applier on XS, with images in memory. Commands: `base N` or `delta N` begin what follows as
// `+` and hex; `make` makes the applier; `apply` answers with the output's size and CRC-32.

import { crc32 } from '../../../sdk/src/buffer/crc32.ts';
import { PATCH_WORK_SIZE, PatchApplier, PatchHeader } from '../../../sdk/src/ota/patch.ts';

const PIECE_SIZE = 512;
const SIZE_MAX = 1 << 24;

/** The old image, in memory. */
class OldImage {
  bytes = new Uint8Array(0);

  get size(): number {
    return this.bytes.length;
  }

  read(address: number, into: Uint8Array): void {
    const { bytes } = this;
    for (let index = 0; index < into.length; index += 1) into[index] = bytes[address + index]!;
  }
}

class Bench {
  private readonly base = new OldImage();
  private delta = new Uint8Array(0);
  private loading = this.delta;
  private at = 0;
  private applier: PatchApplier | undefined;
  private header: PatchHeader | undefined;
  private size = 0;
  private crc = 0;

  begin(name: string, size: number): void {
    this.loading = new Uint8Array(size);
    this.at = 0;
    if (name === 'base') this.base.bytes = this.loading;
    else this.delta = this.loading;
  }

  load(hex: Uint8Array): void {
    const digit = (byte: number) => (byte < 58 ? byte - 48 : byte - 87);
    for (let index = 1; index + 1 < hex.length; index += 2) {
      this.loading[this.at] = digit(hex[index]!) * 16 + digit(hex[index + 1]!);
      this.at += 1;
    }
  }

  make(): void {
    this.applier = new PatchApplier(new Uint8Array(PATCH_WORK_SIZE));
    this.header = new PatchHeader();
  }

  write(bytes: Uint8Array, start: number, end: number): void {
    this.size += end - start;
    this.crc = crc32(bytes, start, end, this.crc);
  }

  apply(): string {
    const { applier, header, delta } = this;
    if (applier === undefined || header === undefined) return 'nothing made';
    this.size = 0;
    this.crc = 0;
    header.begin(0, SIZE_MAX);
    let at = header.push(delta, 0, delta.length);
    if (header.state !== 'body') return header.error ?? 'no header';
    applier.begin(header, this.base, this);
    for (; at < delta.length && applier.error === undefined; at += PIECE_SIZE) {
      applier.push(delta, at, Math.min(delta.length, at + PIECE_SIZE));
    }
    return applier.finish() ?? `${this.size} ${this.crc}`;
  }
}

const bench = new Bench();

function handleCommand(bytes: ArrayBuffer): ArrayBufferLike {
  const request = new Uint8Array(bytes);
  let answer = '';
  if (request[0] === 0x2b) bench.load(request);
  else {
    const [name = '', size = ''] = new TextDecoder().decode(bytes).split(' ');
    if (name === 'make') bench.make();
    else if (name === 'apply') answer = bench.apply();
    else bench.begin(name, Number(size));
  }
  return new TextEncoder().encode(answer).buffer;
}

// The worker looks for it among the globals.
Object.assign(globalThis, { handleCommand });
