// Inflates raw deflate (RFC 1951) as it arrives, with a window of 1,024 bytes (windowBits 10):
// stored, fixed and dynamic blocks, cut anywhere. Hostile bytes give a code; what is inflated per
// byte of input is bounded by the format (at most 1,032 bytes).
//
// Symbols are decoded bit by bit from counts per code length, as in Mark Adler's puff: the tables
// take 750 bytes and are made quickly, which counts more than decoding does where blocks are short.

import { assert } from '../assert.ts';

/** How far back a stream may refer. */
export const INFLATE_WINDOW_SIZE = 1024;

const CODE_SIZE_MAX = 15;
const LITERAL_COUNT = 288;
const DISTANCE_COUNT = 32;
/** Literals, lengths and distances that may have codes in a dynamic block (§3.2.7). */
const LITERAL_COUNT_MAX = 286;
const DISTANCE_COUNT_MAX = 30;
const END_OF_BLOCK = 256;

/** Counts per code length of two codes, offsets while a code is made, symbols of two codes. */
const TABLE_COUNT = 3 * (CODE_SIZE_MAX + 1) + LITERAL_COUNT + DISTANCE_COUNT;
const LENGTHS_SIZE = LITERAL_COUNT + DISTANCE_COUNT;

/** Bytes that an `Inflate` works in; one more than it holds, for tables begin at even offsets. */
export const INFLATE_WORK_SIZE = INFLATE_WINDOW_SIZE + LENGTHS_SIZE + 2 * TABLE_COUNT + 1;

export type InflateError =
  /** A reserved type of block, or a stored block whose two lengths do not agree. */
  | 'bad-block'
  /** Code lengths that make no code. */
  | 'bad-lengths'
  /** Bits that are no symbol. */
  | 'bad-symbol'
  /** A distance beyond the window, or the beginning. */
  | 'bad-distance'
  /** Bytes after the final block. */
  | 'trailing-bytes'
  /** The target takes no more. */
  | 'stopped';

/** Takes what is inflated. */
export interface InflateTarget {
  /** bytes[start, end) follow; they are valid within this call. False takes no more. */
  onInflated(bytes: Uint8Array, start: number, end: number): boolean;
}

/** Order of the lengths of the code that codes the lengths (§3.2.7). */
const LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
/** Match lengths from symbol 257 on, and their extra bits (§3.2.5). */
const MATCH_SIZES = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131,
  163, 195, 227, 258,
];
const MATCH_BITS = [
  0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
];
/** Distances within the window; those of symbols from 20 on are beyond it. */
const DISTANCES = [1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769];

type State =
  | 'block'
  | 'stored-size'
  | 'stored-complement'
  | 'stored'
  | 'counts'
  | 'length-lengths'
  | 'lengths'
  | 'repeat'
  | 'symbol'
  | 'match-size'
  | 'distance'
  | 'distance-bits'
  | 'done';

const NOTHING = new Uint8Array(0);
/** What `decode` returns where it has no symbol. */
const NEEDS_INPUT = -1;
const NO_SYMBOL = -2;

/** One stream at a time; `begin` forgets all of the one before. */
export class Inflate {
  error: InflateError | undefined = undefined;
  private state: State = 'block';
  private readonly target: InflateTarget;
  private readonly window: Uint8Array;
  private readonly lengths: Uint8Array;
  private readonly literalCounts: Uint16Array;
  private readonly literals: Uint16Array;
  private readonly distanceCounts: Uint16Array;
  private readonly distances: Uint16Array;
  private readonly offsets: Uint16Array;
  private source: Uint8Array = NOTHING;
  private at = 0;
  private end = 0;
  /** Bits taken from the source and not used, least first: fewer than 8 between steps. */
  private bits = 0;
  private bitCount = 0;
  private isLast = false;
  /** Where the window goes on, and from where it was not given to the target yet. */
  private windowAt = 0;
  private givenAt = 0;
  /** Bytes inflated: a distance that is not beyond the window may be beyond the first of them. */
  private inflatedCount = 0;
  /** A code being read: its bits, how far its value is past the first of its length, symbols before. */
  private codeSize = 0;
  private codeValue = 0;
  private codeIndex = 0;
  private literalCount = 0;
  private lengthCount = 0;
  private codedCount = 0;
  /** A stored block's bytes to come, a match's size, or the symbol whose extra bits come next. */
  private size = 0;
  private symbol = 0;

