// Tables of text: cells in columns, two blanks between them.

/** One line per row; the first `left` columns are aligned to the left, the others to the right. */
export function columns(rows: readonly (readonly string[])[], left: number): string[] {
  const count = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: count }, (_, index) =>
    Math.max(...rows.map((row) => (row[index] ?? '').length)),
  );
  return rows.map((row) =>
    row
      .map((cell, index) =>
        index < left ? cell.padEnd(widths[index]!) : cell.padStart(widths[index]!),
      )
      .join('  ')
      .trimEnd(),
  );
}
