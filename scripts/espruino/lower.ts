// From a bundle in ES2020 to the JavaScript that Espruino runs: Babel lowers what it lacks,
// plugins mend what it gets wrong, terser makes it small.

import { type NodePath, type PluginObject, types as t, transformAsync } from '@babel/core';
import presetEnv from '@babel/preset-env';
import { minify } from 'terser';
import { withoutUncalledMethods, withoutUnreadFields } from './unused.ts';
import { withoutVersion5 } from './version-4.ts';

/** Syntax that Espruino runs as it is; lowered it would be larger, or need function hoisting. */
const KEPT = [
  'transform-classes',
  'transform-arrow-functions',
  'transform-template-literals',
  'transform-for-of',
  'transform-shorthand-properties',
  'transform-function-name',
  'transform-literals',
  'transform-typeof-symbol',
  'transform-nullish-coalescing-operator',
];

/** What nothing here relies on, so that Babel's helpers stay small or away. */
const ASSUMPTIONS = {
  iterableIsArray: true,
  setSpreadProperties: true,
  setPublicClassFields: true,
  setComputedProperties: true,
};

/** A declaration is known from where it stands on: Espruino does not hoist functions. */
function hoist(path: NodePath<t.Program | t.BlockStatement>): void {
  const { body } = path.node;
  const functions = body.filter((statement) => t.isFunctionDeclaration(statement));
  const others = body.filter((statement) => !t.isFunctionDeclaration(statement));
  path.node.body = [...functions, ...others] as typeof body;
}

/** esbuild writes `var A = class _A {…}` where A names itself; the inner name does not exist here. */
function renameInner(path: NodePath<t.ClassExpression>): void {
  const { id } = path.node;
  const { parent } = path;
  if (!t.isIdentifier(id)) return;
  if (!t.isVariableDeclarator(parent) || !t.isIdentifier(parent.id)) return;
  path.scope.rename(id.name, parent.id.name);
  path.node.id = null;
}

/** Words that Espruino's parser takes for a keyword where a method's name stands. */
const KEYWORD_METHODS = new Set([
  'delete',
  'in',
  'of',
  'new',
  'return',
  'typeof',
  'void',
  'switch',
]);

/** `class { delete() {} }` does not parse there; `A.prototype.delete = function () {}` does. */
function moveKeywordMethods(path: NodePath<t.ClassExpression>): void {
  const { parent } = path;
  if (!t.isVariableDeclarator(parent) || !t.isIdentifier(parent.id)) return;
  const declaration = path.parentPath.parentPath;
  for (const member of path.get('body').get('body')) {
    const { node } = member;
    if (!t.isClassMethod(node, { kind: 'method', static: false, computed: false })) continue;
    if (!t.isIdentifier(node.key) || !KEYWORD_METHODS.has(node.key.name)) continue;
    const prototype = t.memberExpression(t.cloneNode(parent.id), t.identifier('prototype'));
    const target = t.memberExpression(prototype, t.cloneNode(node.key));
    const method = t.functionExpression(null, node.params as t.FunctionParameter[], node.body);
    declaration?.insertAfter(t.expressionStatement(t.assignmentExpression('=', target, method)));
    member.remove();
  }
}

/** There is no RangeError; what reads an error's `message` does not mind. */
function replaceRangeError(path: NodePath<t.Identifier>): void {
  if (path.node.name === 'RangeError' && path.isReferencedIdentifier()) {
    if (!path.scope.hasBinding('RangeError', true)) path.node.name = 'Error';
  }
}

/**
 * `/^[…][…]{0,63}$/.test(text)`: Espruino's expressions know no counts, and match nothing then.
 * Where all before the last count is one character each, the length says the same.
 */
function replaceCount(path: NodePath<t.CallExpression>): void {
  const { callee } = path.node;
  const [text] = path.node.arguments;
  if (!t.isMemberExpression(callee) || !t.isRegExpLiteral(callee.object)) return;
  const parts = /^\^((?:\[[^\]]+\])*)(\[[^\]]+\])\{0,(\d+)\}\$$/.exec(callee.object.pattern);
  if (parts === null || !t.isIdentifier(text)) return;
  const [, heads = '', last = '', count] = parts;
  const lengthMax = (heads.match(/\[/g) ?? []).length + Number(count);
  callee.object.pattern = `^${heads}${last}*$`;
  const length = t.memberExpression(t.cloneNode(text), t.identifier('length'));
  const fits = t.binaryExpression('<=', length, t.numericLiteral(lengthMax));
  path.replaceWith(t.logicalExpression('&&', fits, t.cloneNode(path.node)));
  path.skip();
}