  /** Works in `work`, which has at least INFLATE_WORK_SIZE bytes and belongs to it from now on. */
  constructor(work: Uint8Array, target: InflateTarget) {
    assert(work.length >= INFLATE_WORK_SIZE, 'too little work memory to inflate');
    const { buffer, byteOffset } = work;
    this.target = target;
    let at = byteOffset + (byteOffset & 1);
    const table = (count: number) => {
      const numbers = new Uint16Array(buffer, at, count);
      at += 2 * count;
      return numbers;
    };
    this.literalCounts = table(CODE_SIZE_MAX + 1);
    this.distanceCounts = table(CODE_SIZE_MAX + 1);
    this.offsets = table(CODE_SIZE_MAX + 1);
    this.literals = table(LITERAL_COUNT);
    this.distances = table(DISTANCE_COUNT);
    this.window = new Uint8Array(buffer, at, INFLATE_WINDOW_SIZE);
    this.lengths = new Uint8Array(buffer, at + INFLATE_WINDOW_SIZE, LENGTHS_SIZE);
  }

  /** True after the final block. */
  get done(): boolean {
    return this.state === 'done';
  }

  /** Begins a stream, or one that goes on after a full flush. */
  begin(): void {
    this.error = undefined;
    this.state = 'block';
    this.bits = 0;
    this.bitCount = 0;
    this.isLast = false;
    this.windowAt = 0;
    this.givenAt = 0;
    this.inflatedCount = 0;
    this.clearCode();
  }

  /** Inflates source[start, end), all of it, into the target; the first error stays. */
  push(source: Uint8Array, start: number, end: number): InflateError | undefined {
    assert(start >= 0 && start <= end && end <= source.length, 'inflate range past its bytes');
    this.source = source;
    this.at = start;
    this.end = end;
    while (this.error === undefined && this.step()) {
      // A step does what it can with the input there is.
    }
    // After an error too: what is given does not depend on how the input was cut.
    this.give();
    this.source = NOTHING;
    return this.error;
  }

  /** False when it needs more input, or there was an error. */
  private step(): boolean {
    switch (this.state) {
      case 'block':
        return this.readBlock();
      case 'stored-size':
      case 'stored-complement':
        return this.readStoredSize();
      case 'stored':
        return this.copyStored();
      case 'counts':
        return this.readCounts();
      case 'length-lengths':
        return this.readLengthLengths();
      case 'lengths':
        return this.readLength();
      case 'repeat':
        return this.repeatLength();
      case 'symbol':
        return this.readSymbol();
      case 'match-size':
        return this.readMatchSize();
      case 'distance':
        return this.readDistance();
      case 'distance-bits':
        return this.copyMatch();
      default:
        return this.at < this.end && this.fail('trailing-bytes');
    }
  }

  private fail(error: InflateError): boolean {
    if (this.error === undefined) this.error = error;
    return false;
  }

  /** Makes sure of `count` bits, at most 16; false when the input ends before. */
  private need(count: number): boolean {
    while (this.bitCount < count) {
      if (this.at === this.end) return false;
      this.bits |= (this.source[this.at] as number) << this.bitCount;
      this.at += 1;
      this.bitCount += 8;
    }
    return true;
  }

  /** The next `count` bits, which `need` has made sure of. */
  private take(count: number): number {
    const value = this.bits & ((1 << count) - 1);
    this.bits >>>= count;
    this.bitCount -= count;
    return value;
  }

  private readBlock(): boolean {
    if (!this.need(3)) return false;
    this.isLast = this.take(1) === 1;
    const type = this.take(2);
    if (type === 3) return this.fail('bad-block');
    if (type === 2) this.state = 'counts';
    else if (type === 1) this.beginFixed();
    else {
      // Stored blocks begin at a byte; fewer than 8 bits are left here.
      this.bits = 0;
      this.bitCount = 0;
      this.state = 'stored-size';
    }
    return true;
  }

  private endBlock(): boolean {
    this.state = this.isLast ? 'done' : 'block';
    return true;
  }

  private readStoredSize(): boolean {
    if (!this.need(16)) return false;
    const value = this.take(16);
    if (this.state === 'stored-size') {
      this.size = value;
      this.state = 'stored-complement';
      return true;
    }
    if (value + this.size !== 65535) return this.fail('bad-block');
    this.state = 'stored';
    return true;
  }

