// A terminal as far as the reports use one: a grid of cells that text is written into, wraps,
// scrolls and is erased; it wraps its lines anew when it becomes narrower, as terminals do today.

/** One row; `isWrapped` = it goes on in the next one. */
interface Row {
  text: string;
  isWrapped: boolean;
}

export class Screen {
  readonly isTTY = true;
  columns: number;
  rows: number;
  /** With what has scrolled off the top. */
  private grid: Row[] = [{ text: '', isWrapped: false }];
  private row = 0;
  private column = 0;
  /** Of rows that have left the screen, which nothing can change any more. */
  private scrolled = 0;

  constructor(columns: number, rows: number) {
    this.columns = columns;
    this.rows = rows;
  }

  /** What one sees, and what one could scroll back to; without blanks at the ends of rows. */
  get lines(): string[] {
    return this.grid.map(({ text }) => text.trimEnd());
  }

  write(text: string): void {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one.
    for (const [part, count, command] of text.matchAll(/\u001b\[([\d;]*)([A-Za-z])|[^\u001b]/gu)) {
      if (command !== undefined) this.control(command, count === '' ? 0 : Number(count));
      else if (part === '\n') this.lineFeed();
      else if (part === '\r') this.column = 0;
      else this.put(part);
    }
  }

  /** Wraps anew what stands there, as a terminal does whose window is dragged. */
  resize(columns: number): void {
    this.columns = columns;
    const rows: Row[] = [];
    let pending = '';
    for (const [index, { isWrapped, text }] of this.grid.entries()) {
      pending += text;
      if (isWrapped) continue;
      for (let at = 0; at === 0 || at < pending.length; at += columns) {
        const isLast = at + columns >= pending.length;
        rows.push({ text: pending.slice(at, at + columns), isWrapped: !isLast });
      }
      if (index === this.row) this.row = rows.length - 1;
      pending = '';
    }
    this.grid = rows;
    this.scrolled = Math.max(this.scrolled, rows.length - this.rows);
  }

  private control(command: string, count: number): void {
    const row = this.grid[this.row]!;
    switch (command) {
      case 'A':
        this.row = Math.max(this.scrolled, this.row - Math.max(1, count));
        return;
      case 'J':
        this.grid.length = this.row + 1;
        this.erase(row);
        return;
      case 'K':
        this.erase(row);
        return;
      case 'm':
        return;
      default:
        throw new Error(`the screen does not know CSI ${command}`);
    }
  }

  private erase(row: Row): void {
    row.text = row.text.slice(0, this.column);
    row.isWrapped = false;
  }

  private put(character: string): void {
    if (this.column === this.columns) {
      this.grid[this.row]!.isWrapped = true;
      this.lineFeed();
    }
    const row = this.grid[this.row]!;
    const before = row.text.padEnd(this.column).slice(0, this.column);
    row.text = before + character + row.text.slice(this.column + 1);
    this.column += 1;
  }

  /** As a terminal driver translates it: to the beginning of the next row. */
  private lineFeed(): void {
    this.row += 1;
    this.column = 0;
    this.grid[this.row] ??= { text: '', isWrapped: false };
    this.scrolled = Math.max(this.scrolled, this.row + 1 - this.rows);
  }
}
