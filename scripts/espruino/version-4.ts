// Leaves MQTT 5 out of a bundle: what asks for the version is answered, what reads that only MQTT
// 5 or a server needs is emptied, and the minifier drops what then has no use. The sources are
// not touched: a name that is not there any more fails the build.

import { type NodePath, type PluginObject, types as t, template } from '@babel/core';

/** Functions that a client of 3.1.1 never calls, or calls without need, and what stands for them. */
const EMPTIED: Readonly<Record<string, string>> = {
  readConnect: 'return 0x81;',
  readFilters: 'return 0x81;',
  readAuth: 'return 0x81;',
  readProperties: 'return -0x81;',
  resetProperties: '',
  reasonName: "return 'reason ' + arguments[0];",
};

function isVersion(node: t.Node): boolean {
  if (t.isMemberExpression(node)) return !node.computed && isVersion(node.property);
  return t.isIdentifier(node, { name: 'version' });
}

/** `version === 5`, `x.version !== 4`: known, for all that a bundle connects speaks 4. */
function answerVersion(path: NodePath<t.BinaryExpression>): void {
  const { left, operator, right } = path.node;
  if (operator !== '===' && operator !== '!==') return;
  if (!t.isNumericLiteral(right) || !isVersion(left)) return;
  path.replaceWith(t.booleanLiteral((right.value === 4) === (operator === '===')));
}

/** Answers the version and empties the functions of MQTT 5. Throws where one is missing. */
export function withoutVersion5(): PluginObject {
  const missing = new Set(Object.keys(EMPTIED));
  return {
    name: 'without-version-5',
    visitor: {
      BinaryExpression: answerVersion,
      FunctionDeclaration(path: NodePath<t.FunctionDeclaration>) {
        const name = path.node.id?.name ?? '';
        const body = EMPTIED[name];
        if (body === undefined || !missing.delete(name)) return;
        path.node.body = t.blockStatement(template.statements(body)());
        path.node.params = [];
      },
      Program: {
        exit() {
          if (missing.size > 0) throw new Error(`not in the bundle: ${[...missing].join(', ')}`);
        },
      },
    },
  };
}
