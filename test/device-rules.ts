// What sdk/src must not contain, because Moddable XS (preloaded into ROM) or Espruino cannot run
// it, or because it reaches the world past the platform object. The type checker (lib ES5, no
// Node types) finds most misuse of libraries; these rules find what it cannot.

import {
  declaredNames,
  isErased,
  isFunction,
  isReference,
  lineOf,
  type Node,
  parse,
  type SourceFile,
  unwrap,
  walk,
} from './syntax.ts';

/** Absent from an engine, or a way around the platform object. */
const BANNED_GLOBALS = new Set(
  (
    'BigInt BigInt64Array BigUint64Array Map Set WeakMap WeakSet WeakRef FinalizationRegistry ' +
    'Symbol Proxy Reflect Promise TextEncoder TextDecoder setTimeout setInterval setImmediate ' +
    'clearTimeout clearInterval clearImmediate queueMicrotask structuredClone process require ' +
    'Buffer console performance crypto fetch URL Intl eval globalThis window self global'
  ).split(' '),
);

/** Members by `object.member`; `*Array` stands for Array and every typed array. */
const BANNED_MEMBERS = new Map([
  ['Date.now', 'Date.now: time comes from platform.clock'],
  ['Math.random', 'Math.random: random numbers come from platform.random()'],
  ['Math.imul', 'Math.imul: missing on Espruino'],
  ['Math.clz32', 'Math.clz32: missing on Espruino'],
  ['Math.trunc', 'Math.trunc: missing on Espruino'],
  ['Object.freeze', 'Object.freeze: missing on Espruino'],
  ['*Array.from', 'Array.from: missing on Espruino'],
  ['*Array.of', 'Array.of: missing on Espruino'],
]);

const MUTATORS = new Set(
  'push pop shift unshift splice sort reverse fill set copyWithin'.split(' '),
);

interface Context {
  readonly parents: readonly Node[];
  readonly member: string;
  /** True when no enclosing scope declares the name. */
  isGlobal(name: string): boolean;
  /** True when the name is one of the module, not of a function around the node. */
  isModuleName(name: string): boolean;
  /** Runs once, when the module is loaded. */
  readonly atModuleLevel: boolean;
}

/** What is wrong with one node by itself. */
function problemOf(node: Node, context: Context): string | undefined {
  return (
    syntaxProblem(node) ??
    nameProblem(node, context) ??
    moduleStateProblem(node, context) ??
    (node.type === 'CatchClause' ? catchProblem(node) : undefined)
  );
}

function syntaxProblem(node: Node): string | undefined {
  if (isFunction(node) && node.async) return 'async function';
  if (isFunction(node) && node.generator) return 'generator';
  switch (node.type) {
    case 'AwaitExpression':
      return 'await';
    case 'ForOfStatement':
      return node.await ? 'for await' : undefined;
    case 'YieldExpression':
      return 'yield';
    case 'PrivateIdentifier':
      return '#private member: write `private`';
    case 'Literal':
      return node.bigint ? 'BigInt literal' : undefined;
    case 'LabeledStatement':
      return 'label';
    case 'ImportExpression':
      return 'dynamic import';
    case 'SwitchStatement':
      return defaultProblem(node);
    case 'MethodDefinition':
      return node.computed ? 'computed method name' : undefined;
    default:
      return undefined;
  }
}

/** Espruino skips a `case` that follows `default`. */
function defaultProblem(node: Node): string | undefined {
  const index = node.cases.findIndex((branch: Node) => branch.test === null);
  return index !== -1 && index !== node.cases.length - 1 ? 'case after default' : undefined;
}

function nameProblem(node: Node, context: Context): string | undefined {
  const parent = context.parents.at(-1);
  if (isReference(node, parent, context.member)) {
    const banned = BANNED_GLOBALS.has(node.name) && context.isGlobal(node.name);
    return banned ? `${node.name}: not on a device` : undefined;
  }
  if (/^(New|Call)Expression$/.test(node.type)) {
    const callee = unwrap(node.callee);
    const isDate = callee.name === 'Date' && context.isGlobal('Date');
    return isDate ? 'Date: time comes from platform.clock' : undefined;
  }
  if (node.type !== 'MemberExpression') return undefined;
  const property = memberName(node);
  if (/^[gs]etBig(Ui|I)nt64$/.test(property)) return `${property}: BigInt`;
  const object = unwrap(node.object);
  if (object.type !== 'Identifier' || !context.isGlobal(object.name)) return undefined;
  const name = `${/Array$/.test(object.name) ? '*Array' : object.name}.${property}`;
  return BANNED_MEMBERS.get(name);
}

function memberName(node: Node): string {
  if (!node.computed) return node.property.name;
  return node.property.type === 'Literal' ? String(node.property.value) : '';
}

/**
 * Module state is frozen when it is preloaded into ROM. Tables that are only read may stand at
 * module level; `let`, `var`, `new`, static fields and every write to what a module holds or
 * imports may not.
 */
