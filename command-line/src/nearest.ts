// "Did you mean": the known name that a mistyped one most likely stands for.

/** `; did you mean "interval"?` when a known name is near, else the list of known names. */
export function nearest(name: string, known: readonly string[]): string {
  const best = nearestOf(name, known);
  return best === undefined ? `; known are ${known.join(', ')}` : `; did you mean "${best}"?`;
}

/** The known name that is near, if any is. */
export function nearestOf(name: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  // More than a third of the letters wrong is another name, not a slip.
  let bestDistance = Math.floor((name.length + 1) / 3) + 1;
  for (const candidate of known) {
    // `abort` is short for `abortOnFail`, however many letters are missing.
    const short = name.length > 2 && candidate.startsWith(name);
    const distance = short ? 1 : editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** Insertions, deletions, replacements and swaps of neighbours between two texts. */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      current[j] = Math.min(previous[j]! + 1, current[j - 1]! + 1, replace);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        current[j] = Math.min(current[j]!, before[j - 2]! + 1);
      }
    }
    before = previous;
    previous = current;
  }
  return previous[b.length]!;
}
