// Syntax trees of the project's own sources (ESTree with TypeScript nodes), for the rule tests.

import { parseSync } from 'rolldown/utils';

export interface SourceFile {
  /** Relative to the repository, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

export interface Node {
  readonly type: string;
  readonly start: number;
  // biome-ignore lint/suspicious/noExplicitAny: the members depend on the type; rules know them.
  readonly [member: string]: any;
}

export interface Comment {
  readonly value: string;
  readonly start: number;
}

export interface Syntax {
  readonly program: Node;
  readonly comments: readonly Comment[];
  /** Absent when the text parses. */
  readonly error?: string;
}

export function parse(file: SourceFile): Syntax {
  const lang = file.path.endsWith('.ts') ? 'ts' : 'js';
  const { program, comments, errors } = parseSync(file.path, file.text, { lang });
  return { program: program as unknown as Node, comments, error: errors[0]?.message };
}

export function lineOf(file: SourceFile, offset: number): number {
  return file.text.slice(0, offset).split('\n').length;
}

export function isNode(value: unknown): value is Node {
  return typeof (value as Node | null)?.type === 'string';
}

/** Each child with the member that holds it. */
export function childrenOf(node: Node): [member: string, child: Node][] {
  return Object.entries(node).flatMap(([member, value]) =>
    [value].flat().flatMap((child): [string, Node][] => (isNode(child) ? [[member, child]] : [])),
  );
}

/** Calls `visit` for the node and all below it, outermost first; false leaves out what is below. */
export function walk(
  node: Node,
  visit: (node: Node, parents: readonly Node[], member: string) => boolean | undefined,
  parents: readonly Node[] = [],
  member = '',
): void {
  if (visit(node, parents, member) === false) return;
  const path = [...parents, node];
  for (const [name, child] of childrenOf(node)) walk(child, visit, path, name);
}

/** TypeScript nodes around an expression that runs; all others only describe types. */
const EXPRESSION_WRAPPERS = [
  'TSAsExpression',
  'TSNonNullExpression',
  'TSSatisfiesExpression',
  'TSTypeAssertion',
  'TSInstantiationExpression',
];

/** True for a node that type stripping removes. */
export function isErased(node: Node): boolean {
  if (node.declare === true || node.importKind === 'type' || node.exportKind === 'type')
    return true;
  return node.type.startsWith('TS') && !EXPRESSION_WRAPPERS.includes(node.type);
}

/** The expression without parentheses and type assertions around it. */
export function unwrap(node: Node): Node {
  const wrapped =
    node.type === 'ParenthesizedExpression' || EXPRESSION_WRAPPERS.includes(node.type);
  return wrapped ? unwrap(node.expression) : node;
}

export function isFunction(node: Node): boolean {
  return /^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(node.type);
}

/** True where an identifier stands for a value, not for the name of a member. */
export function isReference(node: Node, parent: Node | undefined, member: string): boolean {
  if (node.type !== 'Identifier') return false;
  if (parent?.computed === true) return true;
  if (parent?.type === 'MemberExpression') return member !== 'property';
  if (/^(Property|PropertyDefinition|MethodDefinition)$/.test(parent?.type ?? '')) {
    return member !== 'key';
  }
  return !/^(Import|Export|Meta|Label|Break|Continue)/.test(parent?.type ?? '');
}

/**
 * Names that a function (or the program) declares, those of its blocks included, those of
 * functions inside it not.
 */
export function declaredNames(scope: Node): Set<string> {
  const names = new Set<string>();
  const addPattern = (pattern: Node | null | undefined): void => {
    if (pattern?.type === 'Identifier') names.add(pattern.name);
    else if (pattern?.type === 'ObjectPattern') {
      for (const property of pattern.properties) addPattern(property.value ?? property.argument);
    } else if (pattern?.type === 'ArrayPattern') pattern.elements.forEach(addPattern);
    else if (pattern?.type === 'AssignmentPattern') addPattern(pattern.left);
    else if (pattern?.type === 'RestElement') addPattern(pattern.argument);
  };
  if (isFunction(scope)) scope.params.forEach(addPattern);
  walk(scope, (node) => {
    if (node.type === 'VariableDeclarator') addPattern(node.id);
    else if (node.type === 'CatchClause') addPattern(node.param);
    else if (node.type.startsWith('Import') && node.local) names.add(node.local.name);
    else if (/^(Function|Class)/.test(node.type)) addPattern(node.id);
    return node === scope || !isFunction(node);
  });
  return names;
}
