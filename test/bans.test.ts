import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { deviceFindings } from './device-rules.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** What is banned, what is found in it, and a clean way to write about the same. */
// biome-ignore-start lint/suspicious/noTemplateCurlyInString: the strings are source text.
const RULES: readonly [bad: string, finding: string, clean: string][] = [
  ['async function f() {}', 'async function', 'function f() {} // async'],
  ['const f = async () => 1;', 'async function', "const f = () => 'async';"],
  ['class A { async m() {} }', 'async function', 'class A { async() {} }'],
  ['async function f(p: any) {\n await p; }', ':2: await', 'function f(p: { await: 1 }) {}'],
  ['async function f(p: any) { for await (const x of p) x; }', 'for await', 'for (;;) {}'],
  ['function* f() {}', 'generator', 'function f(a: number) { return a * 2; }'],
  ['class A { *m() {} }', 'generator', 'class A { m() {} }'],
  ['function* f() { yield 1; }', 'yield', "const a = { yield: 'yield' };"],
  ['class A { #a = 1; }', '#private', 'class A { private a = 1; } // #a'],
  ['class A { #m() {} }', '#private', 'class A { private m() {} }'],
  ['const a = 10n;', 'BigInt literal', "const a = '10n';"],
  ['const f = () => BigInt(1);', 'BigInt: not', 'const f = (a: { BigInt: 1 }) => a.BigInt;'],
  [
    'const f = (v: DataView) => v.getBigInt64(0);',
    'getBigInt64',
    'const f = (v: DataView) => v.getInt32(0);',
  ],
  ['const f = () => new Map();', 'Map: not', 'class A { Map() {} }'],
  ['const f = () => new Set<number>();', 'Set: not', 'const f = (a: Set) => a;'],
  ['const f = () => new WeakMap();', 'WeakMap: not', '/* new WeakMap() */'],
  ['const f = () => new WeakSet();', 'WeakSet: not', "const a = 'new WeakSet()';"],
  ['const f = () => Symbol();', 'Symbol: not', 'const f = (a: symbol) => a;'],
  ['class A { [Symbol.iterator]() {} }', 'Symbol: not', 'class A { iterator() {} }'],
  ['const f = () => new Proxy({}, {});', 'Proxy: not', 'const a = `new Proxy({}, {})`;'],
  ['const f = () => Promise.resolve();', 'Promise: not', 'type P = Promise<void>;'],
  ['const f = () => `${new Map()}`;', 'Map: not', 'const f = (a: number) => `${a} new Map()`;'],
  ['const f = () => new TextEncoder();', 'TextEncoder: not', '// TextEncoder is missing'],
  ['const f = () => new TextDecoder();', 'TextDecoder: not', 'const a = /TextDecoder/;'],
  [
    'const f = () => setTimeout(f, 1);',
    'setTimeout: not',
    'const f = (t: any) => t.setTimeout(1);',
  ],
  ['const f = () => setInterval(f, 1);', 'setInterval: not', 'const a = { setInterval: 1 };'],
  [
    'const f = () => process.env;',
    'process: not',
    'function f(process: any) { return process.env; }',
  ],
  ["const f = () => require('fs');", 'require: not', 'const f = (a: any) => a.require();'],
  ['const f = () => globalThis;', 'globalThis: not', 'class A { process() { return this; } }'],
  ["const f = () => import('./a.ts');", 'dynamic import', "import { a } from './a.ts';\na();"],
  ['function f() { a: for (;;) break a; }', 'label', 'const f = (a: number) => (a ? a : 1);'],
  ['class A extends Error {}', 'extends Error', 'class A { message = 1; }'],
  ['class A extends RangeError {}', 'extends RangeError', 'class A implements RangeError {}'],
  ['const a = class extends Error {};', 'extends Error', 'const a = class {};'],
  [
    'class A {}\nclass B extends A {}\nclass C extends B {}',
    ':3: inheritance deeper',
    'class A {}\nclass B extends A {}\nclass C extends A {}',
  ],
  ['class A extends f() {}', 'extends an expression', 'class B {}\nclass A extends B {}'],
  ['const f = () => Date.now();', 'Date.now', 'const f = (c: any) => c.now();'],
  ["const f = () => Date['now']();", 'Date.now', 'const f = (Date: any) => Date.now();'],
  ['const f = () => new Date();', 'Date: time', 'const f = () => Date.UTC(2026, 0, 1);'],
  ['const f = () => Date();', 'Date: time', 'const f = (d: Date) => d;'],
  ['const f = () => Math.random();', 'Math.random', 'const f = (p: any) => p.random();'],
  ['const f = () => Math.imul(2, 3);', 'Math.imul', 'const f = () => Math.floor(2 * 3);'],
  ['const f = () => Math.clz32(2);', 'Math.clz32', 'const f = () => Math.abs(2);'],
  ['const f = () => Math.trunc(2);', 'Math.trunc', 'const f = (a: number) => a | 0;'],
  ['const f = () => Object.freeze({});', 'Object.freeze', 'const f = () => Object.keys({});'],
  ['const f = () => Uint8Array.from([1]);', 'Array.from', 'const f = () => new Uint8Array([1]);'],
  ['const f = () => Array.of(1);', 'Array.of', 'const f = () => [1];'],
  [
    'const f = (a: number[]) => { a.length = 0; };',
    'assignment to length',
    'const f = (a: any) => a.length === 0;',
  ],
  [
    'function f(a: 1) { switch (a) { default: break; case 1: } }',
    'case after default',
    'function f(a: 1) { switch (a) { case 1: break; default: } }',
  ],
  ["class A { ['a' + 1]() {} }", 'computed method', "class A { 'a'() {} }"],
  ['/// <reference types="node" />', 'reference directive', '// <reference is a word'],
  ['let count = 0;', 'let at module level', 'function f() { let count = 0; count++; }'],
  ['export let count = 0;', 'let at module level', 'export const COUNT = 0;'],
  ['var count = 0;', 'var at module level', 'declare var count: number;'],
  [
    'for (let i = 0; i < 1; i++) {}',
    'let at module level',
    'const f = () => { for (let i = 0; i < 1; i++) {} };',
  ],
  [
    'const scratch = new Uint8Array(8);',
    'new at module level',
    'class A { scratch = new Uint8Array(8); }',
  ],
  ['const scratch = new Uint8Array(1);', 'new at module level', 'const a = new Uint8Array(0);'],
  ['const a = { b: [new A()] };', 'new at module level', 'const a = { b: [1, 2] };'],
  ['class A { static count = 0; }', 'static field', 'class A { static readonly count = 0; }'],
  [
    'class A { static readonly a = new B(); }',
    'new at module level',
    'class A { readonly a = new B(); }',
  ],
  [
    'const a = [0];\nfunction f() { a[0] = 1; }',
    ':2: module state: writes to a',
    'const a = [0];\nfunction f(a: any) { a[0] = 1; }',
  ],
  [
    'const a = { b: { c: 1 } };\nconst f = () => a.b.c++;',
    'writes to a',
    'const a = { b: 1 };\nconst f = () => a.b + 1;',
  ],
  [
    'const a = [0];\nconst f = () => a.push(1);',
    'writes to a',
    'const a = [0];\nconst f = () => a.indexOf(1);',
  ],
  [
    'const a: any = {};\nconst f = () => delete a.b;',
    'writes to a',
    'const f = () => { const a: any = {}; delete a.b; };',
  ],
  [
    "import { a } from './a.ts';\nconst f = () => { (a as any).b = 1; };",
    'writes to a',
    "import { a } from './a.ts';\nconst f = () => a.b;",
  ],
  [
    'class A {}\nconst f = () => { (A as any).count += 1; };',
    'writes to A',
    'class A { count = 0;\n f() { this.count += 1; } }',
  ],
  [
    'function f() { try { g(); } catch {} }',
    'catch must begin',
    'function f() { try { g(); } finally { g(); } }',
  ],
  [
    'function f() { try { g(); } catch (e) { g(); } }',
    'catch must begin',
    'function f() { try { g(); } catch (e) { if (e instanceof PowerLoss) throw e; g(); } }',
  ],
  [
    'function f() { try { g(); } catch (e) { g(); if (e instanceof PowerLoss) throw e; } }',
    'catch must begin',
    'function f() { try { g(); } catch (e) { if (e instanceof PowerLoss) { throw e; } } }',
  ],
  [
    'function f() { try { g(); } catch (e) { if (e instanceof Other) throw e; } }',
    'catch must begin',
    "const a = 'catch {}';",
  ],
  [
    'function f() { try { g(); } catch (e) { if (e instanceof PowerLoss) throw g; } }',
    'catch must begin',
    '// try {} catch {}',
  ],
  ['const a = ;', 'does not parse', 'const a = 1;'],
];
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: see above.

