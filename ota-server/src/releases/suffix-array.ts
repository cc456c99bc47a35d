// Suffix arrays in linear time by induced sorting (Nong, Zhang, Chan, "Two efficient algorithms
// for linear time suffix array construction", 2011), and from one the longest match in a base of
// every place of a target.
//
// Words of the paper: a suffix is of type S when it is less than the next one, else of type L; an
// S after an L is leftmost (LMS). Sorting the LMS suffixes is enough to induce the order of all.

const NONE = -1;

/** Where each symbol's suffixes begin in the array, those of type L before those of type S. */
interface Buckets {
  readonly starts: Int32Array;
  readonly startsOfS: Int32Array;
}

/**
 * The starts of all suffixes of `text` in ascending order. Symbols are 0 to `symbolMax`; an end is
 * less than any symbol. Takes about 25 bytes per symbol for its time.
 */
export function suffixArray(text: Int32Array, symbolMax: number): Int32Array {
  const size = text.length;
  const sorted = new Int32Array(size);
  if (size < 2) return sorted;
  const isS = typesOf(text);
  const buckets = bucketsOf(text, isS, symbolMax);
  const ranks = new Int32Array(size).fill(NONE);
  let lmsCount = 0;
  for (let at = 1; at < size; at += 1) if (isLms(isS, at)) ranks[at] = lmsCount++;
  const lms = new Int32Array(lmsCount);
  for (let at = 1; at < size; at += 1) if (ranks[at] !== NONE) lms[ranks[at]!] = at;
  induce(text, isS, buckets, lms, sorted);
  if (lmsCount > 0) {
    sortLms(text, lms, ranks, sorted);
    induce(text, isS, buckets, lms, sorted);
  }
  return sorted;
}

function isLms(isS: Uint8Array, at: number): boolean {
  return isS[at] === 1 && isS[at - 1] === 0;
}

function typesOf(text: Int32Array): Uint8Array {
  const isS = new Uint8Array(text.length);
  for (let at = text.length - 2; at >= 0; at -= 1) {
    const [here, next] = [text[at]!, text[at + 1]!];
    isS[at] = here === next ? isS[at + 1]! : here < next ? 1 : 0;
  }
  return isS;
}

function bucketsOf(text: Int32Array, isS: Uint8Array, symbolMax: number): Buckets {
  // One more than symbols: the end of a bucket is read as the start of the next.
  const starts = new Int32Array(symbolMax + 2);
  const startsOfS = new Int32Array(symbolMax + 2);
  for (let at = 0; at < text.length; at += 1) {
    starts[text[at]! + 1]! += 1;
    if (isS[at] === 0) startsOfS[text[at]!]! += 1;
  }
  for (let symbol = 0; symbol <= symbolMax; symbol += 1) {
    starts[symbol + 1]! += starts[symbol]!;
    startsOfS[symbol]! += starts[symbol]!;
  }
  return { starts, startsOfS };
}

/** Fills `sorted` from LMS suffixes: wholly in order when they are, else by LMS substrings. */
function induce(
  text: Int32Array,
  isS: Uint8Array,
  { starts, startsOfS }: Buckets,
  lms: Int32Array,
  sorted: Int32Array,
): void {
  const size = text.length;
  sorted.fill(NONE);
  const next = startsOfS.slice();
  for (const at of lms) sorted[next[text[at]!]!++] = at;
  next.set(starts);
  // The last suffix is of type L: what follows it, the end, is less.
  sorted[next[text[size - 1]!]!++] = size - 1;
  for (let index = 0; index < size; index += 1) {
    const before = sorted[index]! - 1;
    if (before >= 0 && isS[before] === 0) sorted[next[text[before]!]!++] = before;
  }
  next.set(starts);
  for (let index = size - 1; index >= 0; index -= 1) {
    const before = sorted[index]! - 1;
    if (before >= 0 && isS[before] === 1) sorted[--next[text[before]! + 1]!] = before;
  }
}

