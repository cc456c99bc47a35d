// Drops from a bundle what minifiers leave: fields that are only written, methods that nothing
// calls. Each costs Espruino variables, also where its code stays in flash.

import { type NodePath, type PluginObject, types as t } from '@babel/core';

/** Members of Packet that an application may read in `onMessage`. */
const PACKET_API = new Set(
  'type dup qos retain packetId topicStart topicEnd payloadStart payloadEnd'.split(' '),
);

/** The statement `x.name = …;`, or undefined. */
function assignedMember(statement: t.Node): string | undefined {
  if (!t.isExpressionStatement(statement)) return undefined;
  const { expression } = statement;
  if (!t.isAssignmentExpression(expression, { operator: '=' })) return undefined;
  const { left } = expression;
  if (!t.isMemberExpression(left, { computed: false }) || !t.isIdentifier(left.property)) {
    return undefined;
  }
  return left.property.name;
}

/** Names that the program reads from an object, or says as a string. */
function readNames(program: NodePath<t.Program>): Set<string> {
  const names = new Set<string>();
  program.traverse({
    StringLiteral: (path) => {
      names.add(path.node.value);
    },
    ObjectProperty: (path) => {
      if (t.isIdentifier(path.node.key)) names.add(path.node.key.name);
    },
    MemberExpression: (path) => {
      const { parent } = path;
      const isWritten =
        t.isAssignmentExpression(parent, { operator: '=' }) &&
        parent.left === path.node &&
        t.isExpressionStatement(path.parentPath?.parent);
      if (!isWritten && t.isIdentifier(path.node.property)) names.add(path.node.property.name);
    },
  });
  return names;
}

function dropUnread(program: NodePath<t.Program>): void {
  const read = readNames(program);
  const fields = new Set<string>();
  program.traverse({
    ClassExpression(path) {
      if (!t.isVariableDeclarator(path.parent) || !t.isIdentifier(path.parent.id)) return;
      if (path.parent.id.name !== 'Packet') return;
      path.traverse({
        ExpressionStatement(statement) {
          const name = assignedMember(statement.node);
          if (name !== undefined && !read.has(name) && !PACKET_API.has(name)) fields.add(name);
        },
      });
    },
  });
  program.traverse({
    ExpressionStatement(statement) {
      const name = assignedMember(statement.node);
      if (name !== undefined && fields.has(name)) statement.remove();
    },
  });
}

/**
 * Drops those fields of Packet that nothing reads any more: a field costs Espruino one to three
 * variables. For code that has lost its dead functions.
 */
export function withoutUnreadFields(): PluginObject {
  return { name: 'without-unread-fields', visitor: { Program: { enter: dropUnread } } };
}

/** Drops those methods that nothing names any more; `internal` are those that nobody else may. */
export function withoutUncalledMethods(internal: ReadonlySet<string>): () => PluginObject {
  const drop = (program: NodePath<t.Program>): void => {
    const read = readNames(program);
    program.traverse({
      ClassMethod(path) {
        const { key, kind } = path.node;
        if (kind === 'constructor' || !t.isIdentifier(key)) return;
        if (internal.has(key.name) && !read.has(key.name)) path.remove();
      },
    });
  };
  return () => ({ name: 'without-uncalled-methods', visitor: { Program: { exit: drop } } });
}
