// What Espruino 2v29 gets wrong or lacks, looked for in a finished script (not in sources). Each
// rule was seen in the interpreter; most of these do not fail there but do something else.

import { type NodePath, parseSync, types as t, traverse } from '@babel/core';

/** Absent from the engine. */
const MISSING_GLOBALS = new Set(
  (
    'BigInt BigInt64Array BigUint64Array Map Set WeakMap WeakSet WeakRef FinalizationRegistry ' +
    'Symbol Proxy Reflect RangeError EvalError URIError TextEncoder TextDecoder structuredClone ' +
    'queueMicrotask setImmediate Buffer performance fetch URL Intl'
  ).split(' '),
);

/** Absent functions of what exists; `*Array` stands for Array and every typed array. */
const MISSING_MEMBERS = new Set(
  (
    'Object.freeze Object.isFrozen Object.seal Object.preventExtensions Math.imul Math.clz32 ' +
    'Math.trunc Math.fround Math.hypot Math.cbrt Math.log2 Math.log10 Math.expm1 *Array.from ' +
    '*Array.of Object.hasOwn Object.groupBy Object.is Number.isFinite Number.isInteger Number.isNaN'
  ).split(' '),
);

/** Absent methods, whatever they are called on. */
const MISSING_METHODS = new Set(
  'flat flatMap at copyWithin codePointAt matchAll findLast findLastIndex reduceRight'.split(' '),
);

/** Words that are a keyword to its parser where a class's method is named. */
const KEYWORD_METHODS = /^(delete|in|of|new|return|typeof|void|switch|if|for|while|do|static)$/;

/** Longer integers are read with a rounding error, and from 2^63 on as nonsense. */
const INTEGER_MAX = 9007199254740991;

/** Syntax that is wrong by its type alone. */
function syntaxProblem(node: t.Node): string | undefined {
  if (t.isFunction(node) && node.async) return 'async function';
  if (t.isFunction(node) && node.generator) return 'generator';
  switch (node.type) {
    case 'ObjectPattern':
    case 'ArrayPattern':
      return 'destructuring';
    case 'AssignmentPattern':
      return 'default parameter';
    case 'RestElement':
      return 'rest';
    case 'SpreadElement':
      return 'spread';
    case 'OptionalMemberExpression':
    case 'OptionalCallExpression':
      return 'optional chaining';
    case 'AwaitExpression':
      return 'await';
    case 'YieldExpression':
      return 'yield';
    case 'PrivateName':
    case 'ClassPrivateProperty':
    case 'ClassPrivateMethod':
      return '#private';
    case 'BigIntLiteral':
      return 'BigInt';
    case 'LabeledStatement':
      return 'label';
    case 'TaggedTemplateExpression':
      return 'tagged template';
    case 'StaticBlock':
      return 'static block';
    case 'MetaProperty':
      return 'new.target';
    case 'Import':
    case 'ImportExpression':
    case 'ImportDeclaration':
    case 'ExportNamedDeclaration':
    case 'ExportDefaultDeclaration':
      return 'module syntax';
    default:
      return undefined;
  }
}

function operatorProblem(node: t.Node): string | undefined {
  if (t.isBinaryExpression(node) && node.operator === '**') return '**';
  if (!t.isAssignmentExpression(node)) return undefined;
  if (/^(\*\*|\?\?|\|\||&&)=$/.test(node.operator)) return node.operator;
  const { left } = node;
  const isLength =
    t.isMemberExpression(left) &&
    (t.isIdentifier(left.property, { name: 'length' }) ||
      t.isStringLiteral(left.property, { value: 'length' }));
  return isLength ? 'assignment to length' : undefined;
}

/**
 * Digits are added up one by one, rounding at each. A bound like 1e150 may be off by some places;
 * a power of two must not.
 */
function numberProblem(node: t.NumericLiteral): string | undefined {
  const exponent = Math.log2(node.value);
  if (exponent <= -16 && Number.isInteger(exponent)) return 'power of two below 2^-15';
  if (node.value <= INTEGER_MAX) return undefined;
  const isRough = /e/.test(String(node.extra?.raw)) && !Number.isInteger(exponent);
  return isRough ? undefined : 'number past 2^53';
}