/** Puts `lms` in order of suffixes, from `sorted`, which has them in order of LMS substrings. */
function sortLms(text: Int32Array, lms: Int32Array, ranks: Int32Array, sorted: Int32Array): void {
  const count = lms.length;
  const endOf = (rank: number) => (rank + 1 < count ? lms[rank + 1]! : text.length);
  const names = new Int32Array(count);
  let name = -1;
  let previous = NONE;
  for (let index = 0; index < sorted.length; index += 1) {
    const rank = ranks[sorted[index]!]!;
    if (rank === NONE) continue;
    const same =
      previous !== NONE &&
      isSameSubstring(text, lms[previous]!, endOf(previous), lms[rank]!, endOf(rank));
    if (!same) name += 1;
    names[rank] = name;
    previous = rank;
  }
  const order = suffixArray(names, name);
  for (let index = 0; index < count; index += 1) order[index] = lms[order[index]!]!;
  lms.set(order);
}

/** Whether two LMS substrings are equal, the LMS symbol after each included. */
function isSameSubstring(
  text: Int32Array,
  start: number,
  end: number,
  otherStart: number,
  otherEnd: number,
): boolean {
  if (end - start !== otherEnd - otherStart) return false;
  // Only one substring is ended by the end of the text, where there is no symbol: it differs there.
  for (let count = 0; count <= end - start; count += 1) {
    if (text[start + count] !== text[otherStart + count]) return false;
  }
  return true;
}

/** For each place of a target: how many bytes from there occur in the base, and where. */
export interface Matches {
  readonly sizes: Int32Array;
  /** Meaningless where the size is 0. */
  readonly starts: Int32Array;
}

/**
 * The longest match in `base` of every suffix of `target`, in linear time: the neighbours of a
 * suffix in the order of all suffixes of both.
 */
export function longestMatches(base: Uint8Array, target: Uint8Array): Matches {
  // Between them is a symbol that neither has, so that no match goes past the end of the base.
  const text = new Int32Array(base.length + 1 + target.length);
  for (let at = 0; at < base.length; at += 1) text[at] = base[at]! + 1;
  const targetAt = base.length + 1;
  for (let at = 0; at < target.length; at += 1) text[targetAt + at] = target[at]! + 1;
  const sorted = suffixArray(text, 256);
  const shared = sharedPrefixes(text, sorted);
  const matches = {
    sizes: new Int32Array(target.length),
    starts: new Int32Array(target.length),
  };
  const scan = (first: number, step: number) => {
    let start = NONE;
    let size = 0;
    for (let index = first; index >= 0 && index < sorted.length; index += step) {
      const suffix = sorted[index]!;
      // `shared` is with the suffix before; upwards that is the one of the step before.
      if (step > 0) size = Math.min(size, shared[suffix]!);
      if (suffix < base.length) {
        start = suffix;
        size = text.length;
      } else if (suffix >= targetAt && start !== NONE && size > matches.sizes[suffix - targetAt]!) {
        matches.sizes[suffix - targetAt] = size;
        matches.starts[suffix - targetAt] = start;
      }
      if (step < 0) size = Math.min(size, shared[suffix]!);
    }
  };
  scan(0, 1);
  scan(sorted.length - 1, -1);
  return matches;
}

/**
 * By suffix: how many symbols it shares with the one before it in the order (Kärkkäinen, Manzini,
 * Puglisi, "Permuted longest-common-prefix array", 2009).
 */
function sharedPrefixes(text: Int32Array, sorted: Int32Array): Int32Array {
  // Holds the suffix before each, then, in its place, what they share.
  const shared = new Int32Array(text.length);
  for (let index = 0; index < sorted.length; index += 1) {
    shared[sorted[index]!] = index === 0 ? NONE : sorted[index - 1]!;
  }
  let count = 0;
  for (let suffix = 0; suffix < text.length; suffix += 1) {
    const before = shared[suffix]!;
    if (before === NONE) count = 0;
    else {
      const most = text.length - Math.max(suffix, before);
      while (count < most && text[suffix + count] === text[before + count]) count += 1;
    }
    shared[suffix] = count;
    if (count > 0) count -= 1;
  }
  return shared;
}