/** Terser knows no value for it, and writes 24 characters for three. */
function shortenInfinity(path: NodePath<t.MemberExpression>): void {
  const { object, property } = path.node;
  if (!t.isIdentifier(object, { name: 'Number' })) return;
  if (t.isIdentifier(property, { name: 'POSITIVE_INFINITY' })) {
    path.replaceWith(t.binaryExpression('/', t.numericLiteral(1), t.numericLiteral(0)));
  } else if (t.isIdentifier(property, { name: 'NaN' })) {
    path.replaceWith(t.identifier('NaN'));
  }
}

const mendForEspruino = (): PluginObject => ({
  name: 'mend-for-espruino',
  visitor: {
    Identifier: replaceRangeError,
    CallExpression: replaceCount,
    MemberExpression: shortenInfinity,
    ClassExpression(path: NodePath<t.ClassExpression>) {
      renameInner(path);
      moveKeywordMethods(path);
    },
    Program: { exit: hoist },
    BlockStatement: { exit: hoist },
  },
});

/** Integers beyond it are not exact in a double, and from 2^63 on Espruino reads them as nonsense. */
const INTEGER_MAX = 9007199254740991;
const TWO_32 = 4294967296;

/** 2^exponent as a product of literals that Espruino reads exactly. */
function powerOfTwo(exponent: number): t.Expression {
  if (exponent < 32) return t.numericLiteral(2 ** exponent);
  let product: t.Expression = t.numericLiteral(TWO_32);
  for (let left = exponent - 32; left > 0; left -= 32) {
    product = t.binaryExpression('*', product, t.numericLiteral(2 ** Math.min(32, left)));
  }
  return product;
}

/** Espruino adds decimal digits up and rounds at each, so long literals are off by some places. */
function writeExactly(path: NodePath<t.NumericLiteral>): void {
  const { value } = path.node;
  const exponent = Math.log2(value);
  if (value <= INTEGER_MAX && exponent > -16) return;
  if (value === Number.MAX_VALUE) {
    path.replaceWith(t.memberExpression(t.identifier('Number'), t.identifier('MAX_VALUE')));
  } else if (Number.isInteger(exponent)) {
    const power = powerOfTwo(Math.abs(exponent));
    path.replaceWith(exponent > 0 ? power : t.binaryExpression('/', t.numericLiteral(1), power));
    path.skip();
  }
}

/** After terser, which would compute the products. */
const exactLiterals = (): PluginObject => ({
  name: 'exact-literals',
  visitor: { NumericLiteral: writeExactly },
});

/** What terser must leave alone, because Espruino has no hoisting or because it is larger there. */
const COMPRESS = {
  hoist_funs: false,
  hoist_vars: false,
  reduce_funcs: false,
  arrows: false,
  computed_props: false,
};

const BABEL = { babelrc: false, configFile: false, sourceType: 'script' } as const;

const DEAD_CODE_PASSES = 2;

/** `code` without MQTT 5, and without what only that used. */
async function speakVersion4(code: string, internalMembers: readonly string[]): Promise<string> {
  const folded = await transformAsync(code, { ...BABEL, plugins: [withoutVersion5] });
  let lean = await dropDeadCode(folded?.code ?? '');
  const plugins = [withoutUnreadFields, withoutUncalledMethods(new Set(internalMembers))];
  // What one method alone called is dead when that method has gone.
  for (let pass = 0; pass < DEAD_CODE_PASSES; pass += 1) {
    const live = await transformAsync(lean, { ...BABEL, plugins });
    lean = await dropDeadCode(live?.code ?? '');
  }
  return lean;
}

async function dropDeadCode(code: string): Promise<string> {
  const live = await minify(code, {
    ecma: 2020,
    mangle: false,
    toplevel: true,
    compress: { ...COMPRESS, inline: false, sequences: false, join_vars: false },
  });
  return live.code ?? '';
}

/** Lowers and mends any script, before it is made small. */
async function lower(code: string): Promise<string> {
  const lowered = await transformAsync(code, {
    ...BABEL,
    assumptions: ASSUMPTIONS,
    presets: [[presetEnv, { targets: { ie: '11' }, modules: false, exclude: KEPT }]],
    plugins: [mendForEspruino],
  });
  return lowered?.code ?? '';
}

/**
 * `code`, a CommonJS module bundled from the SDK, in what Espruino 2v29 runs, minified; of MQTT it speaks
 * 3.1.1. `internalMembers` get short names: nothing outside of the bundle may say them.
 */
export async function lowerForEspruino(
  code: string,
  internalMembers: readonly string[],
): Promise<string> {
  const lowered = await lower(await speakVersion4(code, internalMembers));
  const minified = await minify(lowered, {
    ecma: 2015,
    toplevel: true,
    compress: { ...COMPRESS, passes: 2 },
    mangle: { properties: { regex: new RegExp(`^(${internalMembers.join('|')})$`) } },
  });
  const exact = await transformAsync(minified.code ?? '', {
    ...BABEL,
    plugins: [exactLiterals],
    generatorOpts: { minified: true, comments: false },
  });
  return exact?.code ?? '';
}