function literalProblem(node: t.Node): string | undefined {
  if (t.isNumericLiteral(node)) return numberProblem(node);
  if (t.isStringLiteral(node) && /[^\0-\xff]/.test(node.value)) return 'character past 8 bits';
  if (t.isTemplateElement(node) && /[^\0-\xff]/.test(node.value.cooked ?? '')) {
    return 'character past 8 bits';
  }
  if (!t.isRegExpLiteral(node)) return undefined;
  if (/[^gi]/.test(node.flags)) return 'flag of a regular expression';
  if (/\(\?[^:]/.test(node.pattern)) return 'look-around or named group';
  return /\{\d+(,\d*)?\}/.test(node.pattern) ? 'count in a regular expression' : undefined;
}

function memberName(node: t.MemberExpression): string {
  if (t.isIdentifier(node.property) && !node.computed) return node.property.name;
  return t.isStringLiteral(node.property) ? node.property.value : '';
}

function nameProblem(path: NodePath): string | undefined {
  const { node } = path;
  if (path.isReferencedIdentifier() && t.isIdentifier(node)) {
    const isMissing = MISSING_GLOBALS.has(node.name) && !path.scope.hasBinding(node.name, true);
    return isMissing ? `${node.name}: absent` : undefined;
  }
  if (!t.isMemberExpression(node)) return undefined;
  const member = memberName(node);
  if (t.isIdentifier(node.object) && !path.scope.hasBinding(node.object.name, true)) {
    const name = `${/Array$/.test(node.object.name) ? '*Array' : node.object.name}.${member}`;
    if (MISSING_MEMBERS.has(name)) return `${node.object.name}.${member}: absent`;
  }
  const isCalled = t.isCallExpression(path.parent) && path.parent.callee === node;
  return isCalled && MISSING_METHODS.has(member) ? `.${member}(): absent` : undefined;
}

/** A `case` after `default` is never looked at. */
function switchProblem(node: t.Node): string | undefined {
  if (!t.isSwitchStatement(node)) return undefined;
  const index = node.cases.findIndex((branch) => branch.test == null);
  return index !== -1 && index !== node.cases.length - 1 ? 'case after default' : undefined;
}

/** A function is known from its declaration on, so declarations must come first. */
function hoistingProblem(path: NodePath): string | undefined {
  if (!path.isFunctionDeclaration()) return undefined;
  const { container, key } = path;
  if (!Array.isArray(container) || typeof key !== 'number') return 'function without a block';
  const isFirst = (container as t.Node[])
    .slice(0, key)
    .every((node) => t.isFunctionDeclaration(node));
  return isFirst ? undefined : 'function hoisting';
}

/** Espruino reads on in the next line, where the standard ends the statement. */
function returnProblem(path: NodePath, code: string): string | undefined {
  const { node } = path;
  if (!t.isReturnStatement(node) || node.argument != null) return undefined;
  const end = node.end ?? 0;
  if (code[end - 1] === ';') return undefined;
  return /^\s*(\}|$)/.test(code.slice(end)) ? undefined : 'return without a semicolon';
}

/** Each turn of a loop shares one `let`, so a closure sees the last value. */
function loopProblem(path: NodePath): string | undefined {
  if (!path.isVariableDeclaration() || path.node.kind === 'var') return undefined;
  const loop = path.findParent((parent) => parent.isLoop() || parent.isFunction());
  if (loop?.isLoop() !== true) return undefined;
  const isCaptured = Object.keys(path.getBindingIdentifiers()).some((name) =>
    path.scope
      .getBinding(name)
      ?.referencePaths.some(
        (use) => use.getFunctionParent()?.node !== loop.getFunctionParent()?.node,
      ),
  );
  return isCaptured ? 'let captured in a loop' : undefined;
}

interface ClassEntry {
  readonly parent: string | undefined;
  readonly hasStatic: boolean;
  readonly line: number;
}

function classMemberProblem(node: t.Node): string | undefined {
  if (t.isClassProperty(node) && node.value == null) return 'field without initialiser';
  if (t.isClassMethod(node) && node.computed) return 'computed method';
  if (!t.isClassMethod(node) || !t.isIdentifier(node.key)) return undefined;
  return KEYWORD_METHODS.test(node.key.name) ? 'keyword as the name of a method' : undefined;
}

/** `super` recurses for ever from the third level on; statics and Error are not inherited. */
function inheritanceProblems(classes: ReadonlyMap<string, ClassEntry>): string[] {
  const found: string[] = [];
  for (const { parent, line } of classes.values()) {
    if (parent === undefined) continue;
    const base = classes.get(parent);
    if (parent === '') found.push(`${line}: extends an expression`);
    else if (/Error$/.test(parent)) found.push(`${line}: extends ${parent}`);
    else if (base?.parent !== undefined) found.push(`${line}: inheritance deeper than one level`);
    else if (base?.hasStatic === true) found.push(`${line}: static inheritance`);
  }
  return found;
}

function nameOfClass(path: NodePath<t.Class>): string {
  const { node, parent } = path;
  if (t.isVariableDeclarator(parent) && t.isIdentifier(parent.id)) return parent.id.name;
  return node.id?.name ?? `class at ${node.start}`;
}

/** Everything in `code` that Espruino cannot run or runs wrongly, as `line: what`. */
export function engineFindings(code: string): string[] {
  const found: string[] = [];
  const classes = new Map<string, ClassEntry>();
  const tree = parseSync(code, { babelrc: false, configFile: false, sourceType: 'script' });
  traverse(tree as t.File, {
    enter(path) {
      const { node } = path;
      const line = node.loc?.start.line ?? 0;
      const problem =
        syntaxProblem(node) ??
        operatorProblem(node) ??
        literalProblem(node) ??
        nameProblem(path) ??
        switchProblem(node) ??
        hoistingProblem(path) ??
        returnProblem(path, code) ??
        loopProblem(path) ??
        classMemberProblem(node);
      if (problem !== undefined) found.push(`${line}: ${problem}`);
      if (!path.isClass()) return;
      const { superClass } = path.node;
      const parent = t.isIdentifier(superClass) ? superClass.name : superClass ? '' : undefined;
      const hasStatic = path.node.body.body.some(
        (member) => (member as { static?: boolean }).static === true,
      );
      classes.set(nameOfClass(path), { parent, hasStatic, line });
    },
  });
  return found.concat(inheritanceProblems(classes));
}
