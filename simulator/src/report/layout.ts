// Text that has to fit into a narrow terminal: tables lose columns, lines wrap, nothing is cut.

import { stripVTControlCharacters } from 'node:util';

/** Between two columns of a table. */
const GAP = 2;
/** A last column narrower than this is not wrapped in its place, but below. */
const HANGING_WIDTH_MIN = 24;
/** How far what was wrapped stands to the right of its line. */
const HANGING_INDENT = 4;
/** Before the last column of a line. */
const LAST_GAP = / {2,}(?=\S+(?: \S+)*$)/;

/** The width of a line as it is seen: styles take none. */
export function widthOf(line: string): number {
  return stripVTControlCharacters(line).length;
}

/**
 * The rows without those columns that keep them from fitting into `width`: the ones at the indices
 * `expendable` go, the first of them first, and only as many as have to.
 */
export function fitColumns(
  rows: readonly (readonly string[])[],
  expendable: readonly number[],
  width: number,
): string[][] {
  const gone = new Set<number>();
  const rest = () => rows.map((row) => row.filter((_, index) => !gone.has(index)));
  for (const index of expendable) {
    if (tableWidth(rest()) <= width) break;
    gone.add(index);
  }
  return rest();
}

function tableWidth(rows: readonly (readonly string[])[]): number {
  const count = Math.max(0, ...rows.map((row) => row.length));
  let width = -GAP;
  for (let index = 0; index < count; index += 1) {
    width += GAP + Math.max(...rows.map((row) => row[index]?.length ?? 0));
  }
  return width;
}

/**
 * The line in as many as it takes to be no wider than `width`, broken at spaces only. A sentence in
 * the last column of a table stays in its column where there is room, and goes below its row else.
 */
export function wrapLine(line: string, width: number): string[] {
  if (widthOf(line) <= width) return [line];
  const indent = line.length - line.trimStart().length;
  const gap = LAST_GAP.exec(line);
  const isTable = gap !== null && gap.index >= indent && gap.index > 0;
  if (!isTable) return fill('', line, width, indent + HANGING_INDENT);
  const head = line.slice(0, gap.index + gap[0].length);
  const text = line.slice(head.length);
  const column = widthOf(head);
  if (width - column >= HANGING_WIDTH_MIN) return fill(head, text, width, column);
  const below = ' '.repeat(indent + HANGING_INDENT);
  return [...wrapLine(head.trimEnd(), width), ...fill(below, text, width, indent + HANGING_INDENT)];
}

/** `head` and the words of `text`, in lines of which the second and later begin at `indent`. */
function fill(head: string, text: string, width: number, indent: number): string[] {
  const lines: string[] = [];
  let line = head;
  // With the spaces before it: what stands in columns keeps its distance.
  for (const [spaced] of text.matchAll(/ *\S+/g)) {
    if (line.trim() === '' || widthOf(line) + widthOf(spaced) <= width) {
      line += spaced;
    } else {
      lines.push(line.trimEnd());
      line = ' '.repeat(indent) + spaced.trimStart();
    }
  }
  return [...lines, line];
}