describe('what a device cannot run', () => {
  test.each(RULES)('%s', (bad, finding, clean) => {
    expect(deviceFindings([{ path: 'bad.ts', text: bad }]).join('\n')).toContain(finding);
    expect(deviceFindings([{ path: 'clean.ts', text: clean }])).toEqual([]);
  });

  test('a finding names its file and line', () => {
    const text = '// One.\n\n/* two\n three */ let a = 1;';
    expect(deviceFindings([{ path: 'sdk/src/a.ts', text }])).toEqual([
      'sdk/src/a.ts:4: module state: let at module level',
    ]);
  });

  test('inheritance is followed from file to file', () => {
    const files = ['class C extends B {}', 'class A {}', 'class B extends A {}'];
    const named = files.map((text, index) => ({ path: `${index}.ts`, text }));
    expect(deviceFindings(named)).toEqual(['0.ts:1: inheritance deeper than one level']);
  });

  test('is not in sdk/src', () => {
    const paths = readdirSync(join(root, 'sdk/src'), { recursive: true, encoding: 'utf8' });
    const files = paths
      .filter((path) => path.endsWith('.ts'))
      .map((path) => ({
        path: `sdk/src/${path}`,
        text: readFileSync(join(root, 'sdk/src', path), 'utf8'),
      }));
    expect(files.length).toBeGreaterThan(0);
    expect(deviceFindings(files)).toEqual([]);
  });
});