  private copyStored(): boolean {
    if (this.size === 0) return this.endBlock();
    if (this.at === this.end) return false;
    this.put(this.source[this.at] as number);
    this.at += 1;
    this.size -= 1;
    return true;
  }

  /** The codes of §3.2.6. */
  private beginFixed(): void {
    const { lengths } = this;
    for (let symbol = 0; symbol < LITERAL_COUNT; symbol += 1) {
      lengths[symbol] = symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8;
    }
    for (let symbol = 0; symbol < DISTANCE_COUNT; symbol += 1) lengths[LITERAL_COUNT + symbol] = 5;
    this.makeCode(this.literalCounts, this.literals, 0, LITERAL_COUNT);
    this.makeCode(this.distanceCounts, this.distances, LITERAL_COUNT, DISTANCE_COUNT);
    this.state = 'symbol';
  }

  private readCounts(): boolean {
    if (!this.need(14)) return false;
    this.literalCount = this.take(5) + 257;
    this.lengthCount = this.literalCount + this.take(5) + 1;
    this.codedCount = this.take(4) + 4;
    if (
      this.literalCount > LITERAL_COUNT_MAX ||
      this.lengthCount - this.literalCount > DISTANCE_COUNT_MAX
    ) {
      return this.fail('bad-lengths');
    }
    for (let index = 0; index < LENGTH_ORDER.length; index += 1) this.lengths[index] = 0;
    this.size = 0;
    this.state = 'length-lengths';
    return true;
  }

  private readLengthLengths(): boolean {
    for (; this.size < this.codedCount; this.size += 1) {
      if (!this.need(3)) return false;
      this.lengths[LENGTH_ORDER[this.size] as number] = this.take(3);
    }
    // Their code has the place of that of distances, which is made last.
    if (this.makeCode(this.distanceCounts, this.distances, 0, LENGTH_ORDER.length) !== 0) {
      return this.fail('bad-lengths');
    }
    this.size = 0;
    this.state = 'lengths';
    return true;
  }

  private readLength(): boolean {
    if (this.size === this.lengthCount) return this.endLengths();
    const symbol = this.decode(this.distanceCounts, this.distances);
    if (symbol < 0) return symbol === NO_SYMBOL && this.fail('bad-symbol');
    if (symbol < 16) {
      this.lengths[this.size] = symbol;
      this.size += 1;
      return true;
    }
    this.symbol = symbol;
    this.state = 'repeat';
    return true;
  }

  private repeatLength(): boolean {
    const { symbol } = this;
    const bits = symbol === 16 ? 2 : symbol === 17 ? 3 : 7;
    if (!this.need(bits)) return false;
    const end = this.size + this.take(bits) + (symbol === 18 ? 11 : 3);
    if (end > this.lengthCount || (symbol === 16 && this.size === 0)) {
      return this.fail('bad-lengths');
    }
    const length = symbol === 16 ? (this.lengths[this.size - 1] as number) : 0;
    for (; this.size < end; this.size += 1) this.lengths[this.size] = length;
    this.state = 'lengths';
    return true;
  }

  private endLengths(): boolean {
    const { literalCount } = this;
    const distanceCount = this.lengthCount - literalCount;
    // Without an end the block would have none.
    if (
      this.lengths[END_OF_BLOCK] === 0 ||
      !this.makeUsable(this.literalCounts, this.literals, 0, literalCount) ||
      !this.makeUsable(this.distanceCounts, this.distances, literalCount, distanceCount)
    ) {
      return this.fail('bad-lengths');
    }
    this.state = 'symbol';
    return true;
  }

  /** False for a code that is neither complete, nor of one symbol of one bit, nor empty. */
  private makeUsable(
    counts: Uint16Array,
    symbols: Uint16Array,
    start: number,
    count: number,
  ): boolean {
    const left = this.makeCode(counts, symbols, start, count);
    return left === 0 || (left > 0 && (counts[0] as number) + (counts[1] as number) === count);
  }