function moduleStateProblem(node: Node, context: Context): string | undefined {
  if (context.atModuleLevel) {
    if (node.type === 'VariableDeclaration' && node.kind !== 'const') {
      return `module state: ${node.kind} at module level`;
    }
    if (node.type === 'NewExpression' && !isEmptyArray(node)) {
      return 'module state: new at module level';
    }
  }
  if (node.type === 'PropertyDefinition' && node.static && !node.readonly) {
    return 'module state: static field that is not readonly';
  }
  if (node.type === 'AssignmentExpression') return writeProblem(unwrap(node.left), context);
  if (node.type === 'UpdateExpression') return writeProblem(unwrap(node.argument), context);
  if (node.type === 'UnaryExpression' && node.operator === 'delete') {
    return writeProblem(unwrap(node.argument), context);
  }
  if (node.type === 'CallExpression') {
    const callee = unwrap(node.callee);
    const isMutator = callee.type === 'MemberExpression' && MUTATORS.has(memberName(callee));
    return isMutator ? rootProblem(callee, context) : undefined;
  }
  return undefined;
}

/** `new Uint8Array(0)`: without a byte there is nothing to write to. */
function isEmptyArray(node: Node): boolean {
  return /Array$/.test(node.callee.name ?? '') && node.arguments[0]?.value === 0;
}

function writeProblem(target: Node, context: Context): string | undefined {
  if (target.type !== 'MemberExpression') return undefined;
  // Espruino ignores it, and on a typed array it does nothing anywhere.
  if (memberName(target) === 'length') return 'assignment to length';
  return rootProblem(target, context);
}

function rootProblem(member: Node, context: Context): string | undefined {
  let object = unwrap(member);
  while (object.type === 'MemberExpression') object = unwrap(object.object);
  const isState = object.type === 'Identifier' && context.isModuleName(object.name);
  return isState ? `module state: writes to ${object.name}` : undefined;
}

/**
 * A power cut must pass through every handler. So a `catch` names its error and begins with
 * `if (error instanceof PowerLoss) throw error;`.
 */
function catchProblem(node: Node): string | undefined {
  const problem = 'catch must begin with `if (error instanceof PowerLoss) throw error;`';
  const guard = node.body.body[0];
  if (node.param?.type !== 'Identifier' || guard?.type !== 'IfStatement') return problem;
  const { test } = guard;
  const isTest =
    test.type === 'BinaryExpression' &&
    test.operator === 'instanceof' &&
    test.left.name === node.param.name &&
    test.right.name === 'PowerLoss';
  const block = guard.consequent;
  const statement = block.type === 'BlockStatement' ? block.body[0] : block;
  const isThrow =
    statement?.type === 'ThrowStatement' && statement.argument.name === node.param.name;
  return isTest && isThrow ? undefined : problem;
}

interface ClassEntry {
  readonly parent?: string;
  readonly where: string;
}

/** Espruino's `super` recurses for ever from the third level on; it cannot extend Error at all. */
function inheritanceProblems(classes: ReadonlyMap<string, ClassEntry>): string[] {
  const found: string[] = [];
  for (const { parent, where } of classes.values()) {
    if (parent === undefined) continue;
    if (parent === '') found.push(`${where}: extends an expression`);
    else if (/Error$/.test(parent)) found.push(`${where}: extends ${parent}`);
    else if (classes.get(parent)?.parent !== undefined) {
      found.push(`${where}: inheritance deeper than one level`);
    }
  }
  return found;
}

/** The findings in these files as `path:line: what`, in the order of the files. */
export function deviceFindings(files: readonly SourceFile[]): string[] {
  const found: string[] = [];
  const classes = new Map<string, ClassEntry>();
  for (const file of files) {
    const { program, comments, error } = parse(file);
    const where = (offset: number): string => `${file.path}:${lineOf(file, offset)}`;
    if (error !== undefined) found.push(`${file.path}:1: does not parse: ${error}`);
    for (const { value, start } of comments) {
      if (/^\/\s*<reference/.test(value)) found.push(`${where(start)}: reference directive`);
    }
    const scopes = new Map<Node, Set<string>>([[program, declaredNames(program)]]);
    walk(program, (node, parents, member) => {
      if (isErased(node)) return false;
      if (isFunction(node)) scopes.set(node, declaredNames(node));
      if (/^Class(Declaration|Expression)$/.test(node.type)) {
        const parent = node.superClass ? (unwrap(node.superClass).name ?? '') : undefined;
        classes.set(node.id?.name ?? where(node.start), { parent, where: where(node.start) });
      }
      const problem = problemOf(node, contextOf(parents, member, scopes));
      if (problem !== undefined) found.push(`${where(node.start)}: ${problem}`);
      return true;
    });
  }
  return found.concat(inheritanceProblems(classes));
}

function contextOf(
  parents: readonly Node[],
  member: string,
  scopes: ReadonlyMap<Node, Set<string>>,
): Context {
  const declaring = (name: string): Node | undefined =>
    parents.findLast((parent) => scopes.get(parent)?.has(name));
  return {
    parents,
    member,
    isGlobal: (name) => declaring(name) === undefined,
    isModuleName: (name) => declaring(name)?.type === 'Program',
    atModuleLevel: !parents.some(
      (parent) => isFunction(parent) || (parent.type === 'PropertyDefinition' && !parent.static),
    ),
  };
}
