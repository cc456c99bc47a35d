// The rules of junit-10.xsd, by which Jenkins's xunit plugin takes a report or refuses it: which
// elements may be in which, and the attributes that each must and may have.

interface Rule {
  readonly required: readonly string[];
  readonly optional: readonly string[];
  /** Elements; in any order and number, as in the schema. */
  readonly inside: readonly string[];
  readonly hasText?: true;
}

const FINDING: Rule = { required: [], optional: ['type', 'message'], inside: [], hasText: true };

const RULES: Readonly<Record<string, Rule>> = {
  testsuites: {
    required: [],
    optional: ['name', 'time', 'tests', 'failures', 'errors'],
    inside: ['testsuite'],
  },
  testsuite: {
    required: ['name', 'tests', 'failures', 'errors'],
    optional: [
      ...['group', 'time', 'skipped', 'timestamp', 'hostname'],
      ...['id', 'package', 'file', 'log', 'url'],
    ],
    inside: ['testsuite', 'properties', 'testcase', 'system-out', 'system-err'],
  },
  properties: { required: [], optional: [], inside: ['property'] },
  property: { required: ['name', 'value'], optional: [], inside: [] },
  testcase: {
    required: ['name'],
    optional: ['time', 'classname', 'group'],
    inside: ['skipped', 'error', 'failure', 'system-out', 'system-err'],
  },
  failure: FINDING,
  error: FINDING,
  skipped: FINDING,
};

/** SUREFIRE_TIME, of a suite and of all suites. */
const TIME = /^[\d,]*(\.\d*)?$/;

/** XML 1.0 §2.2: all that a document may hold. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the standard's own table.
const DOCUMENT = /^[\u0009\u000A\u000D\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]*$/u;

export interface XmlElement {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: XmlElement[];
  text: string;
}

/** What an XML parser makes of character data: references resolved (XML 1.0 §4.1). */
export function resolveReferences(text: string): string {
  return text.replaceAll(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)));
}

/** Reads the XML that we write, strictly: throws on anything that is not properly nested. */
export function parseXml(xml: string): XmlElement {
  const head = '<?xml version="1.0" encoding="UTF-8"?>\n';
  if (!xml.startsWith(head)) throw new Error('no XML declaration');
  const outside: XmlElement = { name: '', attributes: {}, children: [], text: '' };
  const open = [outside];
  const token = /<(\/?)([a-z]+)((?: [a-zA-Z]+="[^"<]*")*)(\/?)>|([^<]+)/gy;
  let consumed = head.length;
  for (const [whole, close, name, list, empty, text] of xml.slice(head.length).matchAll(token)) {
    consumed += whole.length;
    const owner = open.at(-1)!;
    if (text !== undefined) {
      owner.text += resolveReferences(text);
    } else if (close === '/') {
      if (open.pop()?.name !== name) throw new Error(`</${name}> ends nothing`);
    } else {
      const pairs = [...list!.matchAll(/ ([a-zA-Z]+)="([^"]*)"/g)];
      const attributes = Object.fromEntries(
        pairs.map(([, key, value]) => [key, resolveReferences(value!)]),
      );
      if (Object.keys(attributes).length < pairs.length) throw new Error(`twice in <${name}>`);
      const element: XmlElement = { name: name!, attributes, children: [], text: '' };
      owner.children.push(element);
      if (empty !== '/') open.push(element);
    }
  }
  if (consumed !== xml.length || open.length !== 1) throw new Error(`no XML from ${consumed} on`);
  const [root, ...more] = outside.children;
  if (root === undefined || more.length > 0) throw new Error('not one root');
  return root;
}

/** An element and all that it holds, in the order of the document. */
export function elementsOf(element: XmlElement): XmlElement[] {
  return [element, ...element.children.flatMap(elementsOf)];
}

/** What the schema, or the sums that a report states, forbid; none = Jenkins takes it. */
export function junitMistakes(xml: string): string[] {
  const root = parseXml(xml);
  const mistakes = DOCUMENT.test(xml) ? [] : ['characters that XML does not have'];
  if (root.name !== 'testsuites') mistakes.push(`the root is ${root.name}`);
  for (const element of elementsOf(root)) {
    mistakes.push(...elementMistakes(element), ...sumMistakes(element));
  }
  return mistakes;
}

function elementMistakes({ attributes, children, name, text }: XmlElement): string[] {
  const rule = RULES[name];
  if (rule === undefined) return [`<${name}> is no element of a report`];
  const { hasText, inside, optional, required } = rule;
  const names = Object.keys(attributes);
  const time = attributes.time ?? '';
  return [
    ...required.filter((each) => !names.includes(each)).map((each) => `<${name}> has no ${each}`),
    ...names
      .filter((each) => ![...required, ...optional].includes(each))
      .map((each) => `<${name}> has ${each}`),
    ...children
      .filter((child) => !inside.includes(child.name))
      .map((child) => `<${name}> holds <${child.name}>`),
    ...(hasText || text.trim() === '' ? [] : [`<${name}> holds text`]),
    ...(TIME.test(time) ? [] : [`<${name}> takes ${time}`]),
  ];
}

/** The schema takes any number; readers add them up. */
function sumMistakes(element: XmlElement): string[] {
  const { attributes, name } = element;
  if (!name.startsWith('testsuite')) return [];
  const inner = elementsOf(element);
  const kinds = { tests: 'testcase', failures: 'failure', errors: 'error', skipped: 'skipped' };
  return Object.entries(kinds).flatMap(([sum, kind]) => {
    const said = attributes[sum];
    const count = inner.filter((each) => each.name === kind).length;
    return said === undefined || Number(said) === count ? [] : [`${sum} is ${said}, not ${count}`];
  });
}
