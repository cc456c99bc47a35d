// docs/mqtt-statements.md is whole and says what is there: every numbered statement that binds a
// client once, and only functions and tests that exist.

import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const ROOT = new URL('..', import.meta.url);
const SOURCES = new URL('sdk/src/mqtt/', ROOT);
const TESTS = new URL('sdk/test/mqtt/', ROOT);

interface Lists {
  /** Statements in appendix B. */
  readonly count: number;
  readonly client: string;
  /** Those that bind a server alone. */
  readonly server: string;
}

/** Appendix B of both standards: the section, then the numbers in it. */
const STATEMENTS: Record<'3.1.1' | '5', Lists> = {
  '3.1.1': {
    count: 141,
    client: `1.5.3: 1 2 3; 2.2.2: 1 2; 2.3.1: 1 2 3 5 6;
      3.1.0: 1 2; 3.1.2: 1 2 3 4 6 9 11 13 14 15 18 19 20 21 22 23; 3.1.3: 1 2 3 4 7 10 11; 3.1.4: 1;
      3.3.1: 1 2 3 4; 3.3.2: 1 2; 3.3.4: 1; 3.6.1: 1; 3.8.1: 1; 3.8.3: 1 3; 3-8.3: 4;
      3.10.1: 1; 3.10.3: 1 2; 3.14.1: 1; 3.14.4: 1 2;
      4.1.0: 1 2; 4.3.1: 1; 4.3.2: 1 2; 4.3.3: 1 2; 4.4.0: 1; 4.5.0: 2; 4.6.0: 1 2 3 4;
      4.7.1: 1 2 3; 4.7.3: 1 2 3; 4.8.0: 1 2; 6.0.0: 1 2 3; 7.0.0: 2; 7.1.2: 1`,
    server: `2.3.1: 4 7; 3.1.2: 5 7 8 10 12 16 17 24; 3.1.3: 5 6 8 9; 3.1.4: 2 3 4 5;
      3.2.0: 1; 3.2.2: 1 2 3 4 5 6; 3.3.1: 5 6 7 8 9 10 11 12; 3.3.2: 3; 3.3.5: 1 2;
      3.8.3: 2; 3.8.4: 1 2 3 4 5 6; 3.9.3: 1 2; 3.10.4: 1 2 3 4 5 6; 3.12.4: 1; 3.14.4: 3;
      4.5.0: 1; 4.6.0: 5 6; 4.7.2: 1; 4.7.3: 4; 6.0.0: 4; 7.0.0: 1; 7.1.1: 1`,
  },
  '5': {
    count: 251,
    client: `1.5.4: 1 2 3; 1.5.5: 1; 1.5.7: 1; 2.1.3: 1; 2.2.1: 2 3 5; 2.2.2: 1;
      3.1.0: 1 2; 3.1.2: 1 2 3 4 9 11 12 13 16 17 18 19 20 21 23 30;
      3.1.3: 1 2 3 4 11 12; 3.1.4: 1; 3.2.2: 4 5 11 14 15 17 18 21;
      3.3.1: 1 2 3 4; 3.3.2: 1 2 7 8 9 10 13 14 19; 3.3.4: 1 6 7 8;
      3.4.2: 1 2 3; 3.5.2: 1 2 3; 3.6.1: 1; 3.6.2: 1 2 3; 3.7.2: 1 2 3;
      3.8.1: 1; 3.8.3: 1 2 4 5; 3.10.1: 1; 3.10.3: 1 2; 3.14.1: 1; 3.14.2: 1 3 4; 3.14.4: 1 2;
      3.15.1: 1; 3.15.2: 1 2 3; 4.1.0: 1; 4.2.0: 1; 4.3.1: 1; 4.3.2: 1 2 3 4 5;
      4.3.3: 1 2 3 4 5 6 7 8 9 10 11 12 13; 4.4.0: 1 2; 4.5.0: 2; 4.6.0: 1 2 3 4;
      4.7.0: 1; 4.7.1: 1 2; 4.7.3: 1 2 3; 4.8.2: 1 2; 4.9.0: 1 2 3;
      4.12.0: 3 5 7; 4.12.1: 1 2; 4.13.2: 1; 6.0.0: 1 2 3`,
    server: `2.2.1: 4 6; 3.1.2: 5 6 7 8 10 14 15 22 24 25 26 27 28 29; 3.1.3: 5 6 7 8 9 10;
      3.1.4: 2 3 4 5 6; 3.2.0: 1 2; 3.2.2: 1 2 3 6 7 8 9 10 12 13 16 19 20 22;
      3.3.1: 5 6 7 8 9 10 11 12 13; 3.3.2: 3 4 5 6 11 12 15 16 17 18 20; 3.3.4: 2 3 4 5 9 10;
      3.8.3: 3; 3.8.4: 1 2 3 4 5 6 7 8; 3.9.2: 1 2; 3.9.3: 1 2; 3.10.4: 1 2 3 4 5 6;
      3.11.2: 1 2; 3.11.3: 1 2; 3.12.4: 1; 3.14.0: 1; 3.14.2: 2; 3.14.4: 3; 4.1.0: 2; 4.5.0: 1;
      4.6.0: 5 6; 4.7.2: 1; 4.7.3: 4; 4.8.2: 3 4 5 6; 4.12.0: 1 2 4 6; 4.13.1: 1; 6.0.0: 4`,
  },
};

