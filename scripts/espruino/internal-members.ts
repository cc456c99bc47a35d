// Which members of classes only the bundle itself names, so that they can have short names: a
// name of up to four characters costs Espruino one variable where a longer one costs two or three.
//
// Safe by construction: a name is internal only where it is a class's member and nothing else in
// the sources: no member of an interface or type, no key of an object literal (which may be a
// document on the wire), no string, and no public member of a class that index.ts exports.

import { parseSync, types as t, traverse } from '@babel/core';

export interface SourceText {
  readonly path: string;
  readonly text: string;
}

function nameOf(key: t.Node): string | undefined {
  if (t.isIdentifier(key)) return key.name;
  return t.isStringLiteral(key) ? key.value : undefined;
}

class MemberCensus {
  readonly members = new Set<string>();
  readonly elsewhere = new Set<string>();
  private readonly publicClasses: ReadonlySet<string>;

  constructor(publicClasses: ReadonlySet<string>) {
    this.publicClasses = publicClasses;
  }

  take(source: SourceText): void {
    const tree = parseSync(source.text, {
      filename: source.path,
      babelrc: false,
      configFile: false,
      parserOpts: { plugins: ['typescript'] },
    });
    traverse(tree as t.File, {
      Class: (path) => {
        const isPublic = this.publicClasses.has(path.node.id?.name ?? '');
        for (const member of path.node.body.body) this.takeMember(member, isPublic);
      },
      ObjectExpression: (path) => {
        for (const property of path.node.properties) {
          if (!t.isSpreadElement(property)) this.say(nameOf(property.key));
        }
      },
      TSPropertySignature: (path) => this.say(nameOf(path.node.key)),
      TSMethodSignature: (path) => this.say(nameOf(path.node.key)),
      StringLiteral: (path) => this.say(path.node.value),
      TemplateElement: (path) => this.say(path.node.value.raw),
    });
  }

  private takeMember(member: t.ClassBody['body'][number], isPublic: boolean): void {
    if (!t.isClassMethod(member) && !t.isClassProperty(member)) return;
    const name = nameOf(member.key);
    if (name === undefined || name === 'constructor') return;
    if (isPublic && member.accessibility !== 'private') this.elsewhere.add(name);
    else this.members.add(name);
  }

  private say(name: string | undefined): void {
    if (name !== undefined) this.elsewhere.add(name);
  }
}

/** The internal members of these sources; `publicClasses` are those that programs use. */
export function internalMembers(
  sources: readonly SourceText[],
  publicClasses: readonly string[],
): string[] {
  const census = new MemberCensus(new Set(publicClasses));
  for (const source of sources) census.take(source);
  return [...census.members].filter((name) => !census.elsewhere.has(name)).sort();
}