  /**
   * Makes the code of lengths[start, start + count) (§3.2.2). Returns how many codes of 15 bits
   * are left unused; less than 0 when the lengths ask for more than there are.
   */
  private makeCode(
    counts: Uint16Array,
    symbols: Uint16Array,
    start: number,
    count: number,
  ): number {
    const { lengths, offsets } = this;
    for (let size = 0; size <= CODE_SIZE_MAX; size += 1) counts[size] = 0;
    for (let symbol = 0; symbol < count; symbol += 1) {
      const size = lengths[start + symbol] as number;
      counts[size] = (counts[size] as number) + 1;
    }
    let left = 1;
    offsets[1] = 0;
    for (let size = 1; size <= CODE_SIZE_MAX; size += 1) {
      left = left * 2 - (counts[size] as number);
      if (left < 0) return left;
      if (size < CODE_SIZE_MAX) {
        offsets[size + 1] = (offsets[size] as number) + (counts[size] as number);
      }
    }
    for (let symbol = 0; symbol < count; symbol += 1) {
      const size = lengths[start + symbol] as number;
      if (size === 0) continue;
      const at = offsets[size] as number;
      symbols[at] = symbol;
      offsets[size] = at + 1;
    }
    return left;
  }

  private clearCode(): void {
    this.codeSize = 0;
    this.codeValue = 0;
    this.codeIndex = 0;
  }

  /** The next symbol, or NEEDS_INPUT (what was read is kept), or NO_SYMBOL. */
  private decode(counts: Uint16Array, symbols: Uint16Array): number {
    for (;;) {
      if (!this.need(1)) return NEEDS_INPUT;
      this.codeSize += 1;
      this.codeValue += this.take(1);
      const count = counts[this.codeSize] as number;
      if (this.codeValue < count) {
        const symbol = symbols[this.codeIndex + this.codeValue] as number;
        this.clearCode();
        return symbol;
      }
      if (this.codeSize === CODE_SIZE_MAX) return NO_SYMBOL;
      // Codes of a length follow those of the length before, shifted by one.
      this.codeIndex += count;
      this.codeValue = (this.codeValue - count) * 2;
    }
  }

  private readSymbol(): boolean {
    const symbol = this.decode(this.literalCounts, this.literals);
    if (symbol < 0) return symbol === NO_SYMBOL && this.fail('bad-symbol');
    if (symbol < END_OF_BLOCK) {
      this.put(symbol);
      return true;
    }
    if (symbol === END_OF_BLOCK) return this.endBlock();
    if (symbol >= LITERAL_COUNT_MAX) return this.fail('bad-symbol');
    this.symbol = symbol - END_OF_BLOCK - 1;
    this.state = 'match-size';
    return true;
  }

  private readMatchSize(): boolean {
    const bits = MATCH_BITS[this.symbol] as number;
    if (!this.need(bits)) return false;
    this.size = (MATCH_SIZES[this.symbol] as number) + this.take(bits);
    this.state = 'distance';
    return true;
  }

  private readDistance(): boolean {
    const symbol = this.decode(this.distanceCounts, this.distances);
    if (symbol < 0) return symbol === NO_SYMBOL && this.fail('bad-symbol');
    if (symbol >= DISTANCES.length) {
      return this.fail(symbol < DISTANCE_COUNT_MAX ? 'bad-distance' : 'bad-symbol');
    }
    this.symbol = symbol;
    this.state = 'distance-bits';
    return true;
  }

  private copyMatch(): boolean {
    const bits = this.symbol < 4 ? 0 : (this.symbol >> 1) - 1;
    if (!this.need(bits)) return false;
    const distance = (DISTANCES[this.symbol] as number) + this.take(bits);
    if (distance > this.inflatedCount) return this.fail('bad-distance');
    for (let index = 0; index < this.size; index += 1) {
      this.put(this.window[(this.windowAt - distance) & (INFLATE_WINDOW_SIZE - 1)] as number);
    }
    this.state = 'symbol';
    return true;
  }

  private put(byte: number): void {
    this.window[this.windowAt] = byte;
    this.windowAt += 1;
    this.inflatedCount += 1;
    if (this.windowAt < INFLATE_WINDOW_SIZE) return;
    this.give();
    this.windowAt = 0;
    this.givenAt = 0;
  }

  /** Gives the target what it has not had. */
  private give(): void {
    const { givenAt } = this;
    this.givenAt = this.windowAt;
    if (givenAt === this.windowAt || this.error === 'stopped') return;
    if (!this.target.onInflated(this.window, givenAt, this.windowAt)) this.error = 'stopped';
  }
}
