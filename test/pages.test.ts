// The pages of the repository: every link leads somewhere, and what docs/architecture.md says of
// the code is there.

import { existsSync, globSync, readFileSync } from 'node:fs';
import { join, posix, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { anchorsOf, isRelative, linksOf, replaceTargets } from '../scripts/markdown.ts';
import { type Node, parse, type SourceFile, walk } from './syntax.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Links of `page` that lead nowhere, as `path:line: target`. */
function brokenLinks({ path, text }: SourceFile, read: (path: string) => string | undefined) {
  return linksOf(text).flatMap(({ offset, target }) => {
    if (!isRelative(target) && !target.startsWith('#')) return [];
    const [address = '', anchor] = target.split('#');
    const to = address === '' ? path : posix.join(posix.dirname(path), address);
    const page = read(to);
    const isThere = page !== undefined && (anchor === undefined || anchorsOf(page).has(anchor));
    if (isThere && !to.startsWith('..')) return [];
    return [`${path}:${text.slice(0, offset).split('\n').length}: ${target}`];
  });
}

/** The text of a file, '' for a folder. */
function readIn(folder: string): (path: string) => string | undefined {
  return (path) => {
    const whole = join(folder, path);
    if (!existsSync(whole)) return undefined;
    return /\.\w+$/.test(path) ? readFileSync(whole, 'utf8') : '';
  };
}

/** Names that a file declares: functions, classes, and their methods as `Class.method`. */
function declarationsOf(file: SourceFile): Set<string> {
  const names = new Set<string>();
  const nameOf = ({ key }: Node): string => key?.name ?? '';
  walk(parse(file).program, (node) => {
    if (/^(Function|Class)Declaration$/.test(node.type)) names.add(node.id.name);
    if (node.type !== 'ClassDeclaration') return true;
    for (const member of node.body.body as Node[]) {
      const isMethod =
        member.type === 'MethodDefinition' ||
        (member.type === 'PropertyDefinition' && /Function/.test(member.value?.type ?? ''));
      if (isMethod) names.add(`${node.id.name}.${nameOf(member)}`);
    }
    return true;
  });
  return names;
}

interface Hop {
  /** As the page links it, from `docs/`. */
  readonly file: string;
  readonly names: readonly string[];
}

/** Rows of tables that begin with a number: a file, then what of it has its turn. */
function hopsOf(text: string): Hop[] {
  const rows = text.matchAll(/^\| \d+ \| \[[^\]]+\]\(([^)]+)\) \| ([^|]+) \|/gm);
  return [...rows].map(([, file = '', cell = '']) => ({
    file: posix.join('docs', file),
    names: [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name),
  }));
}

describe('links of a page', () => {
  /** A text, and the targets in it. */
  const PAGES: readonly [text: string, targets: readonly string[]][] = [
    ['[a](b.md)', ['b.md']],
    ['[a](b.md) and ![c](d.png "title"), [e](<f.md>)', ['b.md', 'd.png', 'f.md']],
    ['[![badge](a.svg)](https://example.org/b)', ['a.svg', 'https://example.org/b']],
    ['| [`a`](b.ts) | [c](d.md#e-f) |', ['b.ts', 'd.md#e-f']],
    ['[a][b]\n\n[b]: c.md\n', ['c.md']],
    ['`[a](b.md)`, `` `[c](d.md) ``', []],
    ['`` [a](b.md)', ['b.md']],
    ['```sh\n[a](b.md)\n```\n[c](d.md)', ['d.md']],
    ['~~~\n```\n[a](b.md)\n~~~\n[c](d.md)', ['d.md']],
    ['a [b] (c.md), d(e)', []],
  ];

  test.each(PAGES)('%j', (text, targets) => {
    expect(linksOf(text).map(({ target }) => target)).toEqual(targets);
    for (const { offset, target } of linksOf(text)) {
      expect(text.slice(offset, offset + target.length)).toBe(target);
    }
    expect(replaceTargets(text, (target) => target)).toBe(text);
    const replaced = replaceTargets(text, (target) => `x/${target}`);
    expect(linksOf(replaced).map(({ target }) => target)).toEqual(targets.map((t) => `x/${t}`));
  });

  test('lead to headings as GitHub names them', () => {
    const text = '# A B\n## `c.d()`, and e\n## A B\n```\n# not\n```\n### [f](g.md): ÄÖ_1 -\n#no\n';
    expect([...anchorsOf(text)]).toEqual(['a-b', 'cd-and-e', 'a-b-1', 'f-äö_1--']);
  });

  test('that lead nowhere are told by file and line', () => {
    const files: Record<string, string> = {
      'docs/a.md':
        '# One\n\n[b](b.md) [c](c.md)\n[d](b.md#two) [e](b.md#three)\n[f](#one)[g](#six)',
      'docs/b.md': '# Two\n[a](../docs/a.md#one) [up](../../x.md) [web](https://example.org/x.md)',
      '../x.md': '',
    };
    const broken = (path: string) =>
      brokenLinks({ path, text: files[path]! }, (each) => files[each]);
    expect(broken('docs/a.md')).toEqual([
      'docs/a.md:3: c.md',
      'docs/a.md:4: b.md#three',
      'docs/a.md:5: #six',
    ]);
    expect(broken('docs/b.md')).toEqual(['docs/b.md:2: ../../x.md']);
  });

  test('all lead somewhere in this repository', () => {
    const paths = globSync('**/*.md', {
      cwd: root,
      exclude: (name) => /(^|\/)(node_modules|dist|data|out)$/.test(name.split(sep).join('/')),
    }).map((path) => path.split(sep).join('/'));
    expect(paths).toContain('README.md');
    expect(paths).toContain('docs/adr/0001-sans-io-and-callbacks.md');
    expect(paths).toContain('sdk/ports/moddable/README.md');
    const pages = paths.map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));
    expect(pages.flatMap((page) => brokenLinks(page, readIn(root)))).toEqual([]);
    expect(pages.flatMap(({ text }) => linksOf(text)).length).toBeGreaterThan(pages.length);
  });
});

describe('docs/architecture.md', () => {
  const hops = hopsOf(readFileSync(join(root, 'docs/architecture.md'), 'utf8'));

  test('walks through functions that exist', () => {
    expect(hops.length).toBeGreaterThan(50);
    const missing = hops.flatMap(({ file, names }) => {
      const text = readFileSync(join(root, file), 'utf8');
      const declared = declarationsOf({ path: file, text });
      if (names.length === 0) return [`${file}: nothing is named`];
      return names.filter((name) => !declared.has(name)).map((name) => `${file}: ${name}`);
    });
    expect(missing).toEqual([]);
  });
});
