import { describe, expect, test } from 'vitest';
import { engineFindings } from '../../scripts/espruino/engine-rules.ts';

/** What the engine gets wrong, the finding, and the same in a way that it runs. */
// biome-ignore-start lint/suspicious/noTemplateCurlyInString: the strings are source text.
const RULES: readonly [bad: string, finding: string, clean: string][] = [
  ['var {a} = b;', 'destructuring', 'var a = b.a;'],
  ['var [a] = b;', 'destructuring', 'var a = b[0];'],
  ['function f({a}) {}', 'destructuring', 'function f(a) {}'],
  ['function f(a = 1) {}', 'default parameter', 'function f(a) { if (a === void 0) a = 1; }'],
  ['function f(...a) {}', 'rest', 'function f() { return arguments; }'],
  ['f(...a);', 'spread', 'f.apply(null, a);'],
  ['a = { ...b };', 'spread', 'a = Object.assign({}, b);'],
  ['a?.b;', 'optional chaining', 'a && a.b;'],
  ['a?.();', 'optional chaining', 'a ? a() : 0;'],
  ['a ??= b;', '??=', 'a = a ?? b;'],
  ['a ||= b;', '||=', 'a = a || b;'],
  ['a = b ** 2;', '**', 'a = b * b;'],
  ['a **= 2;', '**=', 'a *= a;'],
  ['function* f() {}', 'generator', 'function f() {}'],
  ['async function f() {}', 'async', 'function f() { return Promise.resolve(); }'],
  ['a = async () => 1;', 'async', 'a = () => 1;'],
  ['class A { async m() {} }', 'async', 'class A { async() {} }'],
  ['class A { #a = 1; }', '#private', 'class A { a = 1; }'],
  ['class A extends Error {}', 'extends Error', 'class A { message = 1; }'],
  ['var A = class extends TypeError {};', 'extends TypeError', 'var A = class {};'],
  [
    'class A {} class B extends A {} class C extends B {}',
    'deeper than one level',
    'class A {} class B extends A {} class C extends A {}',
  ],
  [
    'var a = class {}, b = class extends a {}, c = class extends b {};',
    'deeper than one level',
    'var a = class {}, b = class extends a {}, c = class extends a {};',
  ],
  [
    'class A { static m() {} } class B extends A {}',
    'static inheritance',
    'class A { m() {} } class B extends A { static n() {} }',
  ],
  ['class A extends f() {}', 'extends an expression', 'class A {}'],
  ['class A { m; }', 'field without initialiser', 'class A { m = void 0; }'],
  ["class A { ['m']() {} }", 'computed method', 'class A { m() {} }'],
  ['class A { delete() {} }', 'keyword', 'class A {} A.prototype.delete = function () {};'],
  ['a = 10n;', 'BigInt', 'a = 10;'],
  ['new Map();', 'Map: absent', 'a.Map(); var f = function (Map) { return new Map(); };'],
  ['new Set();', 'Set: absent', 'a = { Set: 1 };'],
  ['new WeakMap();', 'WeakMap: absent', "a = 'WeakMap';"],
  ['Symbol();', 'Symbol: absent', 'a.Symbol;'],
  ['new Proxy(a, b);', 'Proxy: absent', 'a.Proxy();'],
  ["throw new RangeError('a');", 'RangeError: absent', "throw new Error('a');"],
  ['new TextEncoder();', 'TextEncoder: absent', 'E.toUint8Array(a);'],
  ['Object.freeze(a);', 'Object.freeze: absent', 'Object.keys(a);'],
  ['Object.hasOwn(a, b);', 'Object.hasOwn: absent', 'a.hasOwnProperty(b);'],
  ['Number.isFinite(a);', 'Number.isFinite: absent', 'isFinite(a);'],
  ['a.reduceRight(f);', '.reduceRight(): absent', 'a.reduce(f);'],
  ["Object['freeze'](a);", 'Object.freeze: absent', "Object['keys'](a);"],
  ['Math.imul(a, b);', 'Math.imul: absent', 'Math.floor(a);'],
  ['Math.clz32(a);', 'Math.clz32: absent', 'Math.abs(a);'],
  ['Math.trunc(a);', 'Math.trunc: absent', 'a | 0;'],
  ['Uint8Array.from(a);', 'Uint8Array.from: absent', 'new Uint8Array(a);'],
  ['Uint8Array.of(1);', 'Uint8Array.of: absent', 'new Uint8Array([1]);'],
  ['Array.from(a);', 'Array.from: absent', 'Array.isArray(a);'],
  ['a.flat();', '.flat(): absent', 'a.flat = 1;'],
  ['a.at(-1);', '.at(): absent', 'a.at;'],
  ['a: for (;;) break a;', 'label', 'for (;;) break;'],
  [
    'switch (a) { default: break; case 1: }',
    'case after default',
    'switch (a) { case 1: break; default: }',
  ],
  ['a.length = 0;', 'assignment to length', 'a.length === 0;'],
  ['f(); function f() {}', 'function hoisting', 'function f() {} f();'],
  [
    'function f() { g(); function g() {} }',
    'function hoisting',
    'function f() { function g() {} g(); }',
  ],
  ['if (a) function f() {}', 'function', 'if (a) { function f() {} }'],
  ['function f() { return\na; }', 'return without', 'function f() { return; a; }'],
  ['for (let i = 0; i < 2; i++) f(() => i);', 'let captured', 'for (let i = 0; i < 2; i++) f(i);'],
  [
    'for (;;) { const i = a(); f(() => i); }',
    'let captured',
    'var g = function (i) { return () => i; }; for (;;) { const i = a(); f(g(i)); }',
  ],
  ['a = 18446744073709551616;', 'past 2^53', 'a = 4294967296 * 4294967296;'],
  ['a = 3.402823669209385e38;', 'past 2^53', 'a = 1e150;'],
  ['a = 5.421010862427522e-20;', 'power of two', 'a = 0.1;'],
  ["a = '\u0394';", 'past 8 bits', "a = '\u00b0';"],
  ['a = `\u0394${b}`;', 'past 8 bits', 'a = `\u00b0${b}`;'],
  ['/^a{1,2}$/.test(b);', 'count', '/^aa*$/.test(b);'],
  ['/a/u.test(b);', 'flag', '/a/gi.test(b);'],
  ['/(?=a)/.test(b);', 'look-around', '/(?:a)/.test(b);'],
  ['a`b`;', 'tagged template', 'a(`b`);'],
];
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: see above.

describe('what Espruino gets wrong', () => {
  test.each(RULES)('%s', (bad, finding, clean) => {
    expect(engineFindings(bad).join('\n')).toContain(finding);
    expect(engineFindings(clean)).toEqual([]);
  });

  test('a finding names its line', () => {
    expect(engineFindings('\n\na?.b;')).toEqual(['3: optional chaining']);
  });
});