/** '1.5.3: 1 2; …' as ['1.5.3-1', '1.5.3-2', …]. */
function numbers(list: string): string[] {
  return list.split(';').flatMap((part) => {
    const [section = '', ...rest] = part.trim().split(/[: ]+/);
    return rest.map((number) => `${section}-${number}`);
  });
}

interface Row {
  readonly '3.1.1': readonly string[];
  readonly '5': readonly string[];
  readonly demands: string;
  readonly isApplicable: boolean;
  readonly sources: readonly Reference[];
  readonly tests: readonly Reference[];
}

interface Reference {
  readonly file: string;
  readonly names: readonly string[];
}

const HEADER = '3.1.1 5 demands met in shown by';

function readTable(): Row[] {
  const lines = readFileSync(new URL('docs/mqtt-statements.md', ROOT), 'utf8').split('\n');
  return lines
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim()),
    )
    .filter((cells) => cells.join(' ') !== HEADER && !/^-+$/.test(cells[0] ?? ''))
    .map(readRow);
}

function readRow(cells: readonly string[]): Row {
  const line = cells.join(' | ');
  expect(cells.length, line).toBe(5);
  const [four = '', five = '', demands = '', metIn = '', shownBy = ''] = cells;
  const isApplicable = !/^not applicable: \S/.test(metIn);
  const references = (cell: string, pattern: RegExp, split: boolean): Reference[] =>
    cell.split('<br>').map((entry) => {
      const [, file = '', names = ''] = pattern.exec(entry) ?? [];
      expect(file, `'${entry}' in ${line}`).not.toBe('');
      return { file, names: split ? names.split(', ') : [names] };
    });
  return {
    '3.1.1': four === '–' ? [] : four.split(', '),
    '5': five === '–' ? [] : five.split(', '),
    demands,
    isApplicable,
    sources: isApplicable ? references(metIn, /^`([^`]+)`: (.+)$/, true) : [],
    tests: isApplicable || shownBy !== '' ? references(shownBy, /^`([^`]+)` › (.+)$/, false) : [],
  };
}

const files = new Map<string, string>();

function readText(folder: URL, name: string): string {
  const path = fileURLToPath(new URL(name, folder));
  let text = files.get(path);
  if (text === undefined) {
    expect(existsSync(path), `${path} exists`).toBe(true);
    text = readFileSync(path, 'utf8');
    files.set(path, text);
  }
  return text;
}

/** True when `text` defines a function, method, getter or class of this name. */
function defines(text: string, name: string): boolean {
  const method = `^  (private |static |get )*${name}\\(`;
  return new RegExp(`^(export )?(function|class) ${name}\\b|${method}`, 'm').test(text);
}

/** True when `text` has a string literal that says just this, as a test's name is one. */
function hasLiteral(text: string, words: string): boolean {
  return ["'", '"', '`'].some((quote) => text.includes(`${quote}${words}${quote}`));
}

const rows = readTable();

describe.each(['3.1.1', '5'] as const)('MQTT %s', (version) => {
  const { client, count, server } = STATEMENTS[version];

  test('the lists are appendix B', () => {
    const all = [...numbers(client), ...numbers(server)];
    expect(new Set(all).size).toBe(all.length);
    expect(all.length).toBe(count);
  });

  test('every statement that binds a client is in the table, once', () => {
    const listed = rows.flatMap((row) => row[version]);
    expect(listed.filter((number, at) => listed.indexOf(number) !== at)).toEqual([]);
    expect([...listed].sort()).toEqual(numbers(client).sort());
  });
});

test('every row demands something, and is met and shown or says why not', () => {
  expect(rows.length).toBeGreaterThan(80);
  for (const row of rows) {
    expect(row.demands).not.toBe('');
    expect([...row['3.1.1'], ...row['5']]).not.toEqual([]);
    expect(row.tests.length > 0, row.demands).toBe(row.isApplicable);
  }
});

test('functions in the table exist', () => {
  for (const { demands, sources } of rows) {
    for (const { file, names } of sources) {
      const text = readText(SOURCES, file);
      for (const name of names)
        expect(defines(text, name), `${file}: ${name}: ${demands}`).toBe(true);
    }
  }
});

test('tests in the table exist', () => {
  for (const { demands, tests } of rows) {
    for (const { file, names } of tests) {
      const [name = ''] = names;
      expect(hasLiteral(readText(TESTS, file), name), `${file} › ${name}: ${demands}`).toBe(true);
    }
  }
});
